// What counts as "it plays": pure, so that the tests can ask it about streams that do not.

export const START_WITHIN_SECONDS = 15;
const SLOWEST_PACE = 0.95;
const FASTEST_PACE = 1.1;
// A player with so much ahead has been given all it needs: if its clock falls behind, its own machine was busy.
const ENOUGH_AHEAD_SECONDS = 2;
// Yet no machine is so busy: below this it does not play, whatever lies ready.
const SLOWEST_PACE_EVER = 0.6;

// The observation's reasons to fail; none means that a viewer has nothing to complain of.
export function judge(observation, seconds) {
  const reasons = [];
  const { pace, ownPace, watchedFor } = measurePace(observation.samples ?? []);
  if (!observation.started) {
    reasons.push(`not playing after ${START_WITHIN_SECONDS} s`);
  } else if (watchedFor < seconds - 2) {
    reasons.push(`watched for ${watchedFor.toFixed(1)} s instead of ${seconds} s`);
  } else if (!(pace >= SLOWEST_PACE && pace <= FASTEST_PACE && ownPace >= SLOWEST_PACE_EVER)) {
    reasons.push(`ran at ${ownPace.toFixed(3)} of real time, ${pace.toFixed(3)} where it had to wait`);
  }
  if (observation.rebuffers > 0) reasons.push(`stopped to buffer ${observation.rebuffers} times`);
  for (const error of observation.errors ?? []) {
    if (error.fatal) reasons.push(`fatal: ${error.type} ${error.details}`);
  }
  for (const error of observation.pageErrors ?? []) reasons.push(`page: ${error}`);
  return { ok: reasons.length === 0, reasons, pace, ownPace, watchedFor };
}

// `ownPace` is that of the player's clock. `pace` is that of a player whose machine is never busy: what its clock
// lost while enough lay ahead at both ends of an interval is given back.
function measurePace(samples) {
  const first = samples.at(0);
  const last = samples.at(-1);
  const watchedFor = first ? last.wall - first.wall : 0;
  if (!(watchedFor > 0)) return { watchedFor, pace: 0, ownPace: 0 };
  let givenBack = 0;
  for (let i = 1; i < samples.length; i++) {
    const [before, after] = [samples[i - 1], samples[i]];
    const lost = after.wall - before.wall - (after.currentTime - before.currentTime);
    const ahead = Math.min(before.bufferedAhead, after.bufferedAhead);
    if (lost > 0 && ahead >= ENOUGH_AHEAD_SECONDS) givenBack += lost;
  }
  const played = last.currentTime - first.currentTime;
  return { watchedFor, pace: (played + givenBack) / watchedFor, ownPace: played / watchedFor };
}
