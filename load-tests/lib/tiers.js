// The counters of the tiers and the origin stubs, read over their operators' listeners.

import http from "k6/http";

// These requests are not a viewer's: they may fail without being counted as failed, and have a separate type.
const QUIET = { responseType: "text", responseCallback: null, timeout: "5s", tags: { name: "admin", type: "admin" } };

/** The counters of each tier, in the order of the addresses; undefined for one that does not respond. */
export function readTiers(addresses) {
  const urls = addresses.map((address) => (address.endsWith("/metrics") ? address : `${address}/metrics`));
  return http.batch(urls.map((url) => ["GET", url, null, QUIET])).map((answer) =>
    answer.status === 200 ? countersOf(answer.body) : undefined);
}

/** The counters of a tier, from Prometheus's text. */
export function countersOf(text) {
  const sum = (name) => {
    let total = 0;
    for (const [, value] of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)`, "gm"))) total += Number(value);
    return total;
  };
  return {
    tier: /\btier="(\w+)"/.exec(text)?.[1],
    requests: sum("tidegate_origin_requests_total"),
    needed: sum("tidegate_origin_requests_needed_total"),
    failovers: sum("tidegate_failovers_total"),
    hedges: sum("tidegate_hedges_total"),
    memory: sum("process_resident_memory_bytes"),
  };
}

/** The growth of the counters between two readings; `unreadable` counts tiers that are missing in either. */
export function between(before, after) {
  const pairs = after.map((tier, index) => ({ before: before[index], after: tier }));
  const known = pairs.filter((pair) => pair.before && pair.after);
  // A restarted tier counts from zero.
  const grown = (pair, name) => pair.after[name] - (pair.after[name] < pair.before[name] ? 0 : pair.before[name]);
  const sum = (among, name) => among.reduce((total, pair) => total + grown(pair, name), 0);
  // Only the tiers that face the origin: the shields, or edges that have none.
  const shields = known.filter((pair) => pair.after.tier === "shield");
  const facing = shields.length > 0 ? shields : known;
  return {
    requests: sum(facing, "requests"),
    needed: sum(facing, "needed"),
    failovers: sum(known, "failovers"),
    hedges: sum(known, "hedges"),
    unreadable: pairs.length - known.length,
  };
}

/** The number of requests for each segment at an origin stub, by path. */
export function readSegments(admin) {
  const answer = http.get(`${admin}/v1/requests`, QUIET);
  const paths = Object.entries(answer.json("paths"));
  return Object.fromEntries(paths.filter(([path]) => /\.(ts|m4s)$/.test(path)).map(([path, { total }]) => [path, total]));
}

/** Requests for each segment that was requested between two readings of all stubs. */
export function requestsPerSegment(before, after) {
  const asked = new Map();
  after.forEach((stub, index) => {
    for (const [path, total] of Object.entries(stub)) {
      const grown = total - (before[index][path] ?? 0);
      if (grown > 0) asked.set(path, (asked.get(path) ?? 0) + grown);
    }
  });
  return [...asked.values()].reduce((sum, requests) => sum + requests, 0) / asked.size;
}

/** Injects a fault into an origin stub. */
export function order(admin, fault) {
  const answer = http.post(`${admin}/v1/faults`, fault, QUIET);
  if (answer.status !== 201) throw new Error(`${admin} does not accept the fault ${fault}: ${answer.status} ${answer.body}`);
}

/** Removes all its faults. */
export function pardon(admin) {
  const answer = http.del(`${admin}/v1/faults`, null, QUIET);
  if (answer.status !== 204) throw new Error(`${admin} does not remove its faults: ${answer.status} ${answer.error}`);
}

/** Stops or starts the primary origin of `tidegate demo`, by the address of its page. */
export function switchPrimary(page, up) {
  const body = JSON.stringify({ up });
  const answer = http.post(`${page}/api/origin/primary`, body, { ...QUIET, headers: { "Content-Type": "application/json" } });
  if (answer.status !== 200) throw new Error(`${page} does not switch its origin: ${answer.status} ${answer.body}`);
}
