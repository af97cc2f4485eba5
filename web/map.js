// The tier map: viewers → edges → shields → origins, redrawn only when its shape changes.

import { perSecond, percent, short, whole } from "./format.js";
import { draw } from "./svg.js";

const NARROW = matchMedia("(max-width: 640px)");
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** The positions of the columns (or, on a phone, the rows) of nodes. */
const WIDE = { width: 760, height: 360, boxWidth: 136, viewersWidth: 124, level: [1, 202, 413, 623] };
const TALL = { width: 360, height: 582, boxWidth: 164, viewersWidth: 358, level: [1, 146, 318, 490] };

export class TierMap {
  #svg;
  #shape = "";
  #nodes = new Map();
  #links = new Map();

  constructor(svg) {
    this.#svg = svg;
  }

  /** Shows `nodes` (lists of {id, kind, name, state, down, big, line, share} by level) and `links` ({from, to, kind, rate}). */
  show(levels, links) {
    const shape = JSON.stringify([NARROW.matches, levels.map((level) => level.map((node) => node.id)), links.map((link) => link.from + link.to)]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#lay(levels, links);
    }
    for (const node of levels.flat()) this.#nodes.get(node.id)(node);
    for (const link of links) this.#links.get(link.from + link.to)(link);
  }

  #lay(levels, links) {
    const plan = NARROW.matches ? TALL : WIDE;
    this.#svg.replaceChildren();
    this.#svg.setAttribute("viewBox", `0 0 ${plan.width} ${plan.height}`);
    const boxes = new Map();
    levels.forEach((level, depth) =>
      level.forEach((node, index) => boxes.set(node.id, place(plan, depth, node, index, level.length))),
    );
    const lines = draw(this.#svg, "g");
    const labels = draw(this.#svg, "g");
    this.#links = new Map(
      links.map((link) => [link.from + link.to, drawLink(lines, labels, link, boxes.get(link.from), boxes.get(link.to))]),
    );
    this.#nodes = new Map(levels.flat().map((node) => [node.id, drawNode(this.#svg, boxes.get(node.id))]));
  }
}

/** The box of one node; nodes without a hit ratio are lower. */
function place(plan, depth, node, index, count) {
  const width = depth === 0 ? plan.viewersWidth : plan.boxWidth;
  const height = node.share === undefined ? 84 : 112;
  const share = (index + 0.5) / count;
  if (plan === TALL) return { x: share * plan.width - width / 2, y: plan.level[depth], width, height };
  return { x: plan.level[depth], y: share * plan.height - height / 2, width, height };
}

/** Draws one box; returns the function that shows new values in it. */
function drawNode(svg, box) {
  const group = draw(svg, "g", { transform: `translate(${box.x} ${box.y})` });
  draw(group, "rect", { class: "box", width: box.width, height: box.height, rx: 12 });
  const name = draw(group, "text", { class: "name", x: 13, y: 24 });
  const state = draw(group, "text", { class: "small state", x: box.width - 13, y: 51, "text-anchor": "end" });
  const big = draw(group, "text", { class: "big", x: 13, y: 51 });
  const line = draw(group, "text", { class: "small", x: 13, y: 70 });
  const share = gauge(group, box);
  return (now) => {
    group.setAttribute("class", `node ${now.kind}${now.down ? " down" : ""}`);
    name.textContent = now.name;
    state.textContent = now.state ?? "";
    big.textContent = now.big;
    line.textContent = now.line;
    share(now);
  };
}

/** The bar with the hit ratio, for nodes that have one. */
function gauge(group, box) {
  const width = box.width - 26;
  const track = draw(group, "rect", { class: "track", x: 13, y: 81, width, height: 5, rx: 2.5 });
  const bar = draw(group, "rect", { class: "gauge", x: 13, y: 81, width: 0, height: 5, rx: 2.5 });
  const text = draw(group, "text", { class: "small", x: 13, y: 102 });
  return ({ share }) => {
    for (const part of [track, bar, text]) part.setAttribute("visibility", share === undefined ? "hidden" : "visible");
    bar.setAttribute("width", width * (share ?? 0));
    text.textContent = `hit ratio ${percent(share)}`;
  };
}

