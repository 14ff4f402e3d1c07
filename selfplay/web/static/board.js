// The board: a drawing below, a real button over each cell above it.
//
// The server says where cells are and which moves can be clicked where. A move is one click, or two where a piece goes
// from a cell to another; where several moves remain, the page asks.

import { announce, byId, el, percent, signed, svg } from "./dom.js";
import {
  HEX_RADIUS,
  around,
  arrowHead,
  circle,
  corners,
  hexagon,
  piece,
  rackFront,
  rect,
  stoneRadius,
  written,
} from "./shapes.js";

const ARROWS = 6;
const CONSIDERED = 12;
const SLIDE = 180; // milliseconds that a piece takes to its new cell
const FALL = 130; // and a disc for the first row that it falls

let boards = 0;

export class Board {
  /** `onMove(action)` is called for legal moves only; without it the board is for looking at. */
  constructor(place, label, onMove = null) {
    this.onMove = onMove;
    this.ground = svg("g");
    this.ghost = svg("g");
    this.overlay = svg("g");
    this.picture = svg(
      "svg",
      { "aria-hidden": "true", focusable: "false" },
      arrowHead(++boards),
      this.ground,
      this.ghost,
      this.overlay,
    );
    this.head = `url(#head-${boards})`;
    this.buttons = el("div", { class: "cells" });
    this.frame = el("div", {
      class: "board",
      role: "group",
      "aria-label": `${label}; arrow keys go from cell to cell`,
    });
    this.frame.append(this.picture, this.buttons);
    this.text = el("pre", { class: "board-text", tabindex: "0", "aria-label": label });
    place.replaceChildren(this.frame, this.text);
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("pointerleave", () => this.offer(null));
    this.clear();
  }

  clear() {
    this.drawing = null;
    this.moves = [];
    this.playable = false;
    this.selected = null;
    this.shares = new Map();
    this.pieces = new Map(); // groups on the board, by cell
    this.shape = "";
    this.current = 0;
    this.frame.hidden = this.text.hidden = true;
  }

  /** Show a position; `playable` says whether a person is to move. */
  show(position, last, playable) {
    const before = this.drawing;
    this.drawing = position.drawing;
    this.moves = position.moves;
    this.toPlay = position.to_play;
    this.last = last;
    this.playable = playable && this.onMove !== null;
    this.selected = null;
    this.shares = new Map();
    this.frame.hidden = !this.drawing;
    this.text.hidden = Boolean(this.drawing);
    this.overlay.replaceChildren();
    if (!this.drawing) {
      this.text.textContent = position.text;
      return;
    }
    this.draw();
    this.place();
    this.label();
    this.arrive(before);
  }

  /** Show `shares`, a list of { action, share, text }, on the board: circles, and arrows for pieces that move. */
  consider(shares) {
    this.overlay.replaceChildren();
    this.shares = new Map();
    if (!this.drawing) return;
    const byAction = new Map(this.moves.map((move) => [move.action, move]));
    let arrows = 0;
    const best = [...shares].sort((a, b) => b.share - a.share).slice(0, CONSIDERED);
    for (const { action, share, text } of best) {
      const move = byAction.get(action);
      if (!move?.cells) continue;
      const cell = move.cells[0];
      const known = this.shares.get(cell);
      if (!known || known.share < share) this.shares.set(cell, { share, text });
      if (move.from !== undefined && arrows++ < ARROWS) this.overlay.append(this.arrow(move, share));
    }
    for (const [cell, { share, text }] of this.shares) {
      if (share <= 0.004) continue;
      const { x, y, piece: there, size } = this.drawing.cells[cell];
      const beside = Boolean(there?.[1]); // what is written on the cell
      const [right, down] = beside ? [0.24, 0.33] : [0, 0];
      const small = beside || (size && Math.min(...size) < 0.5);
      const r = (small ? 0.5 : 1) * (0.12 + 0.33 * Math.sqrt(Math.min(1, share)));
      const at = { cx: x + right, cy: y + down };
      this.overlay.append(
        svg("circle", { class: "share", ...at, r, "fill-opacity": 0.35 + 0.5 * share }),
        written(small ? "share-text small" : "share-text", at.cx, at.cy, text),
      );
    }
    this.label();
  }

  // Drawing.

