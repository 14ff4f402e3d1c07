// What a player thinks: a table of moves with bars, the line it expects, its value of the position.

import { el, percent, signed } from "./dom.js";

const ROWS = 12;
const LEGEND = "Visits: how often the search tried a move. Prior: its probability before. Q: the expected result.";

/** A bar of a share between 0 and 1. */
function bar(share, kind) {
  const inner = el("span", { class: `bar ${kind}` });
  inner.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("span", { class: "bars", "aria-hidden": "true" }, inner);
}

/** A bar to the right of the middle for good values, to the left for bad ones. */
function valueBar(value, scale) {
  const inner = el("span", { class: `bar ${value < 0 ? "bad" : "good"}` });
  const share = Math.min(1, Math.abs(value) / scale) / 2;
  inner.style.width = `${share * 100}%`;
  inner.style.marginLeft = `${(value < 0 ? 0.5 - share : 0.5) * 100}%`;
  return el("span", { class: "bars middle", "aria-hidden": "true" }, inner);
}

/** A thought as elements. `sides` names the players. */
export function thoughtView(thought, sides, caption) {
  const parts = [el("p", { class: "by" }, caption)];
  const searched = thought.budget > 0;
  if (thought.value !== null) {
    const who = sides.length > 1 ? ` for ${sides[thought.to_play]}` : "";
    parts.push(el("p", {}, `Value of the position${who}: `, el("strong", {}, signed(thought.value))));
  }
  if (searched) {
    const progress = el("progress", {
      max: thought.budget,
      value: Math.min(thought.simulations, thought.budget),
      "aria-label": "Simulations",
    });
    parts.push(el("p", { class: "row" }, progress, ` ${thought.simulations} of ${thought.budget} simulations`));
  }
  if (!thought.moves.length) {
    parts.push(el("p", { class: "quiet" }, "This player has no opinion about positions."));
    return parts;
  }
  parts.push(moveTable(thought, searched), el("p", { class: "quiet" }, LEGEND));
  if (thought.line.length)
    parts.push(el("p", { class: "pv" }, el("strong", {}, "Expected: "), thought.line.join("  ")));
  if (thought.branches.length) parts.push(treeView(thought.branches, sides));
  return parts;
}

/** The most visited part of the search; a move opens to show its replies. */
function treeView(branches, sides) {
  return el("details", { class: "tree" }, el("summary", {}, "Search tree"), branchList(branches, sides));
}

function branchList(branches, sides) {
  return el(
    "ul",
    {},
    branches.map((branch) => {
      const side = sides.length > 1 && branch.to_play >= 0 ? `, ${sides[branch.to_play]}` : "";
      const value = branch.q === null ? "" : `, value ${signed(branch.q)}`;
      const words = [
        el("strong", {}, branch.text),
        `${side}: ${branch.visits} visit${branch.visits === 1 ? "" : "s"}, prior ${percent(branch.prior ?? 0)}${value}`,
      ];
      if (!branch.replies.length) return el("li", {}, ...words);
      const inner = el("details", {}, el("summary", {}, ...words));
      // Replies are made when they are first looked at: a search has hundreds of moves.
      inner.addEventListener("toggle", () => {
        if (inner.open && inner.children.length === 1) inner.append(branchList(branch.replies, sides));
      });
      return el("li", {}, inner);
    }),
  );
}

function moveTable(thought, searched) {
  const shown = thought.moves.slice(0, ROWS);
  const total = thought.moves.reduce((sum, move) => sum + move.visits, 0);
  const scale = Math.max(1, ...thought.moves.map((move) => Math.abs(move.q ?? 0)));
  const rows = shown.map((move) =>
    el(
      "tr",
      { class: move.action === thought.action ? "best" : null },
      el("th", { scope: "row" }, move.text),
      searched ? el("td", {}, bar(total ? move.visits / total : 0, "visits"), `${move.visits}`) : null,
      el("td", {}, bar(move.prior ?? 0, "prior"), percent(move.prior ?? 0)),
      el("td", {}, move.q === null ? null : valueBar(move.q, scale), signed(move.q)),
    ),
  );
  const heads = ["move", ...(searched ? ["visits"] : []), "prior", "Q"];
  const hidden = thought.moves.length - shown.length + thought.hidden_moves;
  return el(
    "table",
    { class: "thought" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        heads.map((head) => el("th", { scope: "col" }, head)),
      ),
    ),
    el("tbody", {}, rows),
    hidden ? el("tfoot", {}, el("tr", {}, el("td", { colspan: heads.length }, `and ${hidden} more moves`))) : null,
  );
}

/** Lines for the chart of values: for the player `whose` in games of two, of each player else. */
export function valueLines(values, sides, whose, name = (entry) => entry.by ?? "search") {
  const lines = new Map();
  for (const entry of values) {
    if (entry.value === null) continue;
    const two = sides.length === 2;
    const key = sides.length > 2 ? `${name(entry)}: ${sides[entry.player]}` : name(entry);
    const value = two && entry.player !== whose ? -entry.value : entry.value;
    if (!lines.has(key)) lines.set(key, []);
    lines.get(key).push([entry.ply, value]);
  }
  return [...lines].map(([key, points]) => ({ name: key, points }));
}

/** Whose value the chart shows in a game of two: the only person's, else that of who moved first. */
export function viewpoint(seats, moves) {
  const people = seats.map((seat, i) => (seat.kind === "human" ? i : -1)).filter((i) => i >= 0);
  if (people.length === 1) return people[0];
  return moves.find(([player]) => player >= 0)?.[0] ?? 0;
}

/** What the chart shows, in words. */
export function valueCaption(sides, whose) {
  return sides.length === 2 ? `Value for ${sides[whose]}` : "Value for the player to move";
}

/** Bounds of the y axis: the whole range of results in games that have one. */
export function valueRange(lines) {
  const largest = Math.max(...lines.flatMap((line) => line.points.map(([, value]) => Math.abs(value))), 0);
  return largest <= 1.0001 ? [-1, 1] : null;
}
