// The page Compare: what several players think of the position on the page Play.

import { get, post } from "./api.js";
import { Board, sharesOf } from "./board.js";
import { attempt, byId, el, percent, signed } from "./dom.js";
import { current } from "./play.js";
import { SeatPicker, usualAdviser } from "./seats.js";
import { thoughtView } from "./thoughts.js";

const POLL = 300;

let setup = null;
let pickers = [];
let made = ""; // the rules for which the pickers were made
let timer = null;

export function start(given) {
  setup = given;
  byId("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(compare);
  });
}

/** Called when the page is shown. */
export async function open() {
  await attempt(async () => {
    const state = current();
    const form = byId("compare-form");
    form.hidden = !state || state.position.to_play < 0;
    byId("compare-status").textContent = state
      ? describe(state)
      : "Begin a game on the page Play first: its position is compared here.";
    if (!state || made === state.game) return;
    const game = await get("/api/game", { name: state.game });
    const first = usualAdviser(game);
    pickers = ["First player", "Second player"].map(
      (legend, i) => new SeatPicker(legend, setup, game, { person: false, chosen: i ? other(first) : first }),
    );
    byId("compared").replaceChildren(...pickers.map((picker) => picker.element));
    byId("comparison").replaceChildren();
    made = state.game;
  });
}

/** Another checkpoint of the same run, or a search without it. */
function other(first) {
  const versions = first.run !== undefined ? setup.runs[first.run].versions : [];
  return versions.length > 1 ? { ...first, version: versions[0] } : { kind: "mcts", simulations: 400 };
}

function describe(state) {
  if (state.position.to_play < 0) return "The game on the page Play is over.";
  const side = state.sides.length > 1 ? `, ${state.sides[state.position.to_play]} to move` : "";
  return `What do two players think of ${state.game} after move ${state.ply}${side}?`;
}

async function compare() {
  const state = current();
  const players = pickers.map((picker) => picker.value);
  show(await post(`/api/games/${state.id}/compare`, { ply: state.ply, players }), state);
}

function show(answer, state) {
  clearTimeout(timer);
  const comparison = answer.comparison;
  if (!comparison) return;
  const views = comparison.results.map((result) => view(result, state));
  const waiting = comparison.done ? [] : [el("p", { class: "status", role: "status" }, "Thinking …")];
  byId("comparison").replaceChildren(
    el("div", { class: "pair" }, views),
    ...waiting,
    ...(comparison.done ? [together(comparison.results)] : []),
  );
  if (!comparison.done) {
    timer = setTimeout(
      () => attempt(async () => show(await get(`/api/games/${state.id}`, { revision: state.revision }), state)),
      POLL,
    );
  }
}

function view(result, state) {
  if (result.problem) return el("div", { class: "panel" }, el("p", {}, result.problem));
  const place = el("div");
  const panel = el("section", { class: "panel" }, place, ...thoughtView(result, state.sides, result.player));
  const board = new Board(place, `Board with the opinion of ${result.player}`);
  board.show(state.position, state.last, false);
  board.consider(sharesOf(result, "visits"));
  return panel;
}

/** Both opinions in one table, move by move. */
function together(results) {
  const thoughts = results.filter((result) => !result.problem && result.moves.length);
  if (thoughts.length < 2) return el("p");
  const actions = [...new Set(thoughts.flatMap((thought) => thought.moves.slice(0, 10).map((move) => move.action)))];
  const texts = new Map(thoughts.flatMap((thought) => thought.moves.map((move) => [move.action, move.text])));
  const tables = thoughts.map((thought) => new Map(thought.moves.map((move) => [move.action, move])));
  const totals = thoughts.map((thought) => thought.moves.reduce((sum, move) => sum + move.visits, 0));
  const cells = (action) =>
    tables.flatMap((table, i) => {
      const move = table.get(action);
      const share = !move ? "–" : totals[i] ? percent(move.visits / totals[i]) : percent(move.prior ?? 0);
      return [el("td", {}, share), el("td", {}, signed(move?.q))];
    });
  const heads = thoughts.flatMap((thought, i) => [`${i + 1}: share`, `${i + 1}: Q`]);
  return el(
    "section",
    { class: "panel wide" },
    el("h3", {}, "Move by move"),
    el(
      "table",
      { class: "thought" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["move", ...heads].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        actions.map((action) => el("tr", {}, el("th", { scope: "row" }, texts.get(action)), cells(action))),
      ),
    ),
  );
}
