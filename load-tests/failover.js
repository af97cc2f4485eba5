// What if a server is lost in the middle of playback? The primary origin goes down while all players watch,
// and returns; or you stop a shield by hand. No viewer may meet an error, no picture may stall.
//
//     k6 run --env BASE_URL=http://127.0.0.1:8080 --env METRICS=http://127.0.0.1:9081 --env ORIGINS=http://127.0.0.1:9088 failover.js
//
// LOSE names the lost server, LOSE_AT and BACK_AT the times of loss and return, as shares of the run: 0.4 and
// 0.7.
//
//     origin   the first of ORIGINS, which are origin stubs, refuses connections (the default with ORIGINS)
//     demo     the page of `tidegate demo`, whose address is DEMO, stops its primary (the default with DEMO)
//     hands    you stop a server yourself when the run says so (the default otherwise)
//
// With METRICS the run fails if no tier had to fail over: then it shows nothing.
//
// It fails, for example, where the other origins are broken from then on:
// --env FAULT='{"match":"*.ts","status":500}'

import { sleep } from "k6";
import { run } from "./lib/run.js";
import { addresses, number, text } from "./lib/settings.js";
import { order, pardon, switchPrimary } from "./lib/tiers.js";

const [ORIGIN, ...OTHERS] = addresses("ORIGINS");
const [DEMO] = addresses("DEMO");
const LOSE = text("LOSE", DEMO ? "demo" : ORIGIN ? "origin" : "hands");
const WAYS = {
  origin: { lose: () => order(ORIGIN, '{"match":"*","down":"refuse"}'), bring: () => pardon(ORIGIN) },
  demo: { lose: () => switchPrimary(DEMO, false), bring: () => switchPrimary(DEMO, true) },
  hands: { lose: () => {}, bring: () => {} },
};
if (!WAYS[LOSE]) throw new Error(`LOSE=${LOSE}: origin, demo or hands`);
const FAULT = text("FAULT");
const MEASURED = addresses("METRICS").length > 0;

const plan = run({
  name: "failover",
  question: `What if a server is lost in the middle of playback? (${LOSE})`,
  stream: "/live/demo/ts/index.m3u8",
  players: 50,
  arrive: "5s",
  duration: "60s",
  limits: {
    // Failed requests to the lost server are sent again elsewhere: they are needed, and count twice.
    origin_amplification: MEASURED && ["value>=1.00", "value<=1.25"],
    // A shield that takes over, or receives a hedge because the first was late, fetches the listed segments
    // once more.
    origin_requests_per_segment: addresses("ORIGINS").length > 0 && ["value>=1.00", "value<=2.00"],
    tier_failovers: MEASURED && ["value>0"],
    // A stopped shield reports nothing any more.
    tiers_unreadable: MEASURED && [LOSE === "hands" ? "value<=1" : "value==0"],
    // One wait for the lost server is allowed, and no stall.
    "http_req_duration{type:segment}": ["p(95)<1500", "max<6000"],
  },
  faultFromTheStart: false,
  beside: (run, alone) => ({ breaker: { ...alone(run, "breaker"), env: { SECONDS: String(run.seconds) } } }),
});

export const { options, setup, teardown, player, observe, handleSummary } = plan;

/** Stops the server and brings it back. */
export function breaker() {
  const seconds = Number(__ENV.SECONDS);
  const at = { lose: number("LOSE_AT", 0.4) * seconds, back: number("BACK_AT", 0.7) * seconds };
  sleep(at.lose);
  console.log(`failover: ${LOSE === "hands" ? "take it away now" : `the ${LOSE}'s primary stops`}`);
  if (FAULT) OTHERS.forEach((admin) => order(admin, FAULT));
  WAYS[LOSE].lose();
  sleep(at.back - at.lose);
  console.log(`failover: ${LOSE === "hands" ? "bring it back now" : "it has returned"}`);
  WAYS[LOSE].bring();
}
