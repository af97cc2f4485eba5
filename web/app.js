// The page: reads the demo's state every second, shows it, and sends the commands of the buttons.

import { Chart } from "./chart.js";
import { NONE, clock, perSecond, percent, short, whole } from "./format.js";
import { TierMap, picture } from "./map.js";
import { Player } from "./player.js";
import { Rates } from "./rates.js";

const PERIOD_MS = 1000;
const TIMEOUT_MS = 4000;
const VIEWERS_STEP = 100;

const at = (id) => document.getElementById(id);
const rates = new Rates();
const map = new TierMap(at("map"));
const chart = new Chart(at("chart"));
const player = new Player(at("video"), (text) => alertUser("player", text));
let state = null;

/** Shows an error of one kind until the same kind is cleared with `null`. */
const alerts = new Map();
function alertUser(kind, text) {
  if ((alerts.get(kind) ?? null) === text) return;
  if (text === null) alerts.delete(kind);
  else alerts.set(kind, text);
  at("alerts").replaceChildren(
    ...[...alerts.values()].map((words) => Object.assign(document.createElement("p"), { className: "alert", textContent: words })),
  );
}

function put(id, text) {
  const element = at(id);
  if (element.textContent !== text) element.textContent = text;
}

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
  return answer.json();
}

async function refresh() {
  try {
    const fresh = await ask("GET", "api/state");
    alertUser("connection", null);
    show(fresh);
  } catch {
    alertUser("connection", "The demo does not answer. Is it still running?");
    at("alive").className = "alive down";
    put("alive-text", "no answer");
  } finally {
    setTimeout(refresh, PERIOD_MS);
  }
}

function show(fresh) {
  const first = state === null;
  state = fresh;
  rates.push(state);
  if (first) openPlayer();
  const viewerRate = rates.of((s) => s.totals.viewer_requests);
  const originRate = rates.of((s) => s.totals.origin_requests);
  showTotals(viewerRate, originRate);
  map.show(...picture(state, rates, playersHere()));
  chart.push(state.uptime_seconds, viewerRate, originRate);
  showButtons();
  showTable();
  put("story", story());
  at("alive").className = "alive up";
  put("alive-text", `running for ${clock(state.uptime_seconds)}`);
  alertUser("problems", state.problems.length > 0 ? state.problems.join(" ") : null);
}

const playersHere = () => (player.playing ? 1 : 0);

function hitRatio(tiers) {
  const sum = (read) => tiers.reduce((total, tier) => total + read(tier), 0);
  const lookups = sum((tier) => tier.lookups);
  return lookups > 0 ? sum((tier) => tier.hits) / lookups : null;
}

function showTotals(viewerRate, originRate) {
  const { totals, viewers } = state;
  put("viewer-requests", short(totals.viewer_requests));
  put("viewer-rate", viewerRate == null ? "" : perSecond(viewerRate));
  put("origin-requests", short(totals.origin_requests));
  put("origin-rate", originRate == null ? "" : perSecond(originRate));
  put("amplification", totals.origin_amplification == null ? NONE : totals.origin_amplification.toFixed(2));
  put("needed", totals.origin_amplification == null ? "" : `${short(totals.origin_needed)} needed`);
  put("edge-ratio", percent(hitRatio(state.edges)));
  put("shield-ratio", `shield ${percent(hitRatio(state.shields))}`);
  put("players", whole(viewers.watching + playersHere()));
  put("players-note", troubleOfViewers());
  put("legend-viewer", perSecond(viewerRate));
  put("legend-origin", perSecond(originRate));
}

function troubleOfViewers() {
  const { errors, stalls } = state.viewers;
  return `${whole(errors)} failed requests, ${whole(stalls)} stalls`;
}

