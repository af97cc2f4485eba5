// A small crowd for half a minute: every answer right, and the origin asked for each object once.
//
//   k6 run --env BASE_URL=http://127.0.0.1:8080,http://127.0.0.1:8180 --env STREAM=/live/demo/ts/index.m3u8 smoke.js
//
// BASE_URL  one or more edges, separated by commas; the players are spread over them
// STREAM    path of the multivariant (or media) playlist
// DEMO      address of the demo's page: its totals give the origin amplification (optional)
// ORIGINS   addresses of origin stubs' operators' listeners, separated by commas: requests per segment (optional)
// PLAYERS, SECONDS   how many, how long; 50 and 30

import exec from "k6/execution";
import { sleep } from "k6";
import { Gauge } from "k6/metrics";
import { play } from "./lib/hls.js";
import { demoTotals, stubSegments } from "./lib/origin.js";

const EDGES = list(__ENV.BASE_URL);
const STREAM = __ENV.STREAM;
const ORIGINS = list(__ENV.ORIGINS);
const PLAYERS = Number(__ENV.PLAYERS ?? 50);
const SECONDS = Number(__ENV.SECONDS ?? 30);
if (EDGES.length === 0 || !STREAM) throw new Error("BASE_URL and STREAM say where the stream is");

const amplification = new Gauge("origin_amplification");
const perSegment = new Gauge("origin_requests_per_segment");

export const options = {
  scenarios: {
    players: { executor: "per-vu-iterations", vus: PLAYERS, iterations: 1, maxDuration: `${SECONDS + 30}s` },
  },
  thresholds: thresholds(),
};

export default function () {
  const player = exec.vu.idInTest - 1;
  // Viewers do not all come in the same instant; a few tenths of a second spread them over one segment.
  sleep((player % 10) * 0.2);
  play(EDGES[player % EDGES.length], STREAM, Math.floor(player / EDGES.length), SECONDS);
}

export function teardown() {
  if (__ENV.DEMO) amplification.add(number(demoTotals(__ENV.DEMO).origin_amplification));
  if (ORIGINS.length > 0) {
    const counted = ORIGINS.map(stubSegments);
    const sum = (of) => counted.reduce((total, origin) => total + origin[of], 0);
    perSegment.add(number(sum("requests") / sum("segments")));
  }
}

// A threshold on a figure that was never measured passes, so what is missing ends the run.
function number(value) {
  if (!Number.isFinite(value)) throw new Error(`no origin amplification was reported, but ${value}`);
  return value;
}

function thresholds() {
  const limits = {
    http_req_failed: ["rate==0"],
    checks: ["rate==1"],
    // Everybody really watched: at least one segment in three seconds each.
    hls_segments: [`count>=${Math.floor((PLAYERS * SECONDS) / 3)}`],
  };
  if (__ENV.DEMO) limits.origin_amplification = ["value>=1.00", "value<=1.02"];
  if (ORIGINS.length > 0) limits.origin_requests_per_segment = ["value>=1.00", "value<=1.02"];
  return limits;
}

function list(text) {
  return (text ?? "").split(",").filter(Boolean).map((address) => address.replace(/\/$/, ""));
}
