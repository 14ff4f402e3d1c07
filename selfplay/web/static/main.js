// The front end: four pages in one, chosen by the part of the address behind #.

import { get } from "./api.js";
import * as browse from "./browse.js";
import * as compare from "./compare.js";
import { attempt, byId } from "./dom.js";
import * as play from "./play.js";
import * as training from "./training.js";

const PAGES = { play: {}, browse, compare, training };
let shown = "";

function route() {
  const name = location.hash.slice(1) in PAGES ? location.hash.slice(1) : "play";
  if (shown === name) return;
  PAGES[shown]?.close?.();
  shown = name;
  for (const page of Object.keys(PAGES)) {
    byId(page).hidden = page !== name;
    const link = document.querySelector(`[data-page=${page}]`);
    if (page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `selfplay – ${document.querySelector(`[data-page=${name}]`).textContent}`;
  PAGES[name].open?.();
}

async function playHere(game, moves, page) {
  await play.beginFrom(game, moves, page === "compare");
  location.hash = page;
}

await attempt(async () => {
  const setup = await get("/api/setup");
  browse.start(setup, { playHere });
  compare.start(setup, { playHere });
  training.start(setup);
  await play.start(setup);
});
window.addEventListener("hashchange", route);
route();
document.body.dataset.ready = "yes";
