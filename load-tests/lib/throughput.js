// The throughput as a player measures it, and the variant that it allows. Pure.
//
// The weight of a sample is its duration, and none counts as shorter than a small minimum. So a burst of
// objects from a near cache cannot outvote a slow one, and a few kilobytes cannot claim gigabits.

const SHORTEST_SECONDS = 0.05;
// Half of the weight is in this many seconds of transfer. The lower of a fast and a slow mean counts.
const HALF_LIVES = [3, 9];
// A variant that needs nearly all of the throughput is seldom worth its risk; switching up needs more room
// than staying.
const STAY_SHARE = 0.9;
const UP_SHARE = 0.7;

export class Throughput {
  /** `guess` in bits per second holds until a transfer has been measured. */
  constructor(guess) {
    this.guess = guess;
    this.means = HALF_LIVES.map((halfLife) => ({ halfLife, sum: 0, weight: 0 }));
  }

  /** A body of this many bytes took this many seconds, from the request to its last byte. */
  add(bytes, seconds) {
    const lasted = Math.max(seconds, SHORTEST_SECONDS);
    for (const mean of this.means) {
      const kept = 0.5 ** (lasted / mean.halfLife);
      mean.sum = mean.sum * kept + ((bytes * 8) / lasted) * (1 - kept);
      mean.weight = mean.weight * kept + (1 - kept);
    }
  }

  /** Bits per second. */
  estimate() {
    const measured = this.means.filter(({ weight }) => weight > 0).map(({ sum, weight }) => sum / weight);
    return measured.length > 0 ? Math.min(...measured) : this.guess;
  }
}

/** The index of the variant to load next, of variants by rising bandwidth. The cap is the bandwidth that a screen can use. */
export function choose(variants, current, estimate, bandwidthMax) {
  let best = 0;
  variants.forEach(({ bandwidth }, index) => {
    const share = index > (current ?? -1) ? UP_SHARE : STAY_SHARE;
    if (bandwidth <= estimate * share && bandwidth <= bandwidthMax) best = index;
  });
  return best;
}
