// Requests per second over the last two minutes: the viewers' line climbs, the origin's stays low.

import { whole } from "./format.js";
import { draw } from "./svg.js";

const SPAN_SECONDS = 120;
const LABEL_WIDTH = 110;
const MARGIN = { left: 40, right: 4, top: 30, bottom: 18 };

export class Chart {
  #svg;
  #points = [];
  #events = [];
  #now = 0;

  constructor(svg) {
    this.#svg = svg;
    new ResizeObserver(() => this.#redraw()).observe(svg);
  }

  push(at, viewer, origin) {
    if (at < this.#now) {
      this.#points = [];
      this.#events = [];
    }
    this.#now = at;
    this.#points.push({ at, viewer: viewer ?? 0, origin: origin ?? 0 });
    const oldest = at - SPAN_SECONDS - 2;
    this.#points = this.#points.filter((point) => point.at >= oldest);
    this.#events = this.#events.filter((event) => event.at >= oldest);
    this.#redraw();
  }

  /** Marks this moment with a few words. */
  mark(text) {
    this.#events.push({ at: this.#now, text });
  }

  #redraw() {
    const { clientWidth: width, clientHeight: height } = this.#svg;
    if (!width || !height) return;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.replaceChildren();
    const top = ceiling(Math.max(4, ...this.#points.map((point) => point.viewer)));
    const floor = height - MARGIN.bottom;
    const x = (at) => width - MARGIN.right - ((this.#now - at) / SPAN_SECONDS) * (width - MARGIN.left - MARGIN.right);
    const y = (rate) => floor - (rate / top) * (floor - MARGIN.top);
    this.#grid(width, top, x, y);
    this.#marks(x, y(top), floor);
    const visible = this.#points.filter((point) => x(point.at) >= MARGIN.left);
    if (visible.length < 2) return;
    const line = (read) => visible.map((point) => `${x(point.at).toFixed(1)} ${y(read(point)).toFixed(1)}`).join(" L");
    const viewer = line((point) => point.viewer);
    draw(this.#svg, "path", { class: "area", d: `M${x(visible[0].at)} ${floor} L${viewer} L${x(visible.at(-1).at)} ${floor} Z` });
    draw(this.#svg, "path", { class: "line viewer", d: `M${viewer}` });
    draw(this.#svg, "path", { class: "line origin", d: `M${line((point) => point.origin)}` });
  }

  #grid(width, top, x, y) {
    for (const rate of [0, top / 2, top]) {
      draw(this.#svg, "line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(rate), y2: y(rate) });
      draw(this.#svg, "text", { class: "axis", x: MARGIN.left - 7, y: y(rate) + 4, "text-anchor": "end", text: whole(rate) });
    }
    for (const ago of width > 500 ? [120, 90, 60, 30] : [120, 60]) {
      const anchor = ago === SPAN_SECONDS ? "start" : "middle";
      draw(this.#svg, "text", { class: "axis", x: x(this.#now - ago), y: y(0) + 15, "text-anchor": anchor, text: `${ago} s ago` });
    }
    draw(this.#svg, "text", { class: "axis", x: x(this.#now), y: y(0) + 15, "text-anchor": "end", text: "now" });
  }

  /** Labels are left of their lines, in two rows; one that fits in neither is left out. */
  #marks(x, top, floor) {
    const taken = [-LABEL_WIDTH, -LABEL_WIDTH];
    for (const event of this.#events) {
      const at = x(event.at);
      if (at < MARGIN.left) continue;
      const row = taken.findIndex((last) => at - last >= LABEL_WIDTH);
      const y = top - 18 + 13 * Math.max(0, row);
      draw(this.#svg, "line", { class: "event", x1: at, x2: at, y1: y - 9, y2: floor });
      if (row < 0) continue;
      taken[row] = at;
      const early = at < MARGIN.left + LABEL_WIDTH;
      draw(this.#svg, "text", { class: "event-text", x: at + (early ? 5 : -5), y, "text-anchor": early ? "start" : "end", text: event.text });
    }
  }
}

/** The next round number: 4, 6, 8, 10, 20, 40, ... */
function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 6, 8, 10].find((step) => step * unit >= value);
  return step * unit;
}
