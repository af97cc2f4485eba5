// Does it hold? Two hundred players that stay: the everyday load, for five minutes, long enough for steady
// means.
//
//     k6 run --env BASE_URL=https://live.example --env STREAM=/ch1/index.m3u8 --env PLAYERS=1000 --env DURATION=10m steady.js
//
// It fails, for example, where the origin sends more slowly than the stream plays:
// --env FAULT='{"match":"*.ts","bytes_per_second":9000}'

import { run } from "./lib/run.js";

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "steady",
  question: "Does it hold? The everyday load, for minutes.",
  stream: "/live/demo/ts/index.m3u8",
  players: 200,
  arrive: "30s",
  duration: "5m",
});
