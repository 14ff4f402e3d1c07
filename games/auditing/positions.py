"""One position of a game, looked at in full and checked: what `games.auditing.promises` compares and reports.

Every method of a `State` is called here, and no output is trusted.
"""

from __future__ import annotations

import math
import numbers
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from games.base import CHANCE, TERMINAL, Game
from games.python_pool import State

T = TypeVar("T")

TOLERANCE = 1e-6
"""Difference of sums of rewards and probabilities that counts as none."""


class BrokenError(Exception):
    """A promise is broken: which rule, what happened, and after how many of the moves played (None: after all)."""

    def __init__(self, rule: str, what: str, num_moves: int | None = None) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule, self.what, self.num_moves = rule, what, num_moves


@dataclass(frozen=True)
class Look:
    """Outputs of all methods of a position. Two looks at one position are equal."""

    to_play: int
    legal_actions: tuple[int, ...] = ()
    chance_outcomes: tuple[tuple[int, float], ...] = ()
    rewards: tuple[float, ...] = ()
    observation: bytes = b""
    text: str = ""
    """How the position prints itself; empty where it does not."""

    def difference(self, other: Look) -> str:
        """The first thing in which two looks differ; empty where they are equal."""
        return next((f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)), "")


def asked(rule: str, question: str, call: Callable[..., T], *args: Any) -> T:
    """The output of `call(*args)`. Raises BrokenError for any exception that comes instead."""
    try:
        return call(*args)
    except BrokenError:
        raise
    except (Exception, SystemExit) as error:  # whatever the code of a game raises
        raise BrokenError(rule, f"{question} raises {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Kind, message, file and line of an exception, in one line."""
    lines = str(error).strip().splitlines()
    message = f": {lines[0][:200]}" if lines else ""
    in_its_text = isinstance(error, SyntaxError)  # which names file and line itself
    frames = [] if in_its_text else traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{message}{place}"


def look(game: Game, state: State) -> Look:
    """The outputs of all methods of a position. Raises BrokenError for the first one that breaks a rule."""
    to_play = asked("to_play", "to_play()", state.to_play)
    if not _is_whole(to_play) or int(to_play) not in (CHANCE, TERMINAL, *range(game.num_players)):
        raise BrokenError(
            "to_play",
            f"to_play() is {_short(to_play)}; it is a player from 0 to {game.num_players - 1}, games.CHANCE or "
            "games.TERMINAL",
        )
    rewards = _rewards(game, state)
    prints = type(state).__str__ is not object.__str__ or type(state).__repr__ is not object.__repr__
    text = asked("__str__", "str(state)", str, state) if prints else ""
    if to_play == TERMINAL:
        return Look(TERMINAL, rewards=rewards, text=text)
    if to_play == CHANCE:
        return Look(CHANCE, chance_outcomes=_outcomes(game, state), rewards=rewards, text=text)
    legal = _legal(game, state)
    return Look(int(to_play), legal, (), rewards, _observation(game, state), text)


def _legal(game: Game, state: State) -> tuple[int, ...]:
    legal: Any = asked("legal_actions", "legal_actions()", state.legal_actions)
    if not hasattr(legal, "__len__") or not hasattr(legal, "__getitem__"):
        raise BrokenError("legal_actions", f"legal_actions() is a {type(legal).__name__}; it is a list, range or array")
    actions = list(legal)
    if not actions:
        raise BrokenError("legal_actions", "legal_actions() is empty while a player is to move; is the game over?")
    for action in actions:
        if not _is_whole(action) or not 0 <= action < game.num_actions:
            raise BrokenError(
                "legal_actions",
                f"legal_actions() has {_short(action)}; actions are whole numbers from 0 to {game.num_actions - 1}",
            )
    if any(later <= earlier for earlier, later in zip(actions, actions[1:])):
        raise BrokenError("legal_actions", f"legal_actions() is {_short(actions)}, not ascending or with one twice")
    return tuple(int(action) for action in actions)


def _outcomes(game: Game, state: State) -> tuple[tuple[int, float], ...]:
    rule = "chance_outcomes"
    if game.max_chance_outcomes == 0:
        raise BrokenError(rule, "to_play() is games.CHANCE in a game whose max_chance_outcomes is 0")
    given = asked(rule, "chance_outcomes()", state.chance_outcomes)
    pairs = asked(rule, "reading the pairs of chance_outcomes()", lambda: [(o, float(p)) for o, p in given])
    if not 0 < len(pairs) <= game.max_chance_outcomes:
        raise BrokenError(rule, f"chance_outcomes() has {len(pairs)}; there are 1 to {game.max_chance_outcomes}")
    if not all(_is_whole(outcome) for outcome, _ in pairs) or len({outcome for outcome, _ in pairs}) < len(pairs):
        raise BrokenError(rule, f"the outcomes are {_short([o for o, _ in pairs])}, not whole numbers, each once")
    if not all(probability > 0 for _, probability in pairs):  # false for NaN too
        raise BrokenError(rule, f"the probabilities are {_short([p for _, p in pairs])}, not all above 0")
    total = math.fsum(probability for _, probability in pairs)
    if not abs(total - 1) <= TOLERANCE:
        raise BrokenError(rule, f"the probabilities sum to {total:g}, not to 1")
    return tuple((int(outcome), probability) for outcome, probability in pairs)


def _rewards(game: Game, state: State) -> tuple[float, ...]:
    given: Any = asked("rewards", "rewards()", state.rewards)
    rewards: Any = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(rewards, (list, tuple)) or len(rewards) != game.num_players:
        raise BrokenError("rewards", f"rewards() is {_short(given)}, not {game.num_players} numbers, one a player")
    if not all(isinstance(reward, (numbers.Real, np.number)) and math.isfinite(reward) for reward in rewards):
        raise BrokenError("rewards", f"rewards() is {_short(given)}, not finite numbers")
    return tuple(float(reward) for reward in rewards)


def _observation(game: Game, state: State) -> bytes:
    planes, *rest = game.observation_shape
    shape = (planes - game.num_players, *rest)
    given: Any = asked("observation", "observation()", state.observation)
    if not isinstance(given, np.ndarray):
        raise BrokenError("observation", f"observation() is a {type(given).__name__}, not an array of numpy")
    if given.shape != shape:
        raise BrokenError(
            "observation",
            f"observation() has shape {list(given.shape)}; observation_shape {list(game.observation_shape)} without "
            f"the seats is {list(shape)}",
        )
    if given.dtype != np.float32:
        raise BrokenError("observation", f"observation() has dtype {given.dtype}, not float32")
    if not np.isfinite(given).all():
        raise BrokenError("observation", f"observation() has {given[~np.isfinite(given)][0]} in it, no finite number")
    return given.tobytes()


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def try_move(state: State, here: Look, action: int, moves: list[str]) -> None:
    """Play one action, and note it."""
    text = _move_text(state, here, action)
    asked("apply", f"apply({action}), which is legal here,", state.apply, action)
    moves.append(text)


def choose(here: Look, rng: np.random.Generator) -> int:
    """A random legal action, or a chance outcome (by their probabilities)."""
    if here.to_play == CHANCE:
        outcomes, probabilities = zip(*here.chance_outcomes)
        weights = np.array(probabilities)
        return int(rng.choice(outcomes, p=weights / weights.sum()))
    return int(rng.choice(here.legal_actions))


def _move_text(state: State, here: Look, action: int) -> str:
    """A move by its number and as a person writes it."""
    if here.to_play == CHANCE:
        return f"outcome {action}"
    try:
        return f"{action} ({str(state.action_text(action)).splitlines()[0]})"
    except Exception:  # reported where texts are checked
        return str(action)
