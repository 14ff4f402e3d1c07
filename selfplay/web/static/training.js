// The page Training: the curves of a run, drawn anew while it goes on.

import { get } from "./api.js";
import { chart, short } from "./chart.js";
import { attempt, byId, el, options, percent } from "./dom.js";

const POLL = 5000;
const AXES = { time_s: "minutes", step: "steps", positions: "positions" };
const FIRST = [
  "eval/score/",
  "eval/",
  "train/loss",
  "train/policy_loss",
  "train/value_loss",
  "selfplay/",
  "train/",
  "time/",
];

let setup = null;
let timer = null;
let visible = false;

export function start(given) {
  setup = given;
  options(
    byId("run"),
    setup.runs.map((run, index) => [index, run.name]),
  );
  for (const id of ["run", "axis", "follow"]) byId(id).addEventListener("change", () => load());
}

export async function open() {
  visible = true;
  await load();
}

export function close() {
  visible = false;
  clearTimeout(timer);
}

async function load() {
  clearTimeout(timer);
  if (!setup.runs.length) {
    byId("training-status").textContent = "Start with the folder of a run: selfplay serve RUN_DIR";
    return;
  }
  const found = await attempt(() => get("/api/metrics", { run: byId("run").value }));
  if (found) show(found);
  if (visible && byId("follow").checked) timer = setTimeout(load, POLL);
}

function show({ rows, series, meaning }) {
  const axis = byId("axis").value;
  const xs = (series[axis] ?? []).map((value) => (axis === "time_s" && value !== null ? value / 60 : value));
  byId("training-status").textContent = rows ? `${rows} reports so far.` : "The run has not reported yet.";
  const names = Object.keys(series).filter((name) => !(name in AXES));
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  byId("curves").replaceChildren(
    ...names.map((name) => card(name, series[name], meaning[name], xs, AXES[axis])).filter(Boolean),
  );
}

function rank(name) {
  const found = FIRST.findIndex((prefix) => name.startsWith(prefix));
  return found < 0 ? FIRST.length : found;
}

function card(name, values, [unit, meaning], xs, across) {
  const points = values
    .map((value, i) => [xs[i], value])
    .filter(([x, value]) => value !== null && x !== null && x !== undefined);
  if (!points.length) return null;
  const last = points[points.length - 1][1];
  const now = unit === "share" ? percent(last) : `${short(last)}${unit ? ` ${unit}` : ""}`;
  return el(
    "section",
    { class: "panel curve" },
    el("h3", {}, name, " ", el("span", { class: "now" }, now)),
    chart([{ name, points }], { label: name, across, range: unit === "share" ? [0, 1] : null }),
    el("p", { class: "quiet" }, meaning),
  );
}
