"""A curriculum: games that a run plays for a part of its budget beside the game that it is for.

A stage is a text, `GAME` and then `until=SHARE` or `share=SHARE` behind blanks: `go(board_size=7) until=0.3`. So it is
written alike in a file and in a flag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.config.options import quoted, read_options
from selfplay.config.schema import setting
from selfplay.errors import UserError

FORM = "GAME until=0.3 share=0.5"
"""How a stage is written."""


@dataclass(frozen=True)
class StageOptions:
    """What stands behind the game of a stage."""

    until: float | None = setting(None, "share of the budget at which the stage ends; the last may have none", 0.0, 1.0)
    share: float = setting(1.0, "share of its game among the games that begin in the stage", 0.001, 1.0)


@dataclass(frozen=True)
class Stage:
    """A part of the budget."""

    game: str
    """Its game, as `games.load` reads it."""
    until: float
    """Share of the budget at which it ends, in (0, 1]."""
    share: float
    """Share of its game among those that begin, in (0, 1]; the others are of the run's own game."""


def read_stages(texts: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of a curriculum, in their order. Raises UserError with one line for a person."""
    stages: list[Stage] = []
    for number, text in enumerate(texts, start=1):
        what = f"curriculum: stage {number}, {quoted(text)}"
        match = re.fullmatch(r"\s*([^\s(=]+(?:\([^)]*\))?)(\s.*)?", text)
        if match is None:
            raise UserError(f"{what}: no game stands first; write it as {FORM}")
        options: StageOptions = read_options(what, StageOptions, (match[2] or "").split(), f"; write it as {FORM}")
        is_last = number == len(texts)
        if options.until is None and not is_last:
            raise UserError(f"{what}: until is missing; only the last stage goes on to the end")
        until = 1.0 if options.until is None else options.until
        begins = stages[-1].until if stages else 0.0
        if until <= begins:
            raise UserError(f"{what}: until is {until:g}, and the stage begins at {begins:g}; use a greater share")
        stages.append(Stage(match[1], until, options.share))
    return tuple(stages)


def stage_at(stages: Sequence[Stage], progress: float) -> Stage | None:
    """The stage in which so much of the budget, in [0, 1], is spent; None after the last."""
    return next((stage for stage in stages if progress < stage.until), None)


def describe(stages: Sequence[Stage], own: str) -> str:
    """The curriculum of a run for `own` as a person reads it."""
    parts = []
    for stage in stages:
        beside = "" if stage.share == 1.0 else f" in {stage.share:.0%} of the games"
        end = "to the end" if stage.until == 1.0 else f"until {stage.until:.0%} of the budget"
        parts.append(f"{stage.game}{beside} {end}")
    return f"curriculum: {'; '.join(parts)}; all other games are of {own}"
