// The page Training: how strong a run is, whether it learns, how fast; while it goes on, its newest numbers and games.

import { get } from "./api.js";
import { NO_RUN, attempt, byId, el, options, percent } from "./dom.js";
import { plot, short } from "./plot.js";
import * as watch from "./watch.js";

const POLL = 5000;
const AXES = { time_s: "minutes", step: "steps of the learner", positions: "positions played" };
const STRENGTH = "Strength";
const REST = "Everything else";

let setup = null;
let timer = null;
let visible = false;
let shown = ""; // what the plots on the page show

export function start(given) {
  setup = given;
  options(
    byId("run"),
    setup.runs.map((run, index) => [index, run.name]),
    setup.newest_run ?? setup.runs.length - 1,
  );
  byId("run").addEventListener("change", () => {
    watch.open(run(), byId("watch"));
    load();
  });
  for (const id of ["axis", "follow"]) byId(id).addEventListener("change", () => load());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    shown = "";
    if (visible && setup.runs.length) load();
  });
}

const run = () => ({ ...setup.runs[Number(byId("run").value)], index: Number(byId("run").value) });

/** Called when the page is shown. */
export async function open() {
  visible = true;
  byId("training-choice").hidden = byId("training-columns").hidden = !setup.runs.length;
  if (!setup.runs.length) {
    byId("training-status").textContent = `No run was given. ${NO_RUN}`;
    return;
  }
  watch.open(run(), byId("watch"));
  await load();
}

/** Called when another page is shown. */
export function close() {
  visible = false;
  clearTimeout(timer);
  watch.close();
}

async function load() {
  clearTimeout(timer);
  const found = await attempt(() => get("/api/metrics", { run: byId("run").value }));
  if (!visible) return;
  if (found) show(found);
  if (byId("follow").checked) timer = setTimeout(load, POLL);
}

function show({ rows, series, panels, is_running }) {
  const axis = byId("axis").value;
  byId("training-status").textContent = rows
    ? `${is_running ? "The run goes on" : "The run has stopped"}. ${reached(series)}.`
    : "The run has not reported yet.";
  const now = JSON.stringify([byId("run").value, axis, rows, panels.length]);
  if (now === shown) return; // plots that are looked at stay as they are
  shown = now;
  const xs = (series[axis] ?? []).map((value) => (axis === "time_s" && value !== null ? value / 60 : value));
  const sections = [...new Set(panels.map((panel) => panel.section))];
  const open = byId("curves").querySelector("details")?.open ?? false;
  byId("curves").replaceChildren(
    ...(rows && !sections.includes(STRENGTH) ? [notEvaluated()] : []),
    ...sections.map((name) => {
      const here = panels.filter((panel) => panel.section === name);
      const cards = here.map((panel) => card(panel, series, xs, AXES[axis]));
      const grid = el("div", { class: "curves" }, cards);
      return name === REST
        ? el("details", { open }, el("summary", {}, el("h3", {}, name)), grid)
        : el("section", { class: "kind", "aria-label": name }, el("h3", {}, name), grid);
    }),
  );
}

const notEvaluated = () =>
  el("section", { "aria-label": STRENGTH }, el("h3", {}, STRENGTH), el("p", { class: "quiet" }, "No evaluation yet."));

/** How far the run has come, in words. */
function reached(series) {
  const last = (name) => (series[name] ?? []).filter((value) => value !== null).pop() ?? 0;
  return `${short(last("time_s") / 60)} minutes, ${short(last("step"))} steps, ${short(last("positions"))} positions`;
}

function card({ title, unit, about, lines, band, is_share }, series, xs, across) {
  const points = (name) =>
    (series[name] ?? [])
      .map((value, i) => [xs[i], value])
      .filter(([x, value]) => value !== null && x !== null && x !== undefined);
  const format = is_share ? (value) => (value === null || value === undefined ? "–" : percent(value)) : short;
  const drawn = lines.map(({ name, label }) => ({ name: label, points: points(name) }));
  const last = drawn[0].points[drawn[0].points.length - 1]?.[1];
  const ends = band?.map((name) => points(name).pop()?.[1]);
  const interval = ends ? ` (95 %: ${format(ends[0])} to ${format(ends[1])})` : "";
  const words = is_share || !unit ? "" : ` ${unit}`;
  const now = drawn.length > 1 ? "" : `${format(last)}${interval}${words}`;
  return el(
    "section",
    { class: "panel curve" },
    el("h4", {}, title, " ", el("span", { class: "now" }, now)),
    plot(drawn, {
      label: title,
      across,
      format,
      range: is_share ? [0, 1] : null,
      band: band ? { low: points(band[0]), high: points(band[1]) } : null,
    }),
    el("p", { class: "quiet" }, drawn.length > 1 ? "" : about.replaceAll("`", "")),
  );
}
