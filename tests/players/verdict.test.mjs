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

test("a busy machine is not the stream's fault while enough lies ahead", () => {
  assert.deepEqual(judge(watched(30, 0.9, 5), 30).reasons, []);
});

test("a picture that stands still does not play, however much lies ahead", () => {
  assert.match(judge(watched(30, 0, 5), 30).reasons[0], /0\.000 of real time/);
});

test("a stream that jumps ahead does not play", () => {
  assert.match(judge(watched(30, 1.3), 30).reasons[0], /1\.300 of real time/);
});

test("a picture that stands still does not play", () => {
  assert.match(judge(watched(30, 0), 30).reasons[0], /0\.000 of real time/);
});

test("a short look is not a verdict", () => {
  assert.match(judge(watched(5), 30).reasons[0], /watched for 5\.0 s instead of 30 s/);
});

test("one stop to buffer is a failure", () => {
  assert.match(judge({ ...watched(30), rebuffers: 1 }, 30).reasons[0], /stopped to buffer 1 times/);
});

test("a fatal error is a failure and a recovered one is not", () => {
  const error = { type: "networkError", details: "fragLoadError" };
  assert.equal(judge({ ...watched(30), errors: [{ ...error, fatal: false }] }, 30).ok, true);
  assert.match(judge({ ...watched(30), errors: [{ ...error, fatal: true }] }, 30).reasons[0], /fragLoadError/);
});

test("a script error in the page is a failure", () => {
  assert.match(judge({ ...watched(30), pageErrors: ["TypeError: x"] }, 30).reasons[0], /page: TypeError/);
});
