// What the origin was asked, and what it had to be asked: read where the tiers and the demo report it.

import http from "k6/http";

const QUIET = { responseType: "text", tags: { name: "admin", type: "admin" } };

/** The totals of a demo: `{origin_requests, origin_needed, origin_amplification}`. */
export function demoTotals(page) {
  return http.get(`${page.replace(/\/$/, "")}/api/state`, QUIET).json("totals");
}

/** Requests per segment at an origin stub: `{segments, requests}` over all segments that were ever asked for. */
export function stubSegments(admin) {
  const paths = http.get(`${admin.replace(/\/$/, "")}/v1/requests`, QUIET).json("paths");
  const counts = Object.entries(paths).filter(([path]) => /\.(ts|m4s|mp4)$/.test(path));
  return { segments: counts.length, requests: counts.reduce((sum, [, count]) => sum + count.total, 0) };
}
