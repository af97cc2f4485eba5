// A run: players that arrive within a time and watch for a time, an observer that reads the tiers beside
// them, the limits of the run, and the report.

import exec from "k6/execution";
import { sleep } from "k6";
import { Player } from "./hls.js";
import * as metrics from "./metrics.js";
import { REQUEST_TYPES, reportOf } from "./report.js";
import * as settings from "./settings.js";
import { between, order, pardon, readSegments, readTiers, requestsPerSegment } from "./tiers.js";

/** Seconds that players may take to end after their time. */
const GRACE = 30;
/** Seconds between two readings of the tiers. */
const READING_PERIOD = 1;

/**
 * The exports of a scenario, from its own settings: `name`, `question`, `stream`, `players`, `arrive`,
 * `duration` and `visit` ("90s"), `lowLatency`, `limits` beside the common ones (false removes one),
 * `watch(player)` where players do not simply watch, `beside` for functions that run beside them, and
 * `faultFromTheStart: false` where the scenario itself starts FAULT.
 */
export function run(scenario) {
  const plan = planOf(scenario);
  return {
    options: {
      scenarios: {
        players: {
          executor: "per-vu-iterations", vus: plan.groups, iterations: 1, maxDuration: `${plan.seconds + GRACE}s`,
          exec: "player", gracefulStop: "0s",
        },
        ...(plan.tiers.length > 0 && { observer: beside(plan, "observe") }),
        ...scenario.beside?.(plan, beside),
      },
      thresholds: { ...metrics.moments(), ...limitsOf(plan, scenario.limits) },
      summaryTrendStats: ["avg", "min", "p(5)", "p(50)", "p(95)", "max", "count"],
      // The number of connections that stay open for each group.
      batch: 2 * plan.perGroup, batchPerHost: plan.perGroup,
    },
    setup: () => setUp(plan),
    teardown: (before) => tearDown(plan, before),
    player: () => group(plan, scenario.watch),
    observe: () => observe(plan),
    handleSummary: reportOf(plan),
  };
}

function planOf(scenario) {
  const { name, question, arrive, duration, visit, lowLatency = false, faultFromTheStart = true } = scenario;
  const { edges, path } = settings.stream(scenario.stream);
  const watching = settings.seconds("DURATION", duration);
  const arriving = settings.seconds("ARRIVE", arrive);
  const players = settings.number("PLAYERS", scenario.players);
  const perGroup = Math.max(1, settings.number("PLAYERS_PER_VU", 10));
  const visits = Math.max(1, Math.round(watching / settings.seconds("VISIT", visit ?? `${watching}s`)));
  return {
    name, question, edges, path, lowLatency, watching, arriving, visits, players, perGroup, faultFromTheStart,
    groups: Math.ceil(players / perGroup),
    seconds: arriving + watching,
    tiers: settings.addresses("METRICS"),
    origins: settings.addresses("ORIGINS"),
    bandwidthMax: settings.number("KBPS_MAX", Infinity) * 1000,
    startupMax: settings.number("STARTUP_MAX", 2),
  };
}

/** A function that runs alone for the whole run. */
function beside(plan, exec) {
  return {
    executor: "per-vu-iterations", vus: 1, iterations: 1, maxDuration: `${plan.seconds + GRACE}s`, exec, gracefulStop: "0s",
  };
}

