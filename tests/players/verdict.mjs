// The conditions of "it plays": pure, so that the tests can use it on streams that do not play.

export const START_WITHIN_SECONDS = 15;
const SLOWEST_PACE = 0.95;
const FASTEST_PACE = 1.1;
// The rate at which `play.mjs` lets a player catch up, and the measurement error of a second.
const FASTEST_CATCH_UP = 1.6;
// A player with this much ahead has received all that it needs: if its clock falls behind, its own machine
// was busy.
const ENOUGH_AHEAD_SECONDS = 2;
// Yet no machine is this busy: below this rate it does not play, whatever is buffered. (A machine whose
// neighbours took its time was seen at 0.56, with five seconds ahead throughout.)
const SLOWEST_PACE_EVER = 0.25;
// No player plays this much within one interval, however long the machine makes it.
const LEAP_SECONDS = 30;

// The reasons why the observation fails; none means that a viewer has nothing to complain of. Where a test
// breaks something on purpose, the viewer may wait for `stallMax` seconds in all; with `once`, no segment may
// arrive twice. The player's own script may fail `pageErrorsMax` times, as long as the picture runs. One that
// `catchesUp` plays faster while it is further behind than its target: its progress towards the live edge is
// not a leap.
export function judge(
  observation,
  seconds,
  { stallMax = 0, once = false, pageErrorsMax = 0, catchesUp = false, startWithin = START_WITHIN_SECONDS } = {},
) {
  const reasons = [];
  const samples = observation.samples ?? [];
  const stalledFor = observation.stalledFor ?? 0;
  const { pace, ownPace, watchedFor, leaps } = measurePace(samples, Math.min(stalledFor, stallMax));
  const caughtUp = catchesUp ? nearer(samples) / watchedFor : 0;
  if (!observation.started) {
    reasons.push(`not playing after ${startWithin} s`);
  } else if (watchedFor < seconds - 2) {
    reasons.push(`watched for ${watchedFor.toFixed(1)} s instead of ${seconds} s`);
  } else if (!(pace >= SLOWEST_PACE && pace - caughtUp <= FASTEST_PACE && ownPace >= SLOWEST_PACE_EVER)) {
    reasons.push(`ran at ${ownPace.toFixed(3)} of real time, ${pace.toFixed(3)} where it had to wait`);
  }
  if (observation.rebuffers > 0 && !(stalledFor < stallMax)) {
    reasons.push(`stopped to buffer ${observation.rebuffers} times, for ${stalledFor.toFixed(1)} s in all`);
  }
  if (leaps > 0) reasons.push(`leapt ${leaps} times`);
  if (once) {
    for (const piece of again(observation.requested)) reasons.push(`asked for again: ${piece}`);
    for (const piece of again(observation.appended)) reasons.push(`appended again: ${piece}`);
  }
  for (const error of observation.errors ?? []) {
    if (error.fatal) reasons.push(`fatal: ${error.type} ${error.details}`);
  }
  for (const error of (observation.pageErrors ?? []).slice(pageErrorsMax)) reasons.push(`page: ${error}`);
  const [latency, behind] = ["latency", "behind"].map((field) => median(samples.map((sample) => sample[field])));
  return { ok: reasons.length === 0, reasons, pace, ownPace, watchedFor, stalledFor, leaps, latency, behind };
}

function again(counts = {}) {
  return Object.keys(counts).filter((piece) => counts[piece] > 1);
}

// By how many seconds a player has come nearer to the live edge by playing faster, by the encoder's clock.
// Any further progress is a leap.
function nearer(samples) {
  let gained = 0;
  for (let i = 1; i < samples.length; i++) {
    const [before, after] = [samples[i - 1], samples[i]];
    const rate = (after.currentTime - before.currentTime) / (after.wall - before.wall);
    const nearer = before.behind - after.behind;
    if (rate <= FASTEST_CATCH_UP && nearer > 0) gained += nearer;
  }
  return gained;
}

// The median of the numbers among the values; none where there are none.
function median(values) {
  const numbers = values.filter(Number.isFinite).sort((one, other) => one - other);
  return numbers.at(Math.floor(numbers.length / 2));
}

// `ownPace` is the pace of the player's clock. `pace` is that of a player whose machine is never busy: the
// time that its clock lost while enough was buffered at both ends of an interval is given back, and so are
// the permitted stall and the interval of a leap. Media skipped by a leap was not played.
function measurePace(samples, granted) {
  const first = samples.at(0);
  const last = samples.at(-1);
  const watchedFor = first ? last.wall - first.wall : 0;
  if (!(watchedFor > 0)) return { watchedFor, pace: 0, ownPace: 0, leaps: 0 };
  let givenBack = granted;
  let leaps = 0;
  let played = 0;
  for (let i = 1; i < samples.length; i++) {
    const [before, after] = [samples[i - 1], samples[i]];
    const advanced = after.currentTime - before.currentTime;
    const lost = after.wall - before.wall - advanced;
    if (Math.abs(lost) > LEAP_SECONDS && after.currentTime !== before.currentTime) {
      leaps++;
      givenBack += after.wall - before.wall;
      continue;
    }
    played += advanced;
    const ahead = Math.min(before.bufferedAhead, after.bufferedAhead);
    if (lost > 0 && ahead >= ENOUGH_AHEAD_SECONDS) givenBack += lost;
  }
  return { watchedFor, pace: (played + givenBack) / watchedFor, ownPace: played / watchedFor, leaps };
}
