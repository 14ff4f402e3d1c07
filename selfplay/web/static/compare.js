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
let made = ""; // the game and the versions for which the pickers were made
let compared = ""; // the position that was compared last
let timer = null;
let differencesTimer = null;
let goOn = null;

export function start(given, { playHere }) {
  setup = given;
  goOn = playHere;
  byId("find-differences").addEventListener("click", () => attempt(findDifferences));
  byId("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(compare);
  });
}

/** Called when the page is shown: two versions are compared at once, in the position on the page Play. */
export async function open() {
  await attempt(async () => {
    const state = current();
    const isOver = !state || state.position.to_play < 0;
    byId("compare-form").hidden = isOver;
    byId("compare-status").textContent = describe(state);
    byId("compare-missing").textContent = "";
    if (isOver) {
      byId("comparison").replaceChildren();
      return;
    }
    const game = await get("/api/game", { name: state.game });
    choosePlayers(game);
    if (compared !== JSON.stringify([state.id, state.moves])) await compare();
  });
}

/** Called when another page is shown. */
export function close() {
  clearTimeout(timer);
  clearTimeout(differencesTimer);
  compared = "";
}

/** Two versions of the newest run of the game; where there are none, what is missing, and two strengths instead. */
function choosePlayers(game) {
  const usual = usualAdviser(game);
  const versions = usual.run === undefined ? [] : setup.runs[usual.run].versions;
  const players = versions.length > 1 ? [usual, { ...usual, version: versions[0] }] : [usual, game.strengths[2].seat];
  const missing =
    usual.run === undefined
      ? "For versions of a network, start the page with a run of this game: selfplay serve RUN_DIR."
      : "This run has one checkpoint so far; two versions can be compared when it has another.";
  byId("compare-missing").textContent = versions.length > 1 ? "" : missing;
  const now = JSON.stringify([game.name, usual]);
  if (made === now) return;
  pickers = ["First player", "Second player"].map(
    (legend, i) => new SeatPicker(legend, setup, game, { person: false, chosen: players[i] }),
  );
  byId("compared").replaceChildren(...pickers.map((picker) => picker.element));
  byId("comparison").replaceChildren();
  made = now;
}

function describe(state) {
  if (!state) return "There is no game on the page Play.";
  if (state.position.to_play < 0) return "The game on the page Play is over. Take a move back there, or begin another.";
  const side = state.sides.length > 1 ? `, ${state.sides[state.position.to_play]} to move` : "";
  return `What do two players think of ${state.game} after move ${state.ply}${side}?`;
}

async function compare() {
  const state = current();
  const players = pickers.map((picker) => picker.value);
  compared = JSON.stringify([state.id, state.moves]);
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

/** Look through the newest games of self-play for positions in which the two players would move differently. */
async function findDifferences() {
  const state = current();
  const players = pickers.map((picker) => picker.value);
  showDifferences(await post(`/api/games/${state.id}/differences`, { players }), state);
}

function showDifferences(answer, state) {
  clearTimeout(differencesTimer);
  const differences = answer.differences;
  if (!differences) return;
  const { done, looked_at: number, found } = differences;
  const text = `${done ? "Looked" : "Looking"} at positions of the newest games of self-play, ${number} so far: the players differ in ${found.length}.`;
  const items = found.map((entry) => {
    const words = `${entry.title}: ${entry.moves.map((move, i) => `${i + 1} plays ${move}`).join(", ")}`;
    return el("li", {}, el("button", { type: "button", click: () => attempt(() => look(state, entry)) }, words));
  });
  byId("differences").replaceChildren(
    el(
      "section",
      { class: "panel" },
      el("p", { class: "status", role: "status" }, text),
      el("ol", { class: "games" }, items),
    ),
  );
  if (done) return;
  differencesTimer = setTimeout(
    () => attempt(async () => showDifferences(await get(`/api/games/${state.id}`, { revision: state.revision }), state)),
    POLL,
  );
}

/** Put a position on the page Play and compare the players in it. */
async function look(state, entry) {
  await goOn(state.game, entry.history, "compare");
  await open();
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
