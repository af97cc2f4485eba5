// Is a recording as good as the live stream? Viewers of a finished programme that jump to another position
// every few seconds (EVERY): each jump requests a segment in two ranges, and ranges are compared with whole
// segments.
//
//     k6 run --env BASE_URL=http://127.0.0.1:8080 --env STREAM=/vod/demo/ts/index.m3u8 seek.js
//
// It fails, for example, where ranges are slow: --env FAULT='{"match":"/vod/*.ts","latency_ms":2500}'

import { run } from "./lib/run.js";
import { wander } from "./lib/seek.js";
import { seconds } from "./lib/settings.js";

const EVERY = seconds("EVERY", "6s");

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "seek",
  question: "Is a recording as good? Viewers who jump about in a finished programme, with ranges.",
  stream: "/vod/demo/ts/index.m3u8",
  players: 50,
  arrive: "5s",
  duration: "60s",
  watch: (player) => wander(player, EVERY),
  limits: {
    hls_seek_seconds: ["p(95)<1", "p(95)>0"],
    "http_req_duration{type:seek}": ["p(95)<500"],
  },
});
