// What if all viewers arrive together? A flash crowd, from none to five hundred players in ten seconds. No
// player may notice the others, and the origin must not notice any of them.
//
//     k6 run --env BASE_URL=http://edge-1:8080,http://edge-2:8080 --env METRICS=http://shield-1:9081 spike.js
//
// With BASELINE=alone.json, the JSON of a report of few players on the origin itself, the report says how
// much longer players in the crowd took to start.
//
// It fails, for example, where segments are late: --env FAULT='{"match":"*.ts","latency_ms":3000}'

import { run } from "./lib/run.js";

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "spike",
  question: "What if all viewers arrive together? From none to all players in seconds.",
  stream: "/live/demo/ts/index.m3u8",
  players: 500,
  arrive: "10s",
  duration: "30s",
});
