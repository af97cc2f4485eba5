// What counts as "it plays": pure, so that the tests can ask it about streams that do not.

export const START_WITHIN_SECONDS = 15;
const SLOWEST_PACE = 0.95;
const FASTEST_PACE = 1.1;

// The observation's reasons to fail; none means that a viewer has nothing to complain of.
export function judge(observation, seconds) {
  const reasons = [];
  const { pace, watchedFor } = measurePace(observation.samples ?? []);
  if (!observation.started) {
    reasons.push(`not playing after ${START_WITHIN_SECONDS} s`);
  } else if (watchedFor < seconds - 2) {
    reasons.push(`watched for ${watchedFor.toFixed(1)} s instead of ${seconds} s`);
  } else if (!(pace >= SLOWEST_PACE && pace <= FASTEST_PACE)) {
    reasons.push(`ran at ${pace.toFixed(3)} of real time`);
  }
  if (observation.rebuffers > 0) reasons.push(`stopped to buffer ${observation.rebuffers} times`);
  for (const error of observation.errors ?? []) {
    if (error.fatal) reasons.push(`fatal: ${error.type} ${error.details}`);
  }
  for (const error of observation.pageErrors ?? []) reasons.push(`page: ${error}`);
  return { ok: reasons.length === 0, reasons, pace, watchedFor };
}

function measurePace(samples) {
  const first = samples.at(0);
  const last = samples.at(-1);
  const watchedFor = first ? last.wall - first.wall : 0;
  return { watchedFor, pace: watchedFor > 0 ? (last.currentTime - first.currentTime) / watchedFor : 0 };
}
