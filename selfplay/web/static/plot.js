// Line plots by uPlot: lines, a band around the first, a legend whose numbers follow the pointer.

import { el } from "./dom.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 200;
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3], [12, 4], [4, 2, 1, 2]];
const FONT = "12px system-ui, 'DejaVu Sans', sans-serif";

/**
 * A plot of `series`, a list of { name, points: [[x, y], ...] }, as an element that fits the width that it gets.
 * `label` says what it shows; `range` fixes the y axis, `cursor` is an x to mark, `across` names the x axis, `band` is
 * { low, high }, two lists of points.
 */
export function plot(series, { label, range = null, cursor = null, across = "", band = null, format = short } = {}) {
  if (!series.some((line) => line.points.length)) return el("p", { class: "quiet" }, "Nothing to show yet.");
  const hidden = band ? [{ points: band.low }, { points: band.high }] : [];
  const data = aligned([...series, ...hidden]);
  const last = (line) => line.points[line.points.length - 1]?.[1];
  const said = series.map((line) => `${line.name}: ${format(last(line))}`).join("; ");
  const values = series.map((line) => el("span", { class: "value" }, format(last(line))));
  const picture = el("div", { class: "plot", role: "img", "aria-label": `${label}. Last: ${said}` });
  const keys = series.map((line, i) => el("span", { class: `key-${i % DASHES.length}` }, `${line.name} `, values[i]));
  let drawn = null;

  function draw(width) {
    const colour = (name) => getComputedStyle(picture).getPropertyValue(name).trim();
    const grid = { stroke: colour("--edge"), width: 1 };
    const axis = { stroke: colour("--quiet"), font: FONT, grid, ticks: { show: false } };
    const below = { label: across || null, labelSize: 14, labelGap: 0, labelFont: FONT, gap: 4 };
    below.values = (_, ticks) => ticks.map(short);
    const line = (_, i) => ({
      stroke: colour(`--line-${i % DASHES.length}`),
      dash: DASHES[i % DASHES.length],
      width: 2,
      spanGaps: true,
      points: { show: data[0].length < 30, size: data[0].length < 4 ? 9 : 5 },
    });
    const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
    const first = series.length + 1;
    drawn?.destroy();
    drawn = new uPlot(
      {
        width,
        height: HEIGHT,
        series: [{}, ...series.map(line), ...hidden.map(() => edge)],
        bands: band ? [{ series: [first + 1, first], fill: colour("--band") }] : [],
        scales: { x: { time: false, range: around }, y: range ? { range } : {} },
        axes: [
          { ...axis, ...below, size: 26 },
          { ...axis, size: 52, values: (_, ticks) => ticks.map(format) },
        ],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        hooks: {
          setCursor: [({ cursor: { idx } }) => tell(idx ?? null)],
          drawAxes: cursor === null ? [] : [(u) => mark(u, cursor, colour("--last"))],
        },
      },
      data,
      picture,
    );
  }

  function tell(index) {
    series.forEach((line, i) => {
      const value = index === null ? last(line) : data[i + 1][index];
      values[i].textContent = format(value);
    });
  }

  let width = 0;
  new ResizeObserver(([entry]) => {
    const found = Math.floor(entry.contentRect.width);
    if (found > 0 && found !== width) draw((width = found));
  }).observe(picture);
  const legend = el("p", { class: "legend" }, keys);
  return el("div", { class: "plot-frame" }, picture, ...(series.length > 1 ? [legend] : []));
}

/** One list of x for all lines, and for each its values there. */
function aligned(lines) {
  const xs = [...new Set(lines.flatMap((line) => line.points.map(([x]) => x)))].sort((a, b) => a - b);
  return [xs, ...lines.map((line) => xs.map(((known) => (x) => known.get(x) ?? null)(new Map(line.points))))];
}

/** The x axis, with some room where there is one point only. */
function around(u, low, high) {
  return low === high || low === null ? [(low ?? 0) - 1, (high ?? 0) + 1] : [low, high];
}

function mark(u, x, colour) {
  const at = Math.round(u.valToPos(x, "x", true));
  u.ctx.save();
  u.ctx.strokeStyle = colour;
  u.ctx.setLineDash([4, 3]);
  u.ctx.beginPath();
  u.ctx.moveTo(at, u.bbox.top);
  u.ctx.lineTo(at, u.bbox.top + u.bbox.height);
  u.ctx.stroke();
  u.ctx.restore();
}

export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(+value.toPrecision(size < 0.01 ? 2 : 3));
}
