// Does it work at all? Fifty players for half a minute: every response is correct, no picture stalls, and the
// origin receives one request for each object.
//
//     k6 run --env BASE_URL=http://127.0.0.1:8080 --env STREAM=/live/demo/ts/index.m3u8 smoke.js
//
// It fails, for example, while an origin cuts segments short: --env FAULT='{"match":"*.ts","close_at":1000}'

import { run } from "./lib/run.js";

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "smoke",
  question: "Does it work at all? A small crowd for half a minute.",
  stream: "/live/demo/ts/index.m3u8",
  players: 50,
  arrive: "2s",
  duration: "30s",
});