  draw() {
    const { cells, look, lines, marks, figures } = this.drawing;
    const size = (cell) => cell.size ?? [1, look === "hexes" ? 2 * HEX_RADIUS : 1];
    const ground = around(
      cells.flatMap(({ x, y, ...cell }) => corners(x, y, ...size(cell))),
      look === "points" ? 0.05 : 0,
    );
    const drawn = lines.flatMap(([x1, y1, x2, y2]) => [
      [x1, y1],
      [x2, y2],
    ]);
    const beside = marks.flatMap(([x, y]) => corners(x, y, 0.6, 0.6));
    this.box = around(
      [
        ...corners(ground.left + ground.width / 2, ground.top + ground.height / 2, ground.width, ground.height),
        ...drawn,
        ...beside,
      ],
      0.12,
    );
    this.picture.setAttribute("viewBox", `${this.box.left} ${this.box.top} ${this.box.width} ${this.box.height}`);
    this.frame.style.aspectRatio = `${this.box.width} / ${this.box.height}`;
    this.frame.style.setProperty("--ratio", this.box.width / this.box.height);
    this.frame.className = `board ${look} ${this.drawing.material}`;
    this.ghost.replaceChildren();
    this.ground.replaceChildren(...this.layers(ground).filter(Boolean));
  }

  /** The board from its floor up. */
  layers(ground) {
    const { cells, look, lines, marks, figures, material, dots, winning } = this.drawing;
    const isRack = material === "rack";
    const room = isRack ? 0.1 : material === "wood" ? 0.55 : 0;
    const board = { left: ground.left - room, top: ground.top - room };
    Object.assign(board, { width: ground.width + 2 * room, height: ground.height + 2 * room });
    const parts = [];
    if (look === "points" || isRack) {
      const { left: x, top: y, width, height } = board;
      parts.push(svg("rect", { class: isRack ? "behind" : "floor", x, y, width, height, rx: isRack ? 0.3 : 0.2 }));
    }
    if (!isRack) for (const cell of cells) parts.push(this.floor(cell, look));
    for (const index of this.last ?? [])
      if (cells[index] && !isStone(cells[index], figures)) parts.push(this.lit(cells[index]));
    for (const [x1, y1, x2, y2, colour] of lines) parts.push(svg("line", { class: `line ${colour}`, x1, y1, x2, y2 }));
    for (const [x, y] of dots) parts.push(circle({ x, y }, 0.09, "dot"));
    if (look === "points" && material !== "wood")
      for (const cell of cells) if (!cell.piece) parts.push(circle(cell, 0.09, "point"));
    const size = Math.min(1, Math.max(0.6, ground.width / 8)); // no larger than needed on small boards
    for (const [x, y, text] of marks) parts.push(written("mark", x, y, text, size));
    const known = this.pieces;
    this.pieces = new Map();
    cells.forEach((cell, index) => {
      if (!cell.piece) return;
      const key = JSON.stringify(cell);
      const old = known.get(index); // one that is still falling goes on falling
      const group = old?.key === key ? old.group : piece(cell, figures, material);
      this.pieces.set(index, { key, group });
      parts.push(group);
    });
    if (isRack) parts.push(...rackFront(cells, board));
    for (const index of this.last ?? []) {
      const cell = cells[index];
      if (!cell || !isStone(cell, figures)) continue;
      const share = cell.piece[1] && !isRack ? 0.8 : 0.42; // around the sign of a stone, or in its middle
      parts.push(circle(cell, share * stoneRadius(cell, material), `last on-${cell.piece[0]}`));
    }
    for (const index of winning) parts.push(circle(cells[index], isRack ? 0.39 : 0.44, "winning"));
    if (this.playable) parts.push(...this.targets());
    return parts;
  }

  /** Let the piece of the last move slide, or fall, to its cell, where it was not there before. */
  arrive(before) {
    const index = this.last?.[this.last.length - 1];
    const mover = this.pieces.get(index);
    if (!mover || before?.cells.length !== this.drawing.cells.length) return;
    const cell = this.drawing.cells[index];
    if (JSON.stringify(before.cells[index].piece) === JSON.stringify(cell.piece)) return;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    if (this.drawing.material === "rack") {
      const rows = cell.y - this.box.top + 0.5;
      const timing = { duration: FALL * Math.sqrt(2 * rows), easing: "cubic-bezier(0.45, 0, 0.9, 0.55)" };
      mover.group.animate([{ transform: `translateY(${-rows}px)` }, { transform: "none" }], timing);
    } else if (this.last.length === 2) {
      const from = this.drawing.cells[this.last[0]];
      const start = `translate(${from.x - cell.x}px, ${from.y - cell.y}px)`;
      mover.group.animate([{ transform: start }, { transform: "none" }], { duration: SLIDE, easing: "ease-out" });
    }
  }

