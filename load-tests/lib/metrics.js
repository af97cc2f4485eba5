// The measurements of players, besides those that k6 makes for every request.
//
// Some have the tag `moment`: the part of the run in which they were made, 00, 01, ... The report draws its
// picture from those.

import exec from "k6/execution";
import { Counter, Gauge, Trend } from "k6/metrics";

/** The number of parts of a run in the picture. */
export const MOMENTS = 40;

// The experience of viewers.
export const startup = new Trend("hls_startup_seconds");
export const players = new Counter("hls_players_started");
export const gaveUp = new Counter("hls_players_gave_up");
export const rebuffers = new Counter("hls_rebuffers");
export const rebufferSeconds = new Counter("hls_rebuffer_seconds");
export const playedSeconds = new Counter("hls_played_seconds");
export const rebufferRatio = new Trend("hls_rebuffer_ratio");
export const bufferSeconds = new Trend("hls_buffer_seconds");
export const bitrate = new Trend("hls_bitrate_kbps");
export const switches = new Counter("hls_switches");
export const liveLatency = new Trend("hls_live_latency_seconds");
export const playlistAge = new Trend("hls_playlist_age_seconds");
export const missedSegments = new Counter("hls_segments_missed");
export const seekSeconds = new Trend("hls_seek_seconds");

// The requests of players.
export const objects = new Counter("hls_objects");
export const bytes = new Counter("hls_bytes");

// The counters of the tiers and the origins, read beside the players.
export const originRequests = new Counter("origin_requests");
export const amplification = new Gauge("origin_amplification");
export const perSegment = new Gauge("origin_requests_per_segment");
export const failovers = new Gauge("tier_failovers");
export const hedges = new Gauge("tier_hedges");
export const memoryGrowth = new Gauge("tier_memory_growth");
export const unreadable = new Gauge("tiers_unreadable");

// Read once by each virtual user: k6 computes it again every time.
let start;

/** The tag of this moment, in a run of this many seconds. */
export function moment(runSeconds) {
  start ??= exec.scenario.startTime;
  const passed = (Date.now() - start) / 1000;
  return { moment: momentName(Math.min(MOMENTS - 1, Math.floor((passed / runSeconds) * MOMENTS))) };
}

export function momentName(index) {
  return String(index).padStart(2, "0");
}

/** The sub-metrics that the picture needs. An empty list is no threshold; k6 keeps the sub-metric all the same. */
export function moments() {
  const wanted = {};
  for (const name of ["hls_startup_seconds", "hls_buffer_seconds", "hls_objects", "hls_rebuffers", "origin_requests"]) {
    for (let index = 0; index < MOMENTS; index += 1) wanted[`${name}{moment:${momentName(index)}}`] = [];
  }
  return wanted;
}
