import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./verdict.mjs";

function watched(seconds, pace = 1, bufferedAhead = 1) {
  const samples = Array.from({ length: seconds + 1 }, (_, second) => ({
    wall: 3 + second,
    currentTime: 100 + second * pace,
    bufferedAhead,
  }));
  return { started: true, samples, rebuffers: 0, errors: [], pageErrors: [] };
}

test("a stream at real-time pace plays", () => {
  assert.deepEqual(judge(watched(30), 30).reasons, []);
  assert.equal(judge(watched(30), 30).ok, true);
});

test("a stream that never starts does not play", () => {
  const verdict = judge({ started: false, samples: [], rebuffers: 0, errors: [], pageErrors: [] }, 30);
  assert.equal(verdict.ok, false);
  assert.match(verdict.reasons[0], /not playing after 15 s/);
});

test("a stream that lags behind the clock does not play", () => {
  assert.match(judge(watched(30, 0.9), 30).reasons[0], /0\.900 of real time/);
});

test("a busy machine is not the stream's fault while enough is buffered", () => {
  assert.deepEqual(judge(watched(30, 0.9, 5), 30).reasons, []);
});

test("a stalled picture does not play, however much is buffered", () => {
  assert.match(judge(watched(30, 0, 5), 30).reasons[0], /0\.000 of real time/);
});

test("a stream that jumps ahead does not play", () => {
  assert.match(judge(watched(30, 1.3), 30).reasons[0], /1\.300 of real time/);
});

test("a player that catches up comes nearer to the live edge by playing faster", () => {
  const catching = watched(30, 1.3);
  const behind = (seconds) =>
    catching.samples.forEach((sample, second) => (sample.behind = 12 - (seconds * second) / 30));
  behind(9);
  assert.deepEqual(judge(catching, 30, { catchesUp: true }).reasons, []);
  assert.match(judge(catching, 30).reasons[0], /1\.300 of real time/);
  behind(3);
  assert.match(judge(catching, 30, { catchesUp: true }).reasons[0], /1\.300 of real time/);
  const leaping = watched(30);
  leaping.samples.forEach((sample, second) => (sample.behind = second < 16 ? 12 : 2));
  for (const sample of leaping.samples.slice(16)) sample.currentTime += 10;
  assert.match(judge(leaping, 30, { catchesUp: true }).reasons[0], /1\.333 of real time/);
});

test("a stalled picture does not play", () => {
  assert.match(judge(watched(30, 0), 30).reasons[0], /0\.000 of real time/);
});

test("a short look is not a verdict", () => {
  assert.match(judge(watched(5), 30).reasons[0], /watched for 5\.0 s instead of 30 s/);
});

test("one stall is a failure", () => {
  assert.match(judge({ ...watched(30), rebuffers: 1 }, 30).reasons[0], /stopped to buffer 1 times/);
});

test("a permitted stall is not a failure while it lasts no longer", () => {
  const stopped = watched(30);
  for (const sample of stopped.samples.slice(16)) sample.currentTime -= 3;
  const observation = { ...stopped, rebuffers: 2, stalledFor: 3 };
  assert.deepEqual(judge(observation, 30, { stallMax: 4 }).reasons, []);
  assert.match(judge(observation, 30, { stallMax: 2 }).reasons.join(), /stopped to buffer 2 times, for 3\.0 s/);
  assert.match(judge({ ...observation, stalledFor: 1 }, 30, { stallMax: 4 }).reasons[0], /0\.933 where it had to wait/);
});

test("a leap is a failure", () => {
  const leaping = watched(30);
  for (const sample of leaping.samples.slice(16)) sample.currentTime += 35_000;
  assert.match(judge(leaping, 30).reasons[0], /leapt 1 times/);
});

test("a segment that arrives twice is a failure where it may arrive once", () => {
  const twice = { ...watched(30), requested: { "/7.ts": 1, "/8.ts": 2 }, appended: { "/7.ts": 2, "/8.ts": 1 } };
  assert.deepEqual(judge(twice, 30).reasons, []);
  assert.deepEqual(judge(twice, 30, { once: true }).reasons, ["asked for again: /8.ts", "appended again: /7.ts"]);
});

test("latencies are medians of the samples that have one", () => {
  const near = watched(30);
  near.samples.forEach((sample, second) => (sample.latency = second < 3 ? null : second < 20 ? 1.5 : 9));
  assert.equal(judge(near, 30).latency, 1.5);
  assert.equal(judge(near, 30).behind, undefined);
});

test("a fatal error is a failure and a recovered one is not", () => {
  const error = { type: "networkError", details: "fragLoadError" };
  assert.equal(judge({ ...watched(30), errors: [{ ...error, fatal: false }] }, 30).ok, true);
  assert.match(judge({ ...watched(30), errors: [{ ...error, fatal: true }] }, 30).reasons[0], /fragLoadError/);
});

test("a script error in the page is a failure", () => {
  const erring = { ...watched(30), pageErrors: ["TypeError: x"] };
  assert.match(judge(erring, 30).reasons[0], /page: TypeError/);
  assert.deepEqual(judge(erring, 30, { pageErrorsMax: 1 }).reasons, []);
});