  /** Show where a stone would go from the cell under the pointer or the keys; null for no cell. */
  offer(index) {
    this.ghost.replaceChildren();
    const colour = this.drawing?.stones[this.toPlay];
    if (index === null || !this.playable || !colour) return;
    const move = this.moves.find((one) => one.from === undefined && one.cells?.includes(index));
    if (!move) return;
    const cell = this.drawing.cells[move.cells[0]];
    this.ghost.append(circle(cell, 0.92 * stoneRadius(cell, this.drawing.material), `ghost stone ${colour}`));
  }

  /** A cell of the last move that has no stone to be marked on. */
  lit(cell) {
    if (this.drawing.look === "hexes") return svg("polygon", { class: "lit", points: hexagon(cell.x, cell.y) });
    return rect(cell, ...(cell.size ?? [1, 1]), "lit");
  }

  floor(cell, look) {
    const [width, height] = cell.size ?? [1, 1];
    const shade = ["plain", "dark", "marked"][cell.shade ?? 0];
    if (look === "hexes") return svg("polygon", { class: `floor ${shade}`, points: hexagon(cell.x, cell.y) });
    if (look === "points") return width === 1 && height === 1 ? null : rect(cell, width, height, "edge");
    return rect(cell, width, height, `floor ${shade}`);
  }

  /** Dots where a stone can be put, if that is not on every empty cell, and where the chosen piece can go. */
  targets() {
    const stones = this.moves.filter((move) => move.cells && move.from === undefined);
    const cells = this.selected === null ? new Set(stones.flatMap((move) => move.cells)) : this.ends(this.selected);
    const empty = this.drawing.cells.filter((cell) => !cell.piece).length;
    if (this.selected === null && cells.size >= empty) return [];
    return [...cells].map((index) => {
      const { x, y } = this.drawing.cells[index];
      return svg("circle", { class: this.selected === null ? "target" : "target strong", cx: x, cy: y, r: 0.1 });
    });
  }

  arrow(move, share) {
    const from = this.drawing.cells[move.from];
    const to = this.drawing.cells[move.cells[0]];
    const attributes = { x1: from.x, y1: from.y, x2: to.x, y2: to.y, "stroke-width": 0.05 + 0.2 * share };
    return svg("line", {
      class: "arrow",
      ...attributes,
      "stroke-opacity": 0.35 + 0.6 * share,
      "marker-end": this.head,
    });
  }

  // Buttons.

  place() {
    const shape = JSON.stringify([this.box, this.drawing.cells.map((cell) => [cell.x, cell.y, cell.size])]);
    if (shape === this.shape) return;
    this.shape = shape;
    const { left, top, width, height } = this.box;
    const hadFocus = this.buttons.contains(document.activeElement);
    this.current = Math.min(this.current, this.drawing.cells.length - 1);
    this.buttons.replaceChildren(
      ...this.drawing.cells.map((cell, index) => {
        const [w, h] = cell.size ?? [1, this.drawing.look === "hexes" ? 0.9 : 1];
        const button = el("button", {
          type: "button",
          class: "cell",
          click: () => this.click(index),
          focus: () => this.visit(index),
          pointerenter: () => this.offer(index),
        });
        button.style.left = `${((cell.x - w / 2 - left) / width) * 100}%`;
        button.style.top = `${((cell.y - h / 2 - top) / height) * 100}%`;
        button.style.width = `${(w / width) * 100}%`;
        button.style.height = `${(h / height) * 100}%`;
        return button;
      }),
    );
    if (hadFocus) this.buttons.children[this.current].focus();
  }

