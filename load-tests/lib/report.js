// The report of a run: figures as JSON, the same for people as Markdown, and a picture.
//
// REPORT is its path: `REPORT=out/spike` writes out/spike.json, out/spike.md and out/spike.svg.

import { MOMENTS, momentName } from "./metrics.js";
import { picture } from "./picture.js";
import * as settings from "./settings.js";

// An earlier run to compare with: the JSON of its report.
const BASELINE = settings.text("BASELINE") ? JSON.parse(open(settings.text("BASELINE"))) : undefined;
const MACHINE = settings.text("MACHINE", "");

/** The types of requests that the report distinguishes. */
export const REQUEST_TYPES = ["multivariant", "playlist", "blocking", "segment", "init", "part", "hint", "seek"];

/** The handleSummary of a plan. */
export function reportOf(plan) {
  return (data) => {
    const report = figures(plan, data);
    const path = settings.text("REPORT", `${plan.name}-report`);
    const file = path.slice(path.lastIndexOf("/") + 1);
    const text = markdown(report, `${file}.svg`);
    return {
      stdout: `\n${text}\n`,
      [`${path}.json`]: `${JSON.stringify(report, null, 2)}\n`,
      [`${path}.md`]: text,
      [`${path}.svg`]: picture(report),
    };
  };
}

/** The figures of the report, from k6's summary. Figures that were not measured are null. */
export function figures(plan, data) {
  const value = (metric, name) => data.metrics[metric]?.values[name] ?? null;
  const sum = (metric) => value(metric, "count") ?? 0;
  const trend = (metric) => (sum(metric) > 0
    ? { p50: value(metric, "p(50)"), p95: value(metric, "p(95)"), max: value(metric, "max"), count: sum(metric) }
    : null);
  const played = sum("hls_played_seconds");
  const rebuffered = sum("hls_rebuffer_seconds");
  const startup = trend("hls_startup_seconds");
  const compared = BASELINE?.startup_seconds?.p95;
  return {
    scenario: plan.name,
    question: plan.question,
    passed: limits(data).every(({ holds }) => holds),
    machine: MACHINE,
    players: { wanted: plan.players * plan.visits, started: sum("hls_players_started"), gave_up: sum("hls_players_gave_up") },
    arrive_seconds: plan.arriving,
    watch_seconds: plan.watching / plan.visits,
    edges: plan.edges.length,
    startup_seconds: startup,
    startup_p95_to_baseline: compared && startup ? startup.p95 / compared : null,
    baseline: BASELINE ? { players: BASELINE.players.wanted, startup_seconds: BASELINE.startup_seconds } : null,
    rebuffers: sum("hls_rebuffers"),
    rebuffer_seconds: rebuffered,
    rebuffer_ratio: played + rebuffered > 0 ? rebuffered / (played + rebuffered) : null,
    played_seconds: played,
    bitrate_kbps: trend("hls_bitrate_kbps"),
    switches: sum("hls_switches"),
    live_latency_seconds: trend("hls_live_latency_seconds"),
    seek_seconds: trend("hls_seek_seconds"),
    segments_missed: sum("hls_segments_missed"),
    requests: Object.fromEntries(REQUEST_TYPES.map((type) => [type, requests(data, type)]).filter(([, found]) => found)),
    body_bytes: sum("hls_bytes"),
    failed_requests: value("http_req_failed", "passes") ?? 0,
    errors: errors(data),
    origin: {
      amplification: value("origin_amplification", "value"),
      requests_per_segment: value("origin_requests_per_segment", "value"),
      requests: plan.tiers.length > 0 ? sum("origin_requests") : null,
      failovers: value("tier_failovers", "value"),
      hedges: value("tier_hedges", "value"),
      memory_growth: value("tier_memory_growth", "value"),
      tiers_unreadable: value("tiers_unreadable", "value"),
    },
    limits: limits(data),
    moments: Array.from({ length: MOMENTS }, (_, index) => momentOf(plan, data, index)),
  };
}

function requests(data, type) {
  const values = data.metrics[`http_req_duration{type:${type}}`]?.values;
  if (!values?.count) return undefined;
  return { count: values.count, p50_ms: values["p(50)"], p95_ms: values["p(95)"], max_ms: values.max };
}

