// The page Games: finished games of runs and tournaments, step by step.

import { get } from "./api.js";
import { Board } from "./board.js";
import { chart } from "./chart.js";
import { announce, attempt, byId, el, options, percent, signed } from "./dom.js";
import { valueCaption, valueLines, valueRange, viewpoint } from "./thoughts.js";

let setup = null;
let board = null;
let game = null; // the query that names the game on the board
let shown = null; // its position
let goOn = null;
let wanted = 0; // the newest request; older answers are passed over

export function start(given, { playHere }) {
  setup = given;
  goOn = playHere;
  board = new Board(byId("replay-board"), "Board of the game");
  const runs = setup.runs.map((run, index) => [`run ${index}`, `self-play of ${run.name}`]);
  const tournaments = setup.tournaments.map((entry, index) => [`tournament ${index}`, `tournament ${entry.name}`]);
  options(byId("source"), [...runs, ...tournaments]);
  byId("source").addEventListener("change", () => attempt(loadParts));
  byId("part").addEventListener("change", () => attempt(loadGames));
  byId("ply").addEventListener("input", () => go(Number(byId("ply").value)));
  byId("first").addEventListener("click", () => go(0));
  byId("back").addEventListener("click", () => go(shown.ply - 1));
  byId("forth").addEventListener("click", () => go(shown.ply + 1));
  byId("last").addEventListener("click", () => go(shown.moves.length));
  byId("play-here").addEventListener("click", () => goOn(shown.game, shown.actions.slice(0, shown.ply), "play"));
  byId("compare-here").addEventListener("click", () => goOn(shown.game, shown.actions.slice(0, shown.ply), "compare"));
  buttons();
}

let loaded = false;

/** Called when the page is shown. */
export async function open() {
  if (loaded) return;
  loaded = true;
  if (!setup.runs.length && !setup.tournaments.length) {
    byId("games").replaceChildren(
      el("li", {}, "Start with the folders of runs or tournaments: selfplay serve RUN_DIR …"),
    );
    return;
  }
  await attempt(loadParts);
}

function source() {
  const [kind, index] = byId("source").value.split(" ");
  return { kind, index: Number(index) };
}

async function loadParts() {
  const { kind, index } = source();
  if (kind === "run") {
    const { shards } = await get("/api/shards", { run: index });
    options(
      byId("part"),
      shards.map((shard) => [shard, `shard ${shard}`]),
    );
    if (!shards.length) byId("games").replaceChildren(el("li", {}, "This run has no finished games on disk yet."));
    else await loadGames();
    return;
  }
  const { total, page } = await get("/api/tournament", { tournament: index });
  const pages = Math.ceil(total / page);
  options(
    byId("part"),
    Array.from({ length: pages }, (_, i) => [i * page, `games ${i * page} to ${Math.min(total, (i + 1) * page) - 1}`]),
  );
  if (!total) byId("games").replaceChildren(el("li", {}, "This tournament has no finished games yet."));
  else await loadGames();
}

async function loadGames() {
  const { kind, index } = source();
  const part = Number(byId("part").value);
  if (kind === "run") {
    const { games } = await get("/api/shards", { run: index, shard: part });
    list(games.map((entry) => [{ run: index, shard: part, number: entry.number }, selfPlayText(entry)]));
  } else {
    const { games } = await get("/api/tournament", { tournament: index, start: part });
    list(games.map((entry) => [{ tournament: index, number: entry.number }, tournamentText(entry)]));
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
  return `game ${entry.number}: ${entry.length} moves${won}, version ${entry.version}`;
}

function tournamentText(entry) {
  const scores = entry.returns.map((value) => +(value ?? 0).toFixed(2)).join(" : ");
  const forfeited = entry.forfeit ? ", forfeited" : "";
  return `game ${entry.number}: ${entry.players.join(" – ")}, ${scores}, ${entry.length} moves${forfeited}`;
}

function list(entries) {
  byId("games").replaceChildren(
    ...entries.map(([query, text]) =>
      el("li", {}, el("button", { type: "button", click: (event) => open_game(query, event.currentTarget) }, text)),
    ),
  );
}

async function open_game(query, button) {
  for (const other of byId("games").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  button.setAttribute("aria-current", "true");
  game = query;
  await go(0);
}

async function go(ply) {
  if (!game || (shown && ply < 0)) return;
  const mine = ++wanted;
  const found = await attempt(() => get("/api/replay", { ...game, ply }));
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
    chart(lines, { label, range: valueRange(lines), cursor: shown.ply, across: "move" }),
  );
  showMoves();
  buttons();
}

function showNoted() {
  const place = byId("searched");
  const noted = shown.noted;
  if (!noted) {
    const opening =
      shown.ply < shown.opening ? "An opening move: not searched." : "Nothing is recorded of this position.";
    place.replaceChildren(el("p", { class: "quiet" }, opening));
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
          ["move", "policy", ""].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
  board.consider(noted.policy.map(([action, share]) => ({ action, share, text: percent(share) })));
}

function showMoves() {
  byId("replay-moves").replaceChildren(
    ...shown.moves.map(([player, text], i) => {
      const button = el(
        "button",
        { type: "button", click: () => go(i + 1), "aria-current": i + 1 === shown.ply ? "true" : null },
        text,
      );
      return el("li", { class: player < 0 ? "chance" : i < shown.opening ? "opening" : null }, button);
    }),
  );
  const here = byId("replay-moves").querySelector("[aria-current]");
  if (here) byId("replay-moves").scrollTop = here.offsetTop - byId("replay-moves").clientHeight / 2;
}

function buttons() {
  const moves = shown?.moves.length ?? 0;
  const ply = shown?.ply ?? 0;
  byId("first").disabled = byId("back").disabled = !shown || ply === 0;
  byId("forth").disabled = byId("last").disabled = !shown || ply >= moves;
  byId("ply").disabled = !shown;
  byId("play-here").disabled = byId("compare-here").disabled = !shown || (ply === moves && Boolean(shown.result));
}
