// What a run does, to look at: its newest game of self-play, move by move, or a film of an episode.

import { get, post } from "./api.js";
import { Board } from "./board.js";
import { byId, el, percent, signed } from "./dom.js";
import { short } from "./plot.js";

const MOVE = 900; // milliseconds that a position is shown
const END = 4000; // and the last one
const FILM = 1500; // between two questions whether a film is done

let place = null;
let run = null;
let timer = null;
let turn = 0; // what was asked for before another run was chosen is passed over
let board = null;
let game = null; // the query of the game that is shown, with its ply
let seen = ""; // the newest game so far
let playing = true;

/** Show `chosen`, a run of the setup with its index, in the element `where`. */
export function open(chosen, where) {
  close();
  [run, place, game, seen] = [chosen, where, null, ""];
  playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (run.environment) openFilm();
  else openGame();
}

export function close() {
  clearTimeout(timer);
  turn++;
}

/** Do something unless another run was chosen meanwhile; a mistake is shown here. */
async function attemptHere(work) {
  const mine = turn;
  try {
    await work(() => mine === turn);
  } catch (error) {
    if (mine === turn) say(error.message);
  }
}

const say = (text) => {
  place.querySelector(".status").textContent = text;
};

// Games.

function openGame() {
  const where = el("div");
  const pause = el("button", { type: "button", id: "watch-pause", click: toggle }, playing ? "Pause" : "Go on");
  place.replaceChildren(
    el("h3", {}, "Newest game of self-play"),
    el("p", { class: "status" }, ""),
    where,
    el("div", { class: "buttons" }, pause, el("a", { href: "#browse", class: "button" }, "All games")),
  );
  board = new Board(where, "Board of the newest game of self-play");
  step();
}

function toggle() {
  playing = !playing;
  byId("watch-pause").textContent = playing ? "Pause" : "Go on";
  clearTimeout(timer);
  if (playing) step();
}

/** Show the next position; after the last one the newest game, from its start. */
function step() {
  attemptHere(async (isWanted) => {
    if (game === null || game.ply >= game.moves) await next(run.index, isWanted);
    else game.ply++;
    if (!isWanted() || game === null) return;
    const { run: index, shard, number, ply } = game;
    const found = await get("/api/replay", { run: index, shard, number, ply });
    if (!isWanted()) return;
    game.moves = found.moves.length;
    show(found);
    if (playing) timer = setTimeout(step, ply >= game.moves ? END : MOVE);
  });
}

/** The newest game; where it was shown already, the one before the last that was shown. */
async function next(index, isWanted) {
  const { shards } = await get("/api/shards", { run: index });
  if (!isWanted()) return;
  if (!shards.length) {
    say("No game has been written yet; the first ones come with the first checkpoint.");
    timer = setTimeout(step, END);
    return;
  }
  const { games } = await get("/api/shards", { run: index, shard: shards[0] });
  if (!isWanted()) return;
  const newest = `${shards[0]}/${games.length}`;
  const number = newest === seen && game ? (game.number || games.length) - 1 : games.length - 1;
  seen = newest;
  game = { run: index, shard: shards[0], number, ply: playing ? 0 : games[number].length, moves: Infinity };
}

function show(found) {
  board.show(found.position, found.last, false);
  const noted = found.noted;
  board.consider((noted?.policy ?? []).map(([action, share]) => ({ action, share, text: percent(share) })));
  const result = found.ply === found.moves.length ? ` ${found.result}` : "";
  const version = noted ? `, version ${noted.version}, value for the mover ${signed(noted.value)}` : "";
  say(`Game ${game.shard}/${game.number}: move ${found.ply} of ${found.moves.length}${version}.${result}`);
}

// Films.

function openFilm() {
  const button = el("button", { type: "button", id: "film", click: () => film() }, "Film the newest version");
  place.replaceChildren(
    el("h3", {}, `An episode in ${run.environment}`),
    el("p", { class: "status", role: "status" }, ""),
    el("div", { id: "film-place" }),
    el("div", { class: "buttons" }, button),
  );
  attemptHere(async (isWanted) => {
    const { film: made, versions } = await get("/api/film", { run: run.index });
    if (!isWanted()) return;
    button.disabled = !versions.length;
    if (!versions.length) say("The run has no checkpoint to film yet.");
    else if (made) showFilm(made);
    else film();
  });
}

function film() {
  attemptHere(async (isWanted) => {
    const made = await post("/api/film", { run: run.index });
    if (isWanted()) showFilm(made);
  });
}

function showFilm({ state, version, problem, return: total }) {
  byId("film").disabled = state === "making";
  if (state === "making") {
    say(`An episode of version ${version} is being filmed …`);
    timer = setTimeout(
      () =>
        attemptHere(async (isWanted) => {
          const { film: made } = await get("/api/film", { run: run.index });
          if (isWanted() && made) showFilm(made);
        }),
      FILM,
    );
    return;
  }
  if (state === "failed") {
    say(`There is no film: ${problem}`);
    return;
  }
  say(`Version ${version}${total === null ? "" : `; an episode before the film had a return of ${short(total)}`}.`);
  const source = `/api/film.mp4?run=${run.index}&version=${version}`;
  const name = `Film of an episode of version ${version}`;
  byId("film-place").replaceChildren(
    el("video", { src: source, controls: true, loop: true, muted: true, playsinline: true, "aria-label": name }),
  );
  const video = byId("film-place").firstChild;
  video.muted = true; // the attribute alone is the default of a page that is loaded
  if (playing) video.play().catch(() => {}); // browsers may want a click first
}