function errors(data) {
  const failed = data.root_group.checks.filter(({ fails }) => fails > 0);
  return Object.fromEntries(failed.map(({ name, fails }) => [name, fails]));
}

function limits(data) {
  return Object.entries(data.metrics).flatMap(([metric, { thresholds = {} }]) =>
    Object.entries(thresholds).map(([limit, { ok }]) => ({ metric, limit, holds: ok })));
}

function momentOf(plan, data, index) {
  const values = (metric) => data.metrics[`${metric}{moment:${momentName(index)}}`]?.values;
  const seconds = plan.seconds / MOMENTS;
  const startup = values("hls_startup_seconds");
  const buffer = values("hls_buffer_seconds");
  return {
    second: index * seconds,
    viewer_requests_per_second: (values("hls_objects")?.count ?? 0) / seconds,
    origin_requests_per_second: plan.tiers.length > 0 ? (values("origin_requests")?.count ?? 0) / seconds : null,
    startup_p95_seconds: startup?.count > 0 ? startup["p(95)"] : null,
    buffer_p5_seconds: buffer?.count > 0 ? buffer["p(5)"] : null,
    rebuffers: values("hls_rebuffers")?.count ?? 0,
  };
}

/** The report for people. */
export function markdown(report, image) {
  const { startup_seconds: startup, players, origin } = report;
  const rows = [
    ["players", `${players.started} of ${players.wanted}, within ${report.arrive_seconds} s, for ${report.watch_seconds} s each`],
    ["startup", trendText(startup, 1000, "ms")],
    ["startup p95 against the baseline", comparison(report)],
    ["seek", trendText(report.seek_seconds, 1000, "ms")],
    ["rebuffers after the start", `${report.rebuffers}, ${round(report.rebuffer_seconds)} s`],
    ["rebuffer ratio", report.rebuffer_ratio === null ? "nothing was played" : `${(report.rebuffer_ratio * 100).toFixed(3)} %`],
    ["bitrate", trendText(report.bitrate_kbps, 1, "kbit/s")],
    ["behind the live edge", trendText(report.live_latency_seconds, 1, "s")],
    ["failed requests", String(report.failed_requests)],
    ["origin amplification", origin.amplification === null
      ? "not measured: METRICS names no tier" : origin.amplification.toFixed(3)],
    ["origin requests per segment", origin.requests_per_segment?.toFixed(3)],
    ["memory of the tiers, end against the first tenth", origin.memory_growth?.toFixed(2)],
    ["failovers", origin.failovers?.toFixed(0)],
    ["hedges", origin.hedges?.toFixed(0)],
    ["tiers lost", origin.tiers_unreadable ? String(origin.tiers_unreadable) : undefined],
  ];
  const parts = [
    `# ${report.scenario}: ${report.passed ? "passed" : "FAILED"}`,
    report.question,
    table(["figure", "value"], rows.filter(([, value]) => value !== undefined)),
    `![requests, startup and buffers](${image})`,
    "## Requests",
    table(["type", "count", "p50 ms", "p95 ms", "max ms"], Object.entries(report.requests).map(([type, found]) =>
      [type, found.count, round(found.p50_ms), round(found.p95_ms), round(found.max_ms)])),
    "## Limits",
    table(["figure", "limit", ""], report.limits.map(({ metric, limit, holds }) => [metric, limit, holds ? "holds" : "**broken**"])),
    ...(Object.keys(report.errors).length > 0
      ? ["## What was wrong", table(["check", "times it failed"], Object.entries(report.errors))] : []),
    ...(report.machine ? [`Machine: ${report.machine}`] : []),
  ];
  return `${parts.join("\n\n")}\n`;
}

function comparison({ startup_p95_to_baseline: times, baseline }) {
  if (times === null) return undefined;
  return `${times.toFixed(2)} × (${baseline.players} starts, p95 ${round(baseline.startup_seconds.p95 * 1000)} ms)`;
}

function trendText(trend, factor, unit) {
  if (!trend) return undefined;
  return `p50 ${round(trend.p50 * factor)} ${unit}, p95 ${round(trend.p95 * factor)} ${unit}`;
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function round(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1);
}
