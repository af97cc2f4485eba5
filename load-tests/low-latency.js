// How near to live? Players that fetch parts: each waits for the next playlist with a blocking reload,
// requests the hinted part before it exists, and plays as near to the end as the playlist allows.
//
//     k6 run --env BASE_URL=http://127.0.0.1:8080 --env STREAM=/ll/demo/cmaf/index.m3u8 low-latency.js
//
// "Behind the live edge" compares the dates in the playlist with this machine's clock; both have to be
// correct. LATENCY_MAX is its limit at p95, in seconds.
//
// It fails, for example, where parts are late: --env FAULT='{"match":"/ll/*.m4s","first_byte_delay_ms":900}'

import { run } from "./lib/run.js";
import { addresses, number } from "./lib/settings.js";

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "low-latency",
  question: "How near to live? Parts, blocking reload and hints.",
  stream: "/ll/demo/cmaf/index.m3u8",
  players: 50,
  arrive: "5s",
  duration: "60s",
  lowLatency: true,
  limits: {
    hls_live_latency_seconds: [`p(95)<${number("LATENCY_MAX", 2.5)}`, "p(95)>0"],
    // A hinted part is blocked until it exists, and then arrives in one piece: no byte of it is sent before
    // it is complete.
    "http_req_receiving{type:hint}": ["p(95)<100"],
    "http_req_duration{type:part}": ["p(95)<500"],
    "hls_objects{type:hint}": ["count>0"],
    "hls_objects{type:blocking}": ["count>0"],
    "http_req_duration{type:segment}": false,
    // Some blocked requests take longer than the p95 of the upstream, and are then hedged at the next origin.
    origin_requests_per_segment: addresses("ORIGINS").length > 0 && ["value>=1.00", "value<=1.05"],
  },
});
