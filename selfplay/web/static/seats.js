// Choosing a player: its kind, and what the kind needs (a run with a version, simulations).

import { el, options } from "./dom.js";

const NAMES = {
  human: "a person",
  run: "trained network with search",
  pretrained: "trained network of selfplay",
  net: "trained network alone",
  mcts: "plain MCTS",
  uniform: "search without knowledge",
  solver: "perfect play",
  random: "random moves",
};

let counter = 0;

/** A group of controls for one player. `value` is what the server takes. */
export class SeatPicker {
  /** `game` is the server's answer about the game; `setup` what there is to choose from. */
  constructor(legend, setup, game, { person = true, chosen = null } = {}) {
    this.setup = setup;
    const id = `seat-${++counter}`;
    this.runs = setup.runs
      .map((run, index) => ({ ...run, index }))
      .filter((run) => run.rules === game.rules && run.versions.length);
    const kinds = Object.keys(NAMES).filter((kind) => {
      if (kind === "human") return person;
      if (kind === "solver") return game.solver;
      if (kind === "pretrained") return game.pretrained;
      return !setup.kinds.with_run.includes(kind) || this.fitting(kind).length > 0;
    });
    this.kind = el("select", { id: `${id}-kind`, change: () => this.update() });
    options(
      this.kind,
      kinds.map((kind) => [kind, NAMES[kind]]),
    );
    this.run = el("select", { "aria-label": `${legend}: run`, change: () => this.versions() });
    this.version = el("select", { "aria-label": `${legend}: version` });
    this.simulations = el("input", {
      type: "number",
      min: 1,
      max: setup.limits.simulations,
      step: 1,
      inputmode: "numeric",
      required: true,
    });
    this.simulations.value = setup.limits.usual_simulations;
    this.simulationsLabel = el("label", {}, "simulations ", this.simulations);
    this.runLabel = el("span", { class: "run" }, this.run, this.version);
    this.element = el(
      "fieldset",
      { class: "seat" },
      el("legend", {}, legend),
      this.kind,
      this.runLabel,
      this.simulationsLabel,
    );
    this.kind.setAttribute("aria-label", legend);
    this.value = chosen ?? { kind: kinds[0] };
  }

  get value() {
    const kind = this.kind.value;
    const value = { kind };
    if (this.setup.kinds.searching.includes(kind)) value.simulations = Number(this.simulations.value);
    if (this.setup.kinds.with_run.includes(kind)) {
      value.run = Number(this.run.value);
      value.version = Number(this.version.value);
    }
    return value;
  }

  set value(value) {
    if ([...this.kind.options].some((option) => option.value === value.kind)) this.kind.value = value.kind;
    if (value.simulations) this.simulations.value = value.simulations;
    this.update();
    if (value.run !== undefined && this.runs.some((run) => run.index === value.run)) {
      this.run.value = value.run;
      this.versions();
      if (value.version !== undefined) this.version.value = value.version;
    }
  }

  /** The runs that can play as this kind. */
  fitting(kind) {
    return this.runs.filter((run) => kind !== "run" || run.searches);
  }

  update() {
    const kind = this.kind.value;
    this.runLabel.hidden = !this.setup.kinds.with_run.includes(kind);
    this.simulationsLabel.hidden = !this.setup.kinds.searching.includes(kind);
    this.simulations.disabled = this.simulationsLabel.hidden;
    const [run, version] = [this.run.value, this.version.value];
    const runs = this.fitting(kind);
    options(
      this.run,
      runs.map((entry) => [entry.index, entry.name]),
    );
    const stays = runs.some((entry) => String(entry.index) === run);
    if (stays) this.run.value = run;
    this.versions();
    if (stays) this.version.value = version;
  }

  versions() {
    const run = this.runs.find((entry) => entry.index === Number(this.run.value));
    const versions = run ? [...run.versions].reverse() : [];
    options(
      this.version,
      versions.map((version, i) => [version, `version ${version}${i ? "" : " (newest)"}`]),
    );
  }
}

/** Who sits where when nobody has chosen yet: a person moves first, the others are of medium strength. */
export function usualSeat(seat, game) {
  return seat === game.first ? { kind: "human" } : usualAdviser(game);
}

export const usualAdviser = (game) => game.strengths[1].seat;
