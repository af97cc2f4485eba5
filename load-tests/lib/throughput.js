// How fast the network is, as a player measures it, and which variant that is good for. Pure.
//
// Samples weigh as long as they lasted, and none counts as shorter than a small moment. So a burst of objects that a
// near cache hands over in no time cannot outvote one that was slow to come, and a few kilobytes cannot claim gigabits.

const SHORTEST_SECONDS = 0.05;
// Half of the weight is in so many seconds of transfer. The lower of a quick and a slow mean counts.
const HALF_LIVES = [3, 9];
// Seldom is a variant worth its risk that needs nearly all there is; going up needs more room than staying.
const STAY_SHARE = 0.9;
const UP_SHARE = 0.7;

export class Throughput {
  /** `guess` in bits per second holds until something was measured. */
  constructor(guess) {
    this.guess = guess;
    this.means = HALF_LIVES.map((halfLife) => ({ halfLife, sum: 0, weight: 0 }));
  }

  /** A body of so many bytes came within so many seconds, from the request to its last byte. */
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

/** The index of the variant to load next, of variants by rising bandwidth. The cap is what a screen can use. */
export function choose(variants, current, estimate, bandwidthMax) {
  let best = 0;
  variants.forEach(({ bandwidth }, index) => {
    const share = index > (current ?? -1) ? UP_SHARE : STAY_SHARE;
    if (bandwidth <= estimate * share && bandwidth <= bandwidthMax) best = index;
  });
  return best;
}
