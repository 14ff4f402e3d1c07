// The page Games: finished games of runs and tournaments, step by step.

import { get } from "./api.js";
import { Board } from "./board.js";
import { NO_RUN, announce, attempt, byId, el, options, percent, signed } from "./dom.js";
import { plot } from "./plot.js";
import { valueCaption, valueLines, valueRange, viewpoint } from "./thoughts.js";

const POLL = 5000;
const BLUNDER = 0.5;
const LINKED = 8; // blunders of a game that the list leads to
const END = -1; // stands for the last position of a game

let setup = null;
let board = null;
let game = null; // the query that names the game on the board
let shown = null; // its position
let goOn = null;
let wanted = 0; // the newest request; older answers are passed over
let timer = null;
let newest = ""; // the newest game of the source
let following = true; // whether the newest game is opened when there is another one

export function start(given, { playHere }) {
  setup = given;
  goOn = playHere;
  board = new Board(byId("replay-board"), "Board of the game");
  const runs = setup.runs
    .map((run, index) => [`run ${index}`, `self-play of ${run.name}`, run.environment])
    .filter(([, , environment]) => !environment);
  const tournaments = setup.tournaments.map((entry, index) => [`tournament ${index}`, `tournament ${entry.name}`]);
  options(byId("source"), [...runs, ...tournaments], `run ${setup.newest_run}`);
  byId("source").addEventListener("change", () => {
    follow(true);
    attempt(loadParts);
  });
  byId("part").addEventListener("change", () => {
    follow(false);
    attempt(loadGames);
  });
  byId("follow-games").addEventListener("change", () => {
    following = byId("follow-games").checked;
    if (following) attempt(loadParts);
  });
  byId("ply").addEventListener("input", () => go(Number(byId("ply").value)));
  byId("first").addEventListener("click", () => go(0));
  byId("back").addEventListener("click", () => go(shown.ply - 1));
  byId("forth").addEventListener("click", () => go(shown.ply + 1));
  byId("last").addEventListener("click", () => go(shown.moves.length));
  byId("play-here").addEventListener("click", () => goOn(shown.game, shown.actions.slice(0, shown.ply), "play"));
  byId("compare-here").addEventListener("click", () => goOn(shown.game, shown.actions.slice(0, shown.ply), "compare"));
  buttons();
}

function follow(wish) {
  following = byId("follow-games").checked = wish;
}

/** Called when the page is shown. */
export async function open() {
  const isEmpty = !byId("source").options.length;
  byId("browse-missing").hidden = !isEmpty;
  byId("browse-columns").hidden = isEmpty;
  byId("browse-missing").textContent = `No games were given. ${NO_RUN}`;
  if (isEmpty) return;
  if (!game) await attempt(loadParts);
  timer = setTimeout(look, POLL);
}

/** Called when another page is shown. */
export function close() {
  clearTimeout(timer);
}

/** See whether there are newer games. */
async function look() {
  if (following) await attempt(loadParts);
  timer = setTimeout(look, POLL);
}

function source() {
  const [kind, index] = byId("source").value.split(" ");
  return { kind, index: Number(index) };
}

async function loadParts() {
  const { kind, index } = source();
  if (kind === "run") {
    const { shards } = await get("/api/shards", { run: index });
    parts(
      shards.map((shard) => [shard, `shard ${shard}`]),
      "This run has no finished games on disk yet.",
    );
  } else {
    const { total, page } = await get("/api/tournament", { tournament: index });
    const starts = Array.from({ length: Math.ceil(total / page) }, (_, i) => i * page).reverse();
    parts(
      starts.map((start) => [start, `games ${start} to ${Math.min(total, start + page) - 1}`]),
      "This tournament has no finished games yet.",
    );
  }
  if (byId("part").options.length) await loadGames();
}

/** The parts of the source, the newest first. */
function parts(entries, none) {
  options(byId("part"), entries);
  if (entries.length) return;
  byId("games").replaceChildren(el("li", {}, none));
  byId("replay-status").textContent = none;
}

async function loadGames() {
  const { kind, index } = source();
  const part = Number(byId("part").value);
  if (kind === "run") {
    const { games } = await get("/api/shards", { run: index, shard: part });
    await list(
      games.map((entry) => [
        { run: index, shard: part, number: entry.number },
        selfPlayText(entry),
        entry.blunders.slice(0, LINKED),
      ]),
    );
  } else {
    const { games } = await get("/api/tournament", { tournament: index, start: part });
    await list(games.map((entry) => [{ tournament: index, number: entry.number }, tournamentText(entry)]));
  }
}

function selfPlayText(entry) {
  const won =
    entry.outcome === null
      ? ""
      : entry.outcome > 0
        ? ", first player won"
        : entry.outcome < 0
          ? ", first player lost"
          : ", drawn";
  const blunders = entry.blunders.length;
  const bad = blunders ? `, ${blunders} blunder${blunders > 1 ? "s" : ""}` : "";
  return `game ${entry.number}: ${entry.length} moves${won}, version ${entry.version}${bad}`;
}

function tournamentText(entry) {
  const scores = entry.returns.map((value) => +(value ?? 0).toFixed(2)).join(" : ");
  const forfeited = entry.forfeit ? ", forfeited" : "";
  return `game ${entry.number}: ${entry.players.join(" – ")}, ${scores}, ${entry.length} moves${forfeited}`;
}

