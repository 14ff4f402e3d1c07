// The page Play: one game against players, with what they think.

import { get, post } from "./api.js";
import { Board, sharesOf } from "./board.js";
import { announce, attempt, byId, el, options } from "./dom.js";
import { plot } from "./plot.js";
import { SeatPicker, usualAdviser, usualSeat } from "./seats.js";
import { thoughtView, valueCaption, valueLines, valueRange, viewpoint } from "./thoughts.js";

const POLL = 250;
const KEPT = "selfplay-game";

let setup = null;
let game = null; // what the server says of the chosen game
let chosen = ""; // the text that it was chosen by
let state = null; // the game under way
let seats = [];
let adviser = null;
let board = null;
let timer = null;
let asked = ""; // the position that was analysed last without being told to
let begun = 0; // games that were asked for; the answer about an older one is passed over

/** The position of the page Compare. */
export const current = () => state;

export async function start(given) {
  setup = given;
  board = new Board(byId("play-board"), "Board", (action) => play(action));
  options(
    byId("game"),
    setup.games.map((name) => [name, named(name)]),
    setup.first_game,
  );
  byId("game").addEventListener("change", () => {
    byId("parameters").value = "";
    attempt(() => begin());
  });
  byId("parameters").addEventListener("change", () => attempt(choose));
  byId("setup").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => begin());
  });
  byId("strengths").addEventListener("change", (event) => attempt(() => strengthen(Number(event.target.value))));
  byId("seats").addEventListener("change", showStrengths);
  byId("change").addEventListener("click", () => act("seats", { seats: seats.map((seat) => seat.value) }));
  byId("undo").addEventListener("click", () => act("undo", { ply: state?.ply }, "Taken back."));
  byId("swap").addEventListener("click", swap);
  byId("stop").addEventListener("click", () => act("stop"));
  byId("hint").addEventListener("click", () => act("hint", { ply: state?.ply, player: adviser.value }));
  byId("always").addEventListener("change", () => attempt(analyseIfWanted));
  byId("overlay").addEventListener("change", showThought);
  byId("set-position").addEventListener("click", () => act("position", { text: byId("paste").value }, "Position set."));
  byId("take-moves").addEventListener("click", () => {
    if (state)
      byId("paste").value = state.moves
        .map(([, text]) => text)
        .join(state.moves.some(([, text]) => text.includes(" ")) ? "\n" : " ");
  });
  byId("play-board").addEventListener("refused", (event) => say(event.detail));
  await attempt(choose);
  if (!(await resume())) await attempt(() => begin());
  buttons();
}

/**
 * Begin a game from given moves, with the seats of the page where the game is the same. `people`: nobody but people
 * play, so that the position stays as it is.
 */
export async function beginFrom(name, moves, people = false) {
  await attempt(async () => {
    if (game?.name !== name) {
      setName(name);
      await choose();
    }
    if (people) for (const seat of seats) seat.value = { kind: "human" };
    await begin(moves);
  });
}

/** A game in the list: without its parameters, if it is the only one of its kind there. */
function named(name) {
  const plain = name.split("(")[0];
  return setup.games.filter((other) => other.split("(")[0] === plain).length > 1 ? name : plain;
}

/** Put a game into the form, one that is not in the list too. */
function setName(name) {
  const plain = name.split("(")[0];
  const listed = setup.games.includes(name) || !setup.games.includes(plain) ? name : plain;
  if (!setup.games.includes(listed)) byId("game").append(el("option", { value: listed }, listed));
  byId("game").value = listed;
  byId("parameters").value = listed === name ? "" : name.slice(plain.length + 1, -1);
}

function chosenName() {
  const parameters = byId("parameters").value.trim();
  return parameters ? `${byId("game").value.split("(")[0]}(${parameters})` : byId("game").value;
}

async function choose() {
  const name = chosenName();
  const [found, now] = await Promise.all([get("/api/game", { name }), get("/api/setup")]);
  game = found;
  setup.runs = now.runs; // with the versions that a run has made since
  chosen = name;
  seats = Array.from({ length: game.players }, (_, seat) => {
    const legend = game.players > 1 ? `${game.sides[seat]}${seat === game.first ? ", moves first" : ""}` : "Player";
    return new SeatPicker(legend, setup, game, { chosen: usualSeat(seat, game) });
  });
  byId("seats").replaceChildren(...seats.map((seat) => seat.element));
  byId("seats").dataset.game = game.name;
  adviser = new SeatPicker("Ask", setup, game, { person: false, chosen: usualAdviser(game) });
  byId("adviser").replaceChildren(adviser.element);
  showStrengths();
}