/** The common limits of all runs; a scenario adds to them or replaces those that cannot hold. */
function limitsOf(plan, own = {}) {
  const limits = {
    http_req_failed: ["rate==0"],
    checks: ["rate==1"],
    hls_players_started: [`count==${plan.players * plan.visits}`],
    hls_players_gave_up: ["count==0"],
    hls_startup_seconds: [`p(95)<${plan.startupMax}`],
    hls_rebuffers: ["count==0"],
    hls_segments_missed: ["count==0"],
    ...reported(),
    "http_req_duration{type:playlist}": ["p(95)<1000"],
    "http_req_duration{type:segment}": ["p(95)<1500"],
    // All players really watched: nine tenths of their total time was played.
    hls_played_seconds: [`count>=${Math.floor(plan.players * plan.watching * 0.9)}`],
  };
  if (plan.tiers.length > 0) {
    limits.origin_amplification = ["value>=1.00", "value<=1.02"];
    limits.tiers_unreadable = ["value==0"];
  }
  if (plan.origins.length > 0) limits.origin_requests_per_segment = ["value>=1.00", "value<=1.02"];
  for (const [name, limit] of Object.entries({ ...limits, ...own })) {
    if (limit) limits[name] = limit;
    else delete limits[name];
  }
  return limits;
}

/** The report has every type of request; an empty list is no threshold. */
function reported() {
  return Object.fromEntries(REQUEST_TYPES.map((type) => [`http_req_duration{type:${type}}`, []]));
}

/**
 * The players of one virtual user. To k6 they are one, because each of its users needs a separate interpreter,
 * which costs more than a player does; they share only parsed playlists, and idle connections.
 */
async function group(plan, watch) {
  const first = exec.scenario.iterationInTest;
  const playing = [];
  for (let index = first; index < plan.players; index += plan.groups) playing.push(play(plan, index, watch));
  await Promise.all(playing);
}

async function play(plan, index, watch) {
  await new Promise((arrive) => setTimeout(arrive, (index / plan.players) * plan.arriving * 1000));
  for (let visit = 0; visit < plan.visits; visit += 1) {
    const player = new Player({
      edge: plan.edges[index % plan.edges.length], stream: plan.path, seconds: plan.watching / plan.visits,
      runSeconds: plan.seconds, lowLatency: plan.lowLatency, bandwidthMax: plan.bandwidthMax,
    });
    await (watch ? watch(player) : player.watch());
  }
}

function setUp(plan) {
  const fault = settings.text("FAULT");
  if (fault && plan.faultFromTheStart) plan.origins.forEach((admin) => order(admin, fault));
  if (fault && plan.origins.length === 0) throw new Error("FAULT is for origin stubs, which ORIGINS names");
  const tiers = readTiers(plan.tiers);
  const missing = plan.tiers.filter((_, index) => !tiers[index]);
  if (missing.length > 0) throw new Error(`METRICS: no metrics from ${missing.join(", ")}`);
  return { tiers, origins: plan.origins.map(readSegments) };
}

function observe(plan) {
  let before = readTiers(plan.tiers);
  let settled;
  const readings = Math.floor(plan.seconds / READING_PERIOD);
  for (let reading = 0; reading < readings; reading += 1) {
    sleep(READING_PERIOD);
    const after = readTiers(plan.tiers);
    const grown = between(before, after);
    metrics.originRequests.add(grown.requests, metrics.moment(plan.seconds));
    before = after;
    const memory = after.reduce((sum, tier) => sum + (tier?.memory ?? 0), 0);
    if (reading < readings / 10) settled = memory;
    else metrics.memoryGrowth.add(memory / settled);
  }
}

function tearDown(plan, before) {
  if (settings.text("FAULT")) plan.origins.forEach(pardon);
  if (plan.tiers.length > 0) {
    const grown = between(before.tiers, readTiers(plan.tiers));
    metrics.amplification.add(measured("origin amplification", grown.requests / grown.needed));
    metrics.failovers.add(grown.failovers);
    metrics.hedges.add(grown.hedges);
    metrics.unreadable.add(grown.unreadable);
  }
  if (plan.origins.length > 0) {
    const after = plan.origins.map(readSegments);
    metrics.perSegment.add(measured("requests per segment", requestsPerSegment(before.origins, after)));
  }
}

/** A limit on a figure that was never measured holds, so a missing figure ends the run. */
function measured(what, value) {
  if (!Number.isFinite(value)) throw new Error(`${what} is unknown: ${value}`);
  return value;
}