/** Show a list of games, the newest first, and open the newest if it is followed. */
async function list(entries) {
  const found = JSON.stringify([source(), entries[entries.length - 1]?.[0], entries.length]);
  if (found === newest && byId("games").children.length) return;
  newest = found;
  const buttons = entries.map(([query, text]) => {
    const button = el("button", { type: "button", click: () => choose(query, button, 0) }, text);
    return button;
  });
  const items = entries.map(([query, , blunders], i) => {
    const links = (blunders ?? []).map((ply) =>
      el(
        "button",
        {
          type: "button",
          class: "blunder",
          "aria-label": `the blunder at move ${ply + 1} of this game`,
          click: () => choose(query, buttons[i], ply + 1),
        },
        `move ${ply + 1} ?`,
      ),
    );
    return el("li", {}, buttons[i], ...links);
  });
  byId("games").replaceChildren(...items.reverse());
  if (following && entries.length) await open_game(entries[entries.length - 1][0], buttons[entries.length - 1], END);
}

function choose(query, button, ply) {
  follow(false);
  open_game(query, button, ply);
}

async function open_game(query, button, ply) {
  for (const other of byId("games").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  game = query;
  await go(ply);
}

async function go(ply) {
  if (!game) return;
  const mine = ++wanted;
  const found = await attempt(() => get("/api/replay", { ...game, ...(ply === END ? {} : { ply }) }));
  if (!found || mine !== wanted) return;
  shown = found;
  show();
}

function show() {
  board.show(shown.position, shown.last, false);
  const moves = shown.moves.length;
  byId("ply").max = moves;
  byId("ply").value = shown.ply;
  const before = shown.moves[shown.ply - 1];
  const players = shown.players.length
    ? ` (${shown.players.map((name, i) => `${shown.sides[i]}: ${name}`).join(", ")})`
    : "";
  const result = shown.ply === moves && shown.result ? ` ${shown.result}` : "";
  const text = `${shown.title}${players}: move ${shown.ply} of ${moves}${before ? `, ${before[1]}` : ""}.${result}`;
  byId("replay-status").textContent = text + (shown.complaint ? ` Note: ${shown.complaint}.` : "");
  announce(`Move ${shown.ply} of ${moves}${before ? `, ${before[1]}` : ""}.${result}`);
  byId("replay-text").textContent = shown.position.text;
  byId("replay-notes").replaceChildren(...(shown.position.drawing?.notes ?? []).map((note) => el("li", {}, note)));
  showNoted();
  const whose = viewpoint([], shown.moves);
  const lines = valueLines(shown.values, shown.sides, whose, () => "search in self-play");
  const label = valueCaption(shown.sides, whose);
  byId("replay-values").replaceChildren(
    el("p", { class: "quiet" }, lines.length ? label : ""),
    plot(lines, { label, range: valueRange(lines), cursor: shown.ply, across: "move" }),
  );
  showMoves();
  buttons();
}

function showNoted() {
  const place = byId("searched");
  const noted = shown.noted;
  if (!noted) {
    const why =
      shown.ply < shown.opening
        ? "An opening move: not searched."
        : shown.ply === shown.moves.length && shown.result
          ? "The game is over: there was nothing to search. Step back to see it."
          : "Nothing is recorded of this position.";
    place.replaceChildren(el("p", { class: "quiet" }, why));
    board.consider([]);
    return;
  }
  const texts = new Map(shown.position.moves.map((move) => [move.action, move.text]));
  const rows = noted.policy.slice(0, 12).map(([action, share]) => {
    const inner = el("span", { class: "bar visits" });
    inner.style.width = `${share * 100}%`;
    const bars = el("span", { class: "bars", "aria-hidden": "true" }, inner);
    return el(
      "tr",
      { class: action === noted.action ? "best" : null },
      el("th", { scope: "row" }, texts.get(action) ?? String(action)),
      el("td", {}, bars, percent(share)),
      el("td", {}, action === noted.action ? "played" : ""),
    );
  });
  place.replaceChildren(
    el("p", {}, `Version ${noted.version}; value for the player to move: `, el("strong", {}, signed(noted.value))),
    el(
      "table",
      { class: "thought" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["move", "policy", "in the game"].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
  board.consider(noted.policy.map(([action, share]) => ({ action, share, text: percent(share) })));
}

function showMoves() {
  const falls = blunders(shown);
  byId("replay-moves").replaceChildren(
    ...shown.moves.map(([player, text], i) => {
      const fall = falls.get(i);
      const attributes = {
        type: "button",
        class: fall ? "blunder" : null,
        "aria-label": fall ? `${text}, a blunder: the value fell by ${fall.toFixed(1)}` : null,
        "aria-current": i + 1 === shown.ply ? "true" : null,
        click: () => go(i + 1),
      };
      const button = el("button", attributes, fall ? `${text} ?` : text);
      return el("li", { class: player < 0 ? "chance" : i < shown.opening ? "opening" : null }, button);
    }),
  );
  const here = byId("replay-moves").querySelector("[aria-current]");
  if (here) byId("replay-moves").scrollTop = here.offsetTop - byId("replay-moves").clientHeight / 2;
}

/** Moves after which the value for who made them was lower by `BLUNDER` or more, and by how much; games of two only. */
function blunders({ values, sides }) {
  const falls = new Map();
  if (sides.length !== 2) return falls;
  values.forEach((entry, k) => {
    const after = values[k + 1];
    if (!after || after.ply !== entry.ply + 1 || entry.value === null || after.value === null) return;
    const fall = entry.value - (after.player === entry.player ? after.value : -after.value);
    if (fall >= BLUNDER) falls.set(entry.ply, fall);
  });
  return falls;
}

function buttons() {
  const moves = shown?.moves.length ?? 0;
  const ply = shown?.ply ?? 0;
  byId("first").disabled = byId("back").disabled = !shown || ply === 0;
  byId("forth").disabled = byId("last").disabled = !shown || ply >= moves;
  byId("ply").disabled = !shown;
  byId("play-here").disabled = byId("compare-here").disabled = !shown || (ply === moves && Boolean(shown.result));
}
