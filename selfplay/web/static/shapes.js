// What boards are drawn from: pieces, hexagons, arrows, boxes around them. Units are cells.

import { svg } from "./dom.js";
import { OUTLINES } from "./vendor/fontawesome/chess.js";

/** Of hexagons whose centres in a row are 1 apart. */
export const HEX_RADIUS = 0.577;

/** Signs of pieces that have an outline. */
const FIGURES = { "♚": "king", "♛": "queen", "♜": "rook", "♝": "bishop", "♞": "knight", "♟": "pawn" };
const FIGURE_HEIGHT = { pawn: 0.7, rook: 0.76 };
const OUTLINE_UNITS = 544;

/** Noughts and crosses, as drawn with a pen; `r` is half their size. */
const STROKES = {
  "×": ({ x, y }, r) => {
    const side = 2 * r;
    return svg("path", { class: "cross", d: `M${x - r} ${y - r}l${side} ${side}m0 ${-side}l${-side} ${side}` });
  },
  "○": (cell, r) => circle(cell, r, "nought"),
};

/** Radius of stones, by what the board is made of. */
const STONE = { wood: 0.47, rack: 0.43 };

/** Text in hundredths of a cell: fonts of less than a unit are drawn badly by some browsers. */
export function written(kind, x, y, text, size = 1) {
  return svg("text", { class: kind, transform: `translate(${x} ${y}) scale(${0.01 * size})` }, text);
}

export function rect(cell, width, height, kind) {
  return svg("rect", { class: kind, x: cell.x - width / 2, y: cell.y - height / 2, width, height });
}

export function circle(cell, r, kind) {
  return svg("circle", { class: kind, cx: cell.x, cy: cell.y, r });
}

/** The piece of a cell, as a group that can be moved. */
export function piece(cell, figures, material) {
  const [colour, sign] = cell.piece;
  const [width, height] = cell.size ?? [1, 1];
  const plain = sign.replace("\ufe0e", "");
  if (width < 0.5 || height < 0.5) return svg("g", {}, rect(cell, width, height, `drawn ${colour}`));
  const figure = figures && sign;
  if (figure && FIGURES[plain]) return svg("g", {}, outline(cell, FIGURES[plain], colour));
  if (colour === "none" && STROKES[plain]) return svg("g", {}, STROKES[plain](cell, 0.28 * Math.min(width, height)));
  const parts = [];
  const isStone = colour !== "none" && !figure;
  const r = stoneRadius(cell, material);
  if (isStone) parts.push(circle(cell, r, `stone ${colour}`), ...relief(cell, r, material));
  if (sign && !(isStone && material === "rack")) {
    const kind = figure ? `figure ${colour}` : `sign ${colour === "none" ? "plain" : `on-${colour}`}`;
    parts.push(written(`${kind} length-${Math.min([...plain].length, 5)}`, cell.x, cell.y, sign));
  }
  return svg("g", {}, parts);
}

export function stoneRadius(cell, material) {
  return (STONE[material] ?? 0.42) * Math.min(...(cell.size ?? [1, 1]));
}

/** What makes a disc look like a disc: light on a stone, the rim of a disc in a rack. */
function relief(cell, r, material) {
  if (material === "rack") return [circle(cell, r * 0.7, "rim")];
  if (!material) return [];
  return [circle({ x: cell.x - 0.3 * r, y: cell.y - 0.35 * r }, 0.3 * r, "shine")];
}

function outline(cell, name, colour) {
  const [width, path] = OUTLINES[name];
  const scale = (FIGURE_HEIGHT[name] ?? 0.84) / OUTLINE_UNITS;
  const transform = `translate(${cell.x} ${cell.y}) scale(${scale}) translate(${-width / 2} -240)`;
  return svg("path", { class: `outline ${colour}`, transform, d: path });
}

export function hexagon(x, y) {
  const angles = [0, 1, 2, 3, 4, 5].map((k) => (Math.PI / 3) * k + Math.PI / 6);
  return angles
    .map((angle) => `${(x + HEX_RADIUS * Math.cos(angle)).toFixed(3)},${(y + HEX_RADIUS * Math.sin(angle)).toFixed(3)}`)
    .join(" ");
}

/** The front of a rack: a plate with a round hole over each cell. */
export function rackFront(cells, { left, top, width, height }) {
  const [right, bottom, corner] = [left + width, top + height, 0.3];
  const plate =
    `M${left + corner} ${top}H${right - corner}a${corner} ${corner} 0 0 1 ${corner} ${corner}V${bottom - corner}` +
    `a${corner} ${corner} 0 0 1 ${-corner} ${corner}H${left + corner}a${corner} ${corner} 0 0 1 ${-corner} ` +
    `${-corner}V${top + corner}a${corner} ${corner} 0 0 1 ${corner} ${-corner}z`;
  const r = 0.39;
  const holes = cells.map(({ x, y }) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`);
  return [
    svg("path", { class: "plate", "fill-rule": "evenodd", d: plate + holes.join("") }),
    ...cells.map((cell) => circle(cell, r + 0.015, "hole")),
  ];
}

export function arrowHead(number) {
  const attributes = {
    id: `head-${number}`,
    viewBox: "0 0 4 4",
    refX: 2.4,
    refY: 2,
    markerWidth: 2.6,
    markerHeight: 2.6,
    orient: "auto",
  };
  return svg("defs", {}, svg("marker", attributes, svg("path", { class: "arrow-head", d: "M0 0 L4 2 L0 4 z" })));
}

export function corners(x, y, width, height) {
  return [
    [x - width / 2, y - height / 2],
    [x + width / 2, y + height / 2],
  ];
}

/** The box around points, with some room. */
export function around(points, room) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, top] = [Math.min(...xs) - room, Math.min(...ys) - room];
  return { left, top, width: Math.max(...xs) + room - left, height: Math.max(...ys) + room - top };
}