/** How strong the opponent can be, and which of these it is now; none where other players were chosen. */
function showStrengths() {
  const opponents = seats.map((seat) => seat.value).filter((value) => value.kind !== "human");
  const now = game.strengths.findIndex(({ seat }) => opponents.length && opponents.every((value) => same(value, seat)));
  byId("strengths").hidden = game.players < 2;
  byId("strengths").replaceChildren(
    el("legend", {}, "Opponent"),
    ...game.strengths.map(({ name }, i) =>
      el("label", {}, el("input", { type: "radio", name: "strength", value: i, checked: i === now }), name),
    ),
  );
  byId("opponent").textContent = game.players < 2 ? "" : (game.strengths[now]?.label ?? "other players");
}

const same = (a, b) => ["kind", "simulations", "run", "version"].every((name) => a[name] === b[name]);

/** Another strength of all opponents, in the game on the board too. */
async function strengthen(index) {
  const { seat, label } = game.strengths[index];
  const others = seats.filter((one) => one.value.kind !== "human");
  for (const one of others.length ? others : seats.slice(1)) one.value = seat;
  byId("opponent").textContent = label;
  if (state && state.game === game.name && !state.result) await act("seats", { seats: seats.map((one) => one.value) });
}

async function begin(moves = []) {
  const mine = ++begun;
  if (chosen !== chosenName()) await choose();
  const fresh = await post("/api/games", { game: game.name, seats: seats.map((seat) => seat.value), moves });
  if (mine !== begun) return;
  asked = "";
  sessionStorage.setItem(KEPT, fresh.id);
  take(fresh);
  announce(`New game of ${game.name}. ${byId("status").textContent}`);
}

/** After a reload of the page, go on with its game if the server still has it. */
async function resume() {
  const id = sessionStorage.getItem(KEPT);
  if (!id) return false;
  let found;
  try {
    found = await get(`/api/games/${id}`);
  } catch {
    sessionStorage.removeItem(KEPT);
    return false;
  }
  await attempt(async () => {
    setName(found.game);
    await choose();
    seats.forEach((seat, i) => (seat.value = found.seats[i]));
    showStrengths();
    take(found);
  });
  return Boolean(state);
}

async function act(what, value = {}, said = "") {
  await attempt(async () => {
    if (!state) throw new Error("Begin a game first.");
    take(await post(`/api/games/${state.id}/${what}`, value));
    if (said) announce(`${said} ${byId("status").textContent}`);
  });
}

const play = (action) => act("move", { ply: state.ply, action });

async function swap() {
  const values = seats.map((seat) => seat.value);
  const turned = [...values.slice(1), values[0]];
  seats.forEach((seat, i) => (seat.value = turned[i]));
  showStrengths();
  if (state) await act("seats", { seats: turned }, "Sides swapped.");
}

/** Show an answer of the server, whole or with thoughts only, and ask again while something goes on. */
function take(answer) {
  const changed = answer.position !== undefined;
  const before = state;
  state = changed ? answer : { ...state, ...answer };
  if (changed) {
    show();
    speakMoves(before);
  }
  showThought();
  buttons();
  document.dispatchEvent(new CustomEvent("game", { detail: state }));
  clearTimeout(timer);
  const watching = !state.seats.some((seat) => seat.kind === "human") && state.position.to_play >= 0 && !state.problem;
  if (state.busy || watching) timer = setTimeout(poll, POLL);
  else attempt(analyseIfWanted);
}

async function poll() {
  const id = state.id;
  try {
    const answer = await get(`/api/games/${id}`, { revision: state.revision });
    if (state.id === id) take(answer);
  } catch (error) {
    await attempt(() => Promise.reject(error));
  }
}

async function analyseIfWanted() {
  if (!byId("always").checked || !state || !myTurn() || asked === position()) return;
  asked = position();
  take(await post(`/api/games/${state.id}/hint`, { ply: state.ply, player: adviser.value }));
}

/** What tells this position from all others of the page. */
const position = () => JSON.stringify([state.id, state.moves]);

function myTurn() {
  const { to_play } = state.position;
  return to_play >= 0 && state.seats[to_play].kind === "human";
}