/** Draws one connection; returns the function that shows a new rate on it. */
function drawLink(lines, labels, link, from, to) {
  const path = NARROW.matches ? curveDown(from, to) : curveRight(from, to);
  draw(lines, "path", { class: "link", d: path });
  const flow = draw(lines, "path", { class: `flow ${link.kind}`, d: path });
  const middle = flow.getPointAtLength(flow.getTotalLength() / 2);
  const label = draw(labels, "text", { class: "rate", x: middle.x, y: middle.y + 4 });
  const motion = STILL.matches
    ? null
    : flow.animate([{ strokeDashoffset: 0 }, { strokeDashoffset: -16 }], { duration: 1000, iterations: Infinity });
  return ({ rate }) => {
    const busy = rate > 0.05;
    flow.classList.toggle("busy", busy);
    flow.style.strokeWidth = `${Math.min(11, 4 + 1.6 * Math.log10(1 + (rate ?? 0)))}px`;
    motion?.updatePlaybackRate(busy ? Math.min(6, 0.7 + Math.sqrt(rate) / 3) : 0.2);
    label.textContent = rate == null ? "" : perSecond(rate);
  };
}

function curveRight(from, to) {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x, to.y + to.height / 2];
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function curveDown(from, to) {
  const [x2, y2] = [to.x + to.width / 2, to.y];
  const centre = from.x + from.width / 2;
  // A wide box lets each line start above its target.
  const x1 = Math.abs(from.width - to.width) > 60 ? x2 : centre;
  const y1 = from.y + from.height;
  const bend = (y2 - y1) / 2;
  return `M${x1} ${y1} C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

/** The nodes and links of a snapshot, with the current `rates` and the number of players on this page. */
export function picture(state, rates, playersHere) {
  const players = state.viewers.watching + playersHere;
  const viewers = {
    id: "viewers",
    kind: "viewers",
    name: players === 1 ? "1 player" : `${whole(players)} players`,
    big: perSecond(rates.of((s) => s.totals.viewer_requests)),
    line: `${short(state.totals.viewer_requests)} requests`,
  };
  const tier = (list) => (node, index) => ({
    id: node.name,
    kind: "tier",
    name: node.name,
    state: node.up ? "" : "no answer",
    down: !node.up,
    big: perSecond(rates.of((s) => s[list][index]?.requests)),
    line: `${short(node.requests)} requests`,
    share: node.hit_ratio,
  });
  const levels = [[viewers], state.edges.map(tier("edges")), state.shields.map(tier("shields")), state.origins.map((node, index) => origin(node, index, rates))];
  return [levels, links(state, rates)];
}

function origin(node, index, rates) {
  const down = node.up === false;
  return {
    id: node.name,
    kind: "origin",
    name: node.name,
    state: down ? "stopped" : node.role,
    down,
    big: perSecond(originRate(index, rates)),
    line: node.requests == null ? "your own" : `${short(node.requests)} requests`,
  };
}

/** The demo's own origins count their requests; a single one of the user's has the count of the shields. */
function originRate(index, rates) {
  return rates.of((s) => (s.origins.length === 1 ? s.totals.origin_requests : s.origins[index]?.requests));
}

function links(state, rates) {
  const all = [];
  state.edges.forEach((edge, index) => {
    all.push({ from: "viewers", to: edge.name, kind: "viewers", rate: rates.of((s) => s.edges[index]?.requests) });
    for (const shield of state.shields) all.push({ from: edge.name, to: shield.name, kind: "tier", rate: rates.of((s) => s.edges[index]?.upstream_requests) });
  });
  for (const shield of state.shields) {
    state.origins.forEach((node, index) => {
      all.push({ from: shield.name, to: node.name, kind: "origin", rate: originRate(index, rates) });
    });
  }
  return all;
}
