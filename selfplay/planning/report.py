"""A plan as text for a person: what was measured, what is proposed, what it will give, and what is wrong with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from selfplay.planning.model import NetSpeed, Prediction
from selfplay.planning.rules import SAMPLES_PER_WEIGHT, Plan
from selfplay.planning.warnings import warnings_of


def plan_text(plan: Plan, source: str) -> str:
    """The whole report; `source` names the file that the settings came from."""
    parts = [_measured(plan), _table(plan), _proposal(plan, source), _forecast(plan)]
    warnings = "\n".join(f"warning: {line}" for line in warnings_of(plan))
    return "\n\n".join(filter(None, [*parts, warnings]))


def _measured(plan: Plan) -> str:
    m = plan.measured
    shared = ", one GPU for actors and learner" if m.on_gpu else ""
    return "\n".join(
        [
            f"{plan.config.game}: {plan.config.budget.minutes:g} minutes on {m.cores} cores{shared}, "
            f"{m.memory / 1e9:.1f} GB free",
            f"  a simulation: {1e6 * m.overhead:.1f} us of tree, rules and cache, {m.evaluations:.2f} evaluations "
            f"({m.cache_hits:.0%} cache hits)",
            f"  a position: {m.position_bytes:,.0f} bytes in the replay; a random game: {m.game_length:.0f} moves",
            f"  compiling took {m.compile_seconds:.0f} s, an actor starts in {m.start_seconds:.0f} s",
        ]
    )


def _table(plan: Plan) -> str:
    """A line a network: its speeds, then what it would give with the settings that are best for it."""
    headings = (
        "network", "weights", "type", "evaluations/s", "samples/s", "positions", "steps", "reuse", "samples/weight",
    )  # fmt: skip
    rows = [headings, *(_row(plan, speed, prediction) for speed, prediction in plan.candidates)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [
        f"{line}  <- proposed" if i > 0 and plan.candidates[i - 1][0] is plan.chosen else line
        for i, line in enumerate(lines)
    ]
    note = (
        "evaluations/s of one actor, samples/s of the learner with one thread, both at work at the same time;\n"
        "positions, steps and reuse as the budget allows with the settings that are best for each network.\n"
        f"The largest with {SAMPLES_PER_WEIGHT:g} samples for each weight of its trunk is proposed."
    )
    return "\n".join([*lines, note])


def _row(plan: Plan, speed: NetSpeed, prediction: Prediction) -> tuple[str, ...]:
    reuse = prediction.samples / max(1.0, prediction.positions * plan.measured.learned_share)
    return (
        speed.name,
        f"{speed.weights:,}",
        speed.dtype,
        f"{max(speed.inference.values()):,.0f}",
        f"{speed.learner:,.0f}",
        f"{prediction.positions:,.0f}",
        f"{prediction.steps:,.0f}",
        f"{reuse:.1f}",
        f"{prediction.samples_per_weight:.1f}",
    )


def _proposal(plan: Plan, source: str) -> str:
    lines = []
    if plan.changes:
        flags = shlex.join(plan.overrides).replace(" --", " \\\n    --")
        lines += [f"proposed, as options:\n    {flags}", f"and as YAML, where it differs from {source}:"]
        lines += [f"    {line}" for line in yaml_changes(plan)]
    else:
        lines.append(f"proposed: the settings of {source} as they are")
    if plan.given:
        lines.append(f"kept as given on the command line: {', '.join(plan.given)}")
    return "\n".join(lines)


def yaml_changes(plan: Plan) -> Iterator[str]:
    """The changes as lines of YAML, with the old values as comments."""
    section = ""
    for key, (old, new) in sorted(plan.changes.items()):
        here, name = key.split(".")
        if here != section:
            section = here
            yield f"{section}:"
        yield f"  {name}: {new}  # was {old}"


def _forecast(plan: Plan) -> str:
    p, m, config = plan.prediction, plan.measured, plan.config
    rows: Sequence[tuple[str, str]] = [
        ("games", f"{p.games:,.0f}, {p.game_seconds:.0f} s each, {_in_flight(plan):,} at once"),
        ("positions", f"{p.positions:,.0f}, {p.positions_per_second:,.0f}/s"),
        ("steps", f"{p.steps:,.0f} of {config.learner.batch_size}: {p.samples:,.0f} samples"),
        ("busy", f"actors {p.actors_busy:.0%}, learner {p.learner_busy:.0%} of their time"),
        ("replay", f"{p.window:,} positions in the window at the end, of {config.replay.capacity:,} at most"),
        ("memory", f"actors {p.actor_memory / 1e9:.1f} GB, learner {p.learner_memory / 1e9:.1f} GB"),
    ]
    title = f"with {plan.chosen.name} and {config.search.num_simulations} simulations, the budget gives about"
    note = (
        f"after {m.start_seconds:.0f} s for the start. Measured with a fresh network: a trained one plays longer "
        "games, and more positions."
    )
    return "\n".join([title, *(f"  {name:10}{text}" for name, text in rows), note])


def _in_flight(plan: Plan) -> int:
    return max(1, plan.config.actors.num_actors) * plan.config.actors.games_per_actor