// Showing.

function show() {
  board.show(state.position, state.last, myTurn());
  say(sentence());
  byId("play-text").textContent = state.position.text;
  const notes = [...(state.position.drawing?.notes ?? []), ...(state.remark ? [state.remark] : [])];
  byId("play-notes").replaceChildren(...notes.map((note) => el("li", {}, note)));
  showOtherMoves();
  byId("moves").replaceChildren(
    ...state.moves.map(([player, text]) => el("li", { class: player < 0 ? "chance" : `side-${player}` }, text)),
  );
  byId("moves").scrollTop = byId("moves").scrollHeight;
  const whose = viewpoint(state.seats, state.moves);
  const lines = valueLines(state.values, state.sides, whose);
  const label = valueCaption(state.sides, whose);
  byId("values").replaceChildren(
    el("p", { class: "quiet" }, label),
    plot(lines, { label, range: valueRange(lines), cursor: state.ply, across: "move" }),
  );
  byId("values-panel").hidden = !lines.length;
}

function sentence() {
  const { to_play } = state.position;
  if (state.problem) return state.problem;
  byId("status").dataset.stone = state.position.drawing?.stones[to_play] ?? "";
  if (state.result) {
    const people = state.seats.map((seat, i) => (seat.kind === "human" ? i : -1)).filter((i) => i >= 0);
    const mine = people.length === 1 && state.sides.length === 2 ? Math.sign(state.returns[people[0]]) : 0;
    const yours = mine > 0 ? "You won! " : mine < 0 ? "You lost. " : "";
    const returns = state.sides.map((name, i) => `${name} ${+state.returns[i].toFixed(2)}`).join(", ");
    return state.sides.length > 1 ? `${yours}${state.result} (${returns})` : state.result;
  }
  const seat = state.seats[to_play];
  const side = state.sides.length > 1 ? state.sides[to_play] : "";
  if (seat.kind === "human") return side ? `Your move: ${side}.` : "Your move.";
  return `${side ? `${side}: ` : ""}${seat.label} is thinking.`;
}

function say(text) {
  byId("status").textContent = text;
}

/** Tell people who listen what the others played. */
function speakMoves(before) {
  const old = before && before.id === state.id ? before.ply : state.ply;
  const fresh = state.moves
    .slice(old)
    .map(([player, text]) => `${player < 0 ? "chance" : (state.sides[player] ?? "you")}: ${text}`);
  if (fresh.length) announce(`${fresh.join("; ")}. ${sentence()}`);
}

function showOtherMoves() {
  const others = state.position.moves.filter((move) => !move.cells);
  const mine = myTurn();
  byId("other-moves").replaceChildren(
    ...others
      .slice(0, 300)
      .map((move) => el("button", { type: "button", disabled: !mine, click: () => play(move.action) }, move.text)),
    ...(others.length > 300 ? [el("p", {}, `and ${others.length - 300} more`)] : []),
  );
}

function showThought() {
  const thinking = state?.thinking;
  const place = byId("thought");
  if (!thinking?.thought) {
    delete place.dataset.shown;
    const waiting = thinking && !thinking.done;
    place.replaceChildren(
      el(
        "p",
        { class: "quiet" },
        waiting ? "Thinking begins …" : "Ask a player about the position, or wait for its move.",
      ),
    );
    if (state) board.consider([]);
    return;
  }
  const { thought } = thinking;
  const here = thinking.ply === state.ply;
  const now = JSON.stringify([thinking.ply, here, thought, state.sides]);
  if (now === place.dataset.shown) return; // what a reader has opened stays open
  place.dataset.shown = now;
  const after = here ? "" : ", before its move";
  place.replaceChildren(...thoughtView(thought, state.sides, `${thought.player}${after}`));
  board.consider(here ? sharesOf(thought, byId("overlay").value) : []);
}

function buttons() {
  const running = Boolean(state);
  byId("controls").hidden = byId("text-details").hidden = byId("moves-panel").hidden = !running;
  byId("undo").disabled =
    !running || !state.moves.some(([player]) => player >= 0 && state.seats[player].kind === "human");
  byId("swap").disabled = seats.length < 2;
  byId("stop").disabled = !running || !state.busy;
  byId("hint").disabled = !running || !myTurn();
  byId("change").disabled = !running || state.game !== game?.name;
  byId("set-position").disabled = byId("take-moves").disabled = !running;
}