function story() {
  const { totals, origins, viewers } = state;
  if (origins.some((origin) => origin.up === false)) return outageStory();
  troubleBefore = null;
  if (!state.stream) return "The tiers are running in front of your origin.";
  if (viewers.watching === 0) return "One player, one edge, one shield, one origin. Now add viewers.";
  if (totals.origin_requests === 0) return `${whole(viewers.watching)} viewers watch through ${state.edges.length} edges.`;
  const times = totals.viewer_requests / totals.origin_requests;
  return `${whole(viewers.watching)} viewers watch. The origin is asked once for what viewers have asked for ${whole(times)} times.`;
}

/** The errors of viewers before the primary origin was stopped; `null` while it runs. */
let troubleBefore = null;

function outageStory() {
  const trouble = state.viewers.errors + state.viewers.stalls;
  troubleBefore ??= trouble;
  const met = trouble - troubleBefore;
  const since = met === 0 ? "no viewer has noticed" : `failed requests and stalls since then: ${whole(met)}`;
  return `The primary origin is stopped. The shield uses the backup; ${since}.`;
}

function showButtons() {
  const { viewers, origins } = state;
  const room = viewers.max - viewers.watching;
  at("add").disabled = !state.stream || room <= 0;
  at("add").title = !state.stream ? "Start the demo with --stream PATH to have viewers" : `At most ${viewers.max} viewers`;
  at("remove").disabled = viewers.watching === 0;
  const primary = origins[0];
  const button = at("primary");
  const own = primary?.up == null;
  button.disabled = own;
  button.title = own ? "The demo does not control your own origin" : "";
  button.className = primary?.up === false ? "restore" : "danger";
  put("primary", primary?.up === false ? "Start the primary origin" : "Stop the primary origin");
}

function showTable() {
  const rows = [
    ...[...state.edges, ...state.shields].map((tier) => [tier.name, tier.url, tier.up ? "up" : "no answer", whole(tier.requests), whole(tier.hits), percent(tier.hit_ratio)]),
    ...state.origins.map((origin) => [origin.name, origin.url, origin.up === false ? "stopped" : origin.role, whole(origin.requests), NONE, NONE]),
  ];
  at("rows").replaceChildren(...rows.map(tableRow));
  const { playlists, segments, body_bytes: bytes, last_error: last } = state.viewers;
  put("swarm-note", `The added viewers have read ${whole(playlists)} playlists and ${whole(segments)} segments, ${(bytes / 1e6).toFixed(1)} MB.${last ? ` Last failure: ${last}` : ""}`);
}

function tableRow([name, ...cells]) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
  row.append(head, ...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return row;
}

function openPlayer() {
  const pick = at("edge");
  pick.replaceChildren(...state.edges.map((edge) => new Option(edge.name, edge.url)));
  if (!state.stream) {
    at("screen-note").hidden = false;
    at("video").hidden = true;
    put("screen-note", "Start the demo with --stream /path/of/the/multivariant.m3u8 to watch your stream here.");
    pick.disabled = true;
    return;
  }
  const open = () => player.load(pick.value + state.stream);
  pick.addEventListener("change", open);
  open();
}

/** Marks an event in the chart, and announces it to people who do not see the chart. */
function happened(text) {
  chart.mark(text);
  put("said", text);
}

/** Connects a button: while its request is under way it cannot be pressed again, and an error is shown. */
function onPress(id, act) {
  at(id).addEventListener("click", async () => {
    at(id).disabled = true;
    try {
      await act();
      alertUser("action", null);
    } catch (error) {
      alertUser("action", `That did not work: ${error.message}`);
    }
    if (state) showButtons();
  });
}

onPress("add", async () => {
  const { added } = await ask("POST", "api/viewers", { add: VIEWERS_STEP });
  state.viewers.watching += added;
  happened(`+${added} viewers`);
});

onPress("remove", async () => {
  await ask("DELETE", "api/viewers");
  state.viewers.watching = 0;
  happened("viewers left");
});

onPress("primary", async () => {
  const up = state.origins[0].up === false;
  await ask("POST", "api/origin/primary", { up });
  state.origins[0].up = up;
  happened(up ? "primary started" : "primary stopped");
});

setInterval(() => {
  for (const [id, text] of Object.entries(player.facts())) put(id, text);
}, 250);

refresh();
