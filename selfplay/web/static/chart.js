// Line charts in SVG, with a table of their last values for people who listen.

import { el, svg } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 150;
const LEFT = 44;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;
const COLOURS = 4;

/**
 * A chart of `series`, a list of { name, points: [[x, y], ...] }.
 * `range` fixes the y axis, `cursor` is an x to mark, `unit` and `across` name the axes.
 */
export function chart(series, { label, range = null, cursor = null, across = "", format = short } = {}) {
  const points = series.flatMap((line) => line.points);
  if (!points.length) return el("p", { class: "quiet" }, "Nothing to show yet.");
  const xs = points.map(([x]) => x);
  const x = scale([Math.min(...xs, cursor ?? Infinity), Math.max(...xs, cursor ?? -Infinity)], LEFT, WIDTH - RIGHT);
  const y = scale(range ?? padded(points.map(([, value]) => value)), HEIGHT - BOTTOM, TOP);
  const parts = [];
  for (const tick of ticks(y.low, y.high)) {
    parts.push(
      svg("line", { class: tick === 0 ? "axis" : "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
    );
    parts.push(svg("text", { class: "tick left", x: LEFT - 5, y: y(tick) }, format(tick)));
  }
  const ends = x.low === x.high ? [x.low] : [x.low, x.high];
  ends.forEach((tick, i) =>
    parts.push(svg("text", { class: `tick ${i ? "end" : "start"}`, x: x(tick), y: HEIGHT - 5 }, short(tick))),
  );
  if (across) parts.push(svg("text", { class: "tick middle", x: (LEFT + WIDTH) / 2, y: HEIGHT - 5 }, across));
  if (cursor !== null)
    parts.push(svg("line", { class: "cursor", x1: x(cursor), x2: x(cursor), y1: TOP, y2: HEIGHT - BOTTOM }));
  series.forEach((line, i) => {
    const path = line.points.map(([px, py], k) => `${k ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
    parts.push(svg("path", { class: `line-${i % COLOURS}`, d: path }));
    if (line.points.length < 30)
      for (const [px, py] of line.points)
        parts.push(svg("circle", { class: `dot-${i % COLOURS}`, cx: x(px), cy: y(py), r: 2.2 }));
  });
  const last = series.map((line) => `${line.name}: ${format(line.points[line.points.length - 1]?.[1])}`).join("; ");
  const picture = svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${label}. Last: ${last}` },
    parts,
  );
  const names =
    series.length > 1
      ? el(
          "p",
          { class: "legend" },
          series.map((line, i) => el("span", { class: `key-${i % COLOURS}` }, line.name)),
        )
      : null;
  return el("div", {}, ...[picture, names].filter(Boolean));
}

export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(+value.toPrecision(size < 0.01 ? 2 : 3));
}

function scale([low, high], start, end) {
  const width = high - low || 1;
  const place = (value) => start + ((Math.max(low, Math.min(high, value)) - low) / width) * (end - start);
  return Object.assign(place, { low, high });
}

function padded(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}

function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(+(k * step).toPrecision(12));
  return found;
}
