// What boards are drawn from: pieces, hexagons, arrows, boxes around them. Units are cells.

import { svg } from "./dom.js";

/** Of hexagons whose centres in a row are 1 apart. */
export const HEX_RADIUS = 0.577;

/** Text in hundredths of a cell: fonts of less than a unit are drawn badly by some browsers. */
export function written(kind, x, y, text) {
  return svg("text", { class: kind, transform: `translate(${x} ${y}) scale(0.01)` }, text);
}

export function rect(cell, width, height, kind) {
  return svg("rect", { class: kind, x: cell.x - width / 2, y: cell.y - height / 2, width, height });
}

export function piece(cell, figures) {
  const [colour, sign] = cell.piece;
  const [width, height] = cell.size ?? [1, 1];
  if (width < 0.5 || height < 0.5) return [rect(cell, width, height, `drawn ${colour}`)];
  const parts = [];
  const figure = figures && sign;
  if (colour !== "none" && !figure)
    parts.push(svg("circle", { class: `stone ${colour}`, cx: cell.x, cy: cell.y, r: 0.42 * Math.min(width, height) }));
  if (sign) {
    const kind = figure ? `figure ${colour}` : `sign ${colour === "none" ? "plain" : `on-${colour}`}`;
    const length = [...sign.replace("\ufe0e", "")].length;
    parts.push(written(`${kind} length-${Math.min(length, 5)}`, cell.x, cell.y, sign));
  }
  return parts;
}

export function hexagon(x, y) {
  const angles = [0, 1, 2, 3, 4, 5].map((k) => (Math.PI / 3) * k + Math.PI / 6);
  return angles
    .map((angle) => `${(x + HEX_RADIUS * Math.cos(angle)).toFixed(3)},${(y + HEX_RADIUS * Math.sin(angle)).toFixed(3)}`)
    .join(" ");
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
