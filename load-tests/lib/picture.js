// A run as a picture: the requests of viewers and those that reached the origin, the startup times, and the
// shortest buffers. An SVG made by hand; needs no fonts and no scripts.

const WIDTH = 860;
const LEFT = 64;
const RIGHT = 20;
const PANEL = 150;
const GAP = 56;
const TOP = 58;

/** The picture of a report. */
export function picture(report) {
  const { moments } = report;
  const end = moments.at(-1).second + (moments[1].second - moments[0].second);
  const x = (second) => LEFT + (second / end) * (WIDTH - LEFT - RIGHT);
  const middle = (moment, at) => x((moment.second + (moments[at + 1]?.second ?? end)) / 2);
  const series = (name) => moments.map((moment, at) => [middle(moment, at), moment[name]]).filter(([, value]) => value !== null);
  const panels = [
    {
      title: "requests per second", lines: [
        { label: "viewers to edges", colour: "#1f6feb", points: series("viewer_requests_per_second"), filled: true },
        { label: "shields to origin", colour: "#d1242f", points: series("origin_requests_per_second") },
      ],
    },
    {
      title: "startup, seconds, by arrival",
      lines: [{ label: "p95", colour: "#8250df", points: series("startup_p95_seconds"), dots: true }],
    },
    {
      title: "seconds in the buffer", lines: [{ label: "p5 of all players", colour: "#1a7f37", points: series("buffer_p5_seconds") }],
      marks: moments.map((moment, at) => [middle(moment, at), moment.rebuffers]).filter(([, count]) => count > 0),
    },
  ].filter(({ lines }) => lines.some(({ points }) => points.length > 0));
  const height = TOP + panels.length * (PANEL + GAP) + (report.machine ? 14 : 0);
  const drawn = panels.map((panel, index) => drawPanel(panel, TOP + index * (PANEL + GAP), x, end));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="#24292f">
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${text(LEFT, 24, title(report), 'font-size="15" font-weight="bold"')}
${text(LEFT, 42, subtitle(report), 'fill="#57606a"')}
${drawn.join("\n")}
${text(LEFT, height - 12, report.machine, 'fill="#57606a" font-size="11"')}
</svg>
`;
}

function title({ scenario, players, arrive_seconds: arrive, watch_seconds: watch, edges }) {
  const where = edges === 1 ? "one address" : `${edges} addresses`;
  return `${scenario}: ${players.started} players within ${arrive} s, ${watch} s each, on ${where}`;
}

function subtitle({ rebuffers, failed_requests: failed, startup_seconds: startup, origin }) {
  return [
    startup ? `startup p95 ${Math.round(startup.p95 * 1000)} ms` : undefined,
    `${rebuffers} rebuffers`,
    `${failed} failed requests`,
    origin.amplification === null ? undefined : `origin amplification ${origin.amplification.toFixed(2)}`,
  ].filter(Boolean).join(" · ");
}

function drawPanel({ title: name, lines, marks = [] }, top, x, end) {
  const bottom = top + PANEL;
  const highest = nice(Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)), 0));
  const y = (value) => bottom - (value / highest) * (PANEL - 24);
  const grid = [0, highest / 2, highest].map((value) =>
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(value))}" y2="${at(y(value))}" stroke="#d0d7de"/>`
    + text(LEFT - 8, y(value) + 4, label(value), 'text-anchor="end" fill="#57606a"'));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    text(x(end * share), bottom + 16, `${label(end * share)} s`, 'text-anchor="middle" fill="#57606a"'));
  const legend = lines.filter(({ points }) => points.length > 0).map((line, index) =>
    text(LEFT + 220 + index * 150, top + 12, `— ${line.label}`, `fill="${line.colour}"`));
  const drawn = lines.filter(({ points }) => points.length > 0).map((line) => drawLine(line, y, bottom));
  const crosses = marks.map(([where, count]) => text(where, top + 30, `✕${count}`, 'text-anchor="middle" fill="#d1242f"'));
  return [text(LEFT, top + 12, name, 'font-weight="bold"'), ...legend, ...grid, ...ticks, ...drawn, ...crosses].join("\n");
}

function drawLine({ points, colour, filled, dots }, y, bottom) {
  const places = points.map(([where, value]) => `${at(where)},${at(y(value))}`);
  if (dots) return places.map((place) => `<circle cx="${place.replace(",", '" cy="')}" r="3.5" fill="${colour}"/>`).join("");
  const line = `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`;
  if (!filled) return line;
  const area = `${at(points[0][0])},${bottom} ${places.join(" ")} ${at(points.at(-1)[0])},${bottom}`;
  return `<polygon points="${area}" fill="${colour}" fill-opacity="0.15"/>${line}`;
}

function text(x, y, words, attributes) {
  const safe = String(words).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return `<text x="${at(x)}" y="${at(y)}" ${attributes}>${safe}</text>`;
}

/** The next higher of 1, 2, 5, 10, ... */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function label(value) {
  return String(Math.round(value * 1000) / 1000);
}

function at(value) {
  return value.toFixed(1);
}
