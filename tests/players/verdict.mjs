// What counts as "it plays": pure, so that the tests can ask it about streams that do not.

export const START_WITHIN_SECONDS = 15;
const SLOWEST_PACE = 0.95;
const FASTEST_PACE = 1.1;
// What `play.mjs` lets a player catch up with, and what a second may be measured wrong by.
const FASTEST_CATCH_UP = 1.6;
// A player with so much ahead has been given all it needs: if its clock falls behind, its own machine was busy.
const ENOUGH_AHEAD_SECONDS = 2;
// Yet no machine is so busy: below this it does not play, whatever lies ready. (A machine whose neighbours took its time
// was seen at 0.56, with five seconds ahead throughout.)
const SLOWEST_PACE_EVER = 0.25;
// Nobody plays so much within one interval that lasts as long as the machine lets it.
const LEAP_SECONDS = 30;

// The observation's reasons to fail; none means that a viewer has nothing to complain of. Where something is broken on
// purpose, the viewer may be oldest waiting for `stallMax` seconds in all; with `once`, no segment may come twice. The
// player's own script may fail `pageErrorsMax` times, as long as the picture runs. One that `catchesUp` plays faster
// while it is further behind than it means to be: what it comes nearer to the live edge is no leap.
export function judge(
  observation,
  seconds,
  { stallMax = 0, once = false, pageErrorsMax = 0, catchesUp = false } = {},
) {
  const reasons = [];
  const samples = observation.samples ?? [];
  const stalledFor = observation.stalledFor ?? 0;
  const { pace, ownPace, watchedFor, leaps } = measurePace(samples, Math.min(stalledFor, stallMax));
  const caughtUp = catchesUp ? nearer(samples) / watchedFor : 0;
  if (!observation.started) {
    reasons.push(`not playing after ${START_WITHIN_SECONDS} s`);
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

// By how many seconds a player has come nearer to the live edge by playing faster, by the encoder's clock. What comes
// nearer by more than that is a leap.
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

// Of the numbers among the values; none where there are none.
function median(values) {
  const numbers = values.filter(Number.isFinite).sort((one, other) => one - other);
  return numbers.at(Math.floor(numbers.length / 2));
}

// `ownPace` is that of the player's clock. `pace` is that of a player whose machine is never busy: what its clock
// lost while enough lay ahead at both ends of an interval is given back, and so are the stop that it was granted and the
// interval of a leap. What a leap passes over was not played.
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
