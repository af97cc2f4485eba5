// Does it wear out? Fifty players for two hours. Slow growth becomes visible: the tiers' memory is compared
// with that after a tenth of the run, and startup and buffers would get worse towards the right of the
// picture.
//
//     k6 run --env BASE_URL=https://live.example --env STREAM=/ch1/index.m3u8 --env DURATION=12h soak.js
//
// Players come and go: each watches for five minutes (VISIT) and starts over, so that startup is measured
// throughout. MEMORY_GROWTH_MAX is 1.10; a run of less than two hours needs more, because caches still fill.
//
// It fails, for example, where one response in a hundred is an error:
// --env FAULT='{"match":"*.ts","status":503,"percent":1}'

import { run } from "./lib/run.js";
import { addresses, number } from "./lib/settings.js";

const growth = addresses("METRICS").length > 0 && [`value<=${number("MEMORY_GROWTH_MAX", 1.1)}`, "value>0"];

export const { options, setup, teardown, player, observe, handleSummary } = run({
  name: "soak",
  question: "Does it wear out? A modest load for hours, with players who come and go.",
  stream: "/live/demo/ts/index.m3u8",
  players: 50,
  arrive: "60s",
  duration: "2h",
  visit: "5m",
  limits: { tier_memory_growth: growth },
});
