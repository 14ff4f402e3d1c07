"""From an OpenSpiel name and parameters to a game, without its noise, hangs and crashes.

`games.load` comes here for every name that is not a game of our own. OpenSpiel prints a copy of every error and some
warnings to standard error (swallowed here), and with some parameters hangs, eats all memory or crashes: a game whose
parameters are not the defaults is tried in a limited child process first (`games.open_spiel.child`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pyspiel

from games.base import GameError
from games.open_spiel.game import OpenSpielGame
from games.open_spiel.views import EGOCENTRIC, VIEWS
from games.parameters import Value, canonical, typed

_Parameters: TypeAlias = tuple[tuple[str, Value], ...]
"""Sorted pairs: a dictionary that a cache can hold."""

CHILD_TIMEOUT = 30.0
"""Seconds of wall-clock time for the child; its limit on processor time ends it sooner on a machine that is free."""

VIEW_PARAMETERS = frozenset({"ansi_color_output", "egocentric", EGOCENTRIC, "plain_obs_tensor", "string_rep"})
"""Parameters that change what is seen or printed, not the rules."""

OTHER_ACTIONS = frozenset({"breakthrough"})
"""Games whose actions have other numbers in our own version: the rules of OpenSpiel's keep the prefix of its name."""


def unsupported_reason(name: str) -> str:
    """Why a registered OpenSpiel game cannot be used here; empty when it can."""
    kind, enums = _types()[name], pyspiel.GameType
    if not kind.default_loadable:
        return "cannot be built from its defaults (needs a file or another game)"
    if kind.dynamics != enums.Dynamics.SEQUENTIAL:
        return "players move simultaneously"
    if kind.information != enums.Information.PERFECT_INFORMATION:
        return "players do not see everything (imperfect information)"
    if kind.chance_mode == enums.ChanceMode.SAMPLED_STOCHASTIC:
        return "draws its chance inside its moves, so a search cannot see it"
    return ""


def known_names() -> list[str]:
    """Every game registered in OpenSpiel, supported or not."""
    return sorted(_types())


def openspiel_defaults(name: str) -> dict[str, Value]:
    """The parameters of a registered game with their defaults."""
    own = {EGOCENTRIC: False} if name in VIEWS else {}
    return {**_types()[name].parameter_specification, **own}


def load_openspiel(name: str, given: Mapping[str, str], prefix: str = "") -> OpenSpielGame:
    """The game of that name and parameters (as text), its own name starting with `prefix`. Raises GameError.

    Equal games are one object per process, which is what lets pools share states.
    """
    if reason := unsupported_reason(name):
        raise GameError(f"{name} is not supported: {reason}")
    defaults = openspiel_defaults(name)
    parameters = typed(name, given, defaults)
    changed = {key: value for key, value in parameters.items() if value != defaults[key]}
    return _load(name, tuple(sorted(parameters.items())), bool(changed), prefix)


@functools.cache
def _load(name: str, parameters: _Parameters, try_first: bool, prefix: str) -> OpenSpielGame:
    chosen = dict(parameters)
    view = VIEWS.get(name) if chosen.get(EGOCENTRIC) else None
    theirs = {key: value for key, value in chosen.items() if key != EGOCENTRIC or name not in VIEWS}
    if try_first and (complaint := _complaint(name, tuple(sorted(theirs.items())))):
        raise GameError(f"{canonical(name, theirs)} cannot be used: {complaint}")
    game = _build(name, theirs)
    minimal = _without_redundant(name, theirs, game) | ({EGOCENTRIC: True} if view else {})
    if minimal != chosen:
        return _load(name, tuple(sorted(minimal.items())), False, prefix)
    rules = {key: value for key, value in chosen.items() if key not in VIEW_PARAMETERS}
    own = prefix if name in OTHER_ACTIONS else ""
    return OpenSpielGame(game, name=prefix + canonical(name, chosen), rules=own + canonical(name, rules), view=view)


def _build(name: str, parameters: dict[str, Value]) -> pyspiel.Game:
    try:
        with quiet():
            return pyspiel.load_game(name, parameters)
    except (pyspiel.SpielError, ValueError, MemoryError) as error:
        raise GameError(f"{canonical(name, parameters)} cannot be built: {_one_line(str(error))}") from None


def _without_redundant(name: str, parameters: dict[str, Value], game: pyspiel.Game) -> dict[str, Value]:
    """Drop parameters that change nothing (some have defaults that follow another parameter, so each is tried)."""
    for key in sorted(parameters, reverse=True):
        fewer = {k: v for k, v in parameters.items() if k != key}
        with contextlib.suppress(GameError):
            if _build(name, fewer).get_parameters() == game.get_parameters():
                parameters = fewer
    return parameters


@functools.cache
def _complaint(name: str, parameters: _Parameters) -> str:
    """Try the game in a limited child process. Returns what is wrong, or an empty string."""
    chosen = dict(parameters)
    if name == "hex" and chosen.get("plain_obs_tensor") and not _is_square_hex(chosen):
        return "OpenSpiel writes its plain observation out of bounds when the board is not square"
    child = Path(__file__).with_name("child.py")
    command = [sys.executable, "-P", str(child), name, json.dumps(chosen)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return "building and starting it takes too long"
    if result.returncode in (0, 1):
        return _one_line(result.stdout)
    return "building and starting it takes too much time or memory, or crashes OpenSpiel"


def _is_square_hex(parameters: Mapping[str, Value]) -> bool:
    size = parameters.get("board_size", 11)
    return parameters.get("num_cols", size) == parameters.get("num_rows", size)


def _one_line(message: str) -> str:
    """First line of an OpenSpiel message, without the place in its source."""
    lines = re.sub(r"^\S+\.cc:\d+ ", "", message.strip()).splitlines()
    return lines[0][:200] if lines else ""


@functools.cache
def _types() -> dict[str, pyspiel.GameType]:
    return {kind.short_name: kind for kind in pyspiel.registered_games()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what C++ code writes to standard error (OpenSpiel prints warnings and a copy of every error there)."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
