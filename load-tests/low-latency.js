// How near to live? Players who take parts: each waits for the next playlist with a blocking reload, asks for the part that
// is announced before it exists, and plays as near to the end as it is told.
//
//   k6 run --env BASE_URL=http://127.0.0.1:8080 --env STREAM=/ll/demo/cmaf/index.m3u8 low-latency.js
//
// "Behind the live edge" compares the dates in the playlist with this machine's clock; both have to be right. LATENCY_MAX
// is what it may be at p95, in seconds.
//
// Fails, for example, where parts come late: --env FAULT='{"match":"/ll/*.m4s","first_byte_delay_ms":900}'

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
    // A hinted part is held until it is there, and then comes at once: no byte of it leaves before all can go.
    "http_req_receiving{type:hint}": ["p(95)<100"],
    "http_req_duration{type:part}": ["p(95)<500"],
    "hls_objects{type:hint}": ["count>0"],
    "hls_objects{type:blocking}": ["count>0"],
    "http_req_duration{type:segment}": false,
    // What is held is sometimes held longer than nineteen of twenty are, and then asked of the next origin as well.
    origin_requests_per_segment: addresses("ORIGINS").length > 0 && ["value>=1.00", "value<=1.05"],
  },
});