  label() {
    const starts = this.playable ? this.starts() : new Set();
    const ends = this.selected === null ? new Set() : this.ends(this.selected);
    this.drawing.cells.forEach((cell, index) => {
      const button = this.buttons.children[index];
      const words = [cell.label, cell.piece ? cell.piece[2] : "empty"];
      if (this.last?.includes(index)) words.push("last move");
      if (this.drawing.winning.includes(index)) words.push("wins");
      if (ends.has(index)) words.push("can move here");
      else if (starts.has(index)) words.push("legal");
      const share = this.shares.get(index);
      if (share && share.share > 0.004) words.push(share.text);
      button.setAttribute("aria-label", words.join(", "));
      button.setAttribute("aria-disabled", String(!starts.has(index) && !ends.has(index)));
      if (index === this.selected) button.setAttribute("aria-pressed", "true");
      else button.removeAttribute("aria-pressed");
      button.tabIndex = index === this.current ? 0 : -1;
    });
  }

  visit(index) {
    const before = this.buttons.children[this.current];
    if (before) before.tabIndex = -1;
    this.current = index;
    this.buttons.children[index].tabIndex = 0;
    this.offer(index);
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape" && this.selected !== null) this.select(null);
    if (!step || !this.drawing) return;
    event.preventDefault();
    const here = this.drawing.cells[this.current];
    let best = null;
    this.drawing.cells.forEach((cell, index) => {
      const along = (cell.x - here.x) * step[0] + (cell.y - here.y) * step[1];
      const aside = Math.abs((cell.x - here.x) * step[1]) + Math.abs((cell.y - here.y) * step[0]);
      if (along > 0.1 && (!best || along + 2.5 * aside < best.cost)) best = { cost: along + 2.5 * aside, index };
    });
    if (best) this.buttons.children[best.index].focus();
  }

  // Moves.

  starts() {
    const cells = this.moves.flatMap((move) =>
      move.cells ? (move.from === undefined ? move.cells : [move.from]) : [],
    );
    return new Set(cells);
  }

  ends(start) {
    return new Set(this.moves.filter((move) => move.from === start).flatMap((move) => move.cells));
  }

  select(index) {
    this.selected = index;
    this.draw();
    this.label();
    if (index !== null) announce(`${this.drawing.cells[index].label} chosen; choose where it goes`);
  }

  async click(index) {
    if (!this.onMove) return;
    const cell = this.drawing.cells[index];
    if (!this.playable) {
      this.refuse(index, "It is not your turn.");
      return;
    }
    const here = (move) => move.cells?.includes(index);
    let moves = this.selected === null ? [] : this.moves.filter((move) => move.from === this.selected && here(move));
    if (!moves.length) moves = this.moves.filter((move) => move.from === undefined && here(move));
    if (moves.length) {
      const move = moves.length === 1 ? moves[0] : await choose(moves);
      if (move) this.onMove(move.action);
      return;
    }
    if (this.selected === index) this.select(null);
    else if (this.moves.some((move) => move.from === index)) this.select(index);
    else this.refuse(index, `${cell.label}, ${cell.piece ? cell.piece[2] : "empty"}: no legal move here.`);
  }

  refuse(index, text) {
    announce(text);
    const button = this.buttons.children[index];
    button.classList.remove("refused");
    void button.offsetWidth; // begins the animation anew
    button.classList.add("refused");
    this.frame.dispatchEvent(new CustomEvent("refused", { detail: text, bubbles: true }));
  }
}

function isStone(cell, figures) {
  return Boolean(cell.piece) && cell.piece[0] !== "none" && !(figures && cell.piece[1]);
}

/** The shares of a thought as the board shows them, by what the person wants to see. */
export function sharesOf(thought, wanted) {
  if (!thought || wanted === "none") return [];
  const total = thought.moves.reduce((sum, move) => sum + move.visits, 0);
  const scale = Math.max(1, ...thought.moves.map((move) => Math.abs(move.q ?? 0)));
  return thought.moves.map((move) => {
    if (wanted === "q" && move.q !== null)
      return { action: move.action, share: (move.q / scale + 1) / 2, text: signed(move.q) };
    const share = wanted !== "prior" && total ? move.visits / total : (move.prior ?? 0);
    return { action: move.action, share, text: percent(share) };
  });
}

/** Ask which of several moves is meant; null for none. */
export function choose(moves) {
  const dialog = byId("chooser");
  return new Promise((resolve) => {
    const finish = (move) => {
      dialog.onclose = null;
      if (dialog.open) dialog.close();
      resolve(move);
    };
    byId("choices").replaceChildren(
      ...moves.map((move) => el("button", { type: "button", click: () => finish(move) }, move.text)),
    );
    byId("choose-none").onclick = () => finish(null);
    dialog.onclose = () => finish(null);
    dialog.showModal();
  });
}
