"""Rules that a game must keep to, checked: `broken_promises` plays random games and names what is broken.

The rules are those of docs/adding_a_game.md, "What the rules must keep to"; each is named as it is there. Random games
find mistakes that random games meet: nothing found is no proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from games.auditing.laws import check_again, check_symmetries
from games.auditing.positions import TOLERANCE, BrokenError, Look, asked, choose, describe, look, try_move
from games.base import CHANCE, TERMINAL, Game, GameError
from games.python_pool import PythonGame, State, new_state
from games.registry import load

MAX_GAMES = 300
"""Largest number of random games."""
CLONE_MOVES = 4
"""Number of moves that are played on a clone to see whether its original stays as it is."""
SIBLINGS = 4
"""Number of other legal actions that are tried in each position."""
MAX_SHOWN = 30
"""Largest number of moves of a broken promise that are shown; they are the last ones."""


@dataclass(frozen=True)
class Broken:
    """A promise that a game or an environment has broken."""

    rule: str
    """Name of the rule in the documentation."""
    what: str
    moves: tuple[str, ...] = ()
    """Moves from the start of a game to the position where it happened, or actions from the reset with the seed."""
    unit: str = "moves"

    def __str__(self) -> str:
        shown = self.moves[-MAX_SHOWN:]
        hidden = f"... {len(self.moves) - len(shown)} more, " if len(shown) < len(self.moves) else ""
        where = f"after {len(self.moves)} {self.unit}: {hidden}{', '.join(shown)}" if self.moves else "at the start"
        return f"{self.rule}: {self.what}\n    {where}"


@dataclass
class _Played:
    """A random game as far as it was played."""

    state: State
    looks: list[Look]
    actions: list[int] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    player_moves: int = 0
    returns: np.ndarray = field(default_factory=lambda: np.zeros(0))


class _Alike:
    """Legal actions and outcomes of moves by observation, to find positions that look the same and are not."""

    def __init__(self) -> None:
        self._legal: dict[tuple, tuple[tuple[int, ...], tuple[str, ...]]] = {}
        self._outcome: dict[tuple, tuple[tuple, tuple[str, ...]]] = {}

    def add(self, before: Look, action: int, after: Look, moves: tuple[str, ...], is_last: bool) -> None:
        """Raises BrokenError for a position that looks like an earlier one and is another. `is_last`: the rules allow
        no further move, which an observation need not tell; such moves are compared with each other."""
        key = (before.to_play, before.observation)
        legal, other = self._legal.setdefault(key, (before.legal_actions, moves))
        if legal != before.legal_actions:
            raise BrokenError("observation", f"it is the same with other legal actions {_after(other)}")
        outcome = (after.to_play, after.rewards)
        earlier, other = self._outcome.setdefault((*key, action, is_last), (outcome, moves))
        if earlier != outcome:
            raise BrokenError(
                "observation",
                f"it is the same {_after(other)}, where action {action} led to player {earlier[0]} and rewards "
                f"{list(earlier[1])}, not to {outcome[0]} and {list(outcome[1])}",
            )


def broken_promises(game: Game, positions: int = 500, seed: int = 0) -> list[Broken]:
    """Play random games for about `positions` moves and list the promises that were broken, each rule once.

    Nothing that the game does raises an exception from here.
    """
    found: dict[str, Broken] = {}
    moves: list[str] = []

    def check(part: Callable[..., Any], *args: Any) -> None:
        try:
            part(*args)
        except BrokenError as error:
            found.setdefault(error.rule, Broken(error.rule, error.what, tuple(moves[: error.num_moves])))
        except Exception as error:  # in a part of the game that `asked` does not guard
            found.setdefault("game", Broken("game", f"it raises {describe(error)}", tuple(moves)))
        moves.clear()

    check(_check_sizes, game)
    if found:
        return list(found.values())
    rng = np.random.default_rng(seed)
    # Observations of games with pools of their own may leave something out, as OpenSpiel's do.
    alike = _Alike() if type(game).new_pool is PythonGame.new_pool else None
    left = positions
    for _ in range(MAX_GAMES):
        if left <= 0:
            break
        played: list[_Played] = []
        check(_play, game, rng, left, moves, alike, played)
        left -= max(1, len(played[0].actions) if played else 1)
    check(check_symmetries, game, rng, moves)
    return list(found.values())


def load_or_broken(text: str) -> Game | Broken:
    """The game of a game string, or the exception of its making as a broken promise.

    Raises GameError where there is no such game."""
    try:
        return load(text)
    except GameError:
        raise
    except Exception as error:  # whatever the code of a game raises
        return Broken("new game", f"making it raises {describe(error)}")


def _check_sizes(game: Game) -> None:
    """Sizes and flags of a game."""
    for name, least in (("num_players", 1), ("num_actions", 1), ("max_game_length", 1), ("max_chance_outcomes", 0)):
        value = getattr(game, name, None)
        if not isinstance(value, (int, np.integer)) or value < least:
            raise BrokenError("sizes", f"{name} is {value!r}; it is a whole number from {least}")
    shape: Any = getattr(game, "observation_shape", None)
    sides = shape if isinstance(shape, tuple) and 1 <= len(shape) <= 3 else (0,)
    if not all(isinstance(side, (int, np.integer)) and side > 0 for side in sides) or sides[0] <= game.num_players:
        raise BrokenError(
            "sizes",
            f"observation_shape is {shape!r}; it is (N,), (C, N) or (C, H, W) with the seats of games.with_seats in "
            "its first number",
        )
    if not 0 < game.utility_scale < math.inf:
        raise BrokenError("utility_scale", f"utility_scale is {game.utility_scale!r}; it is above 0")
    if game.zero_sum and game.num_players == 1:
        raise BrokenError("zero_sum", "zero_sum is True in a game with one player; set zero_sum = False")


def _play(
    game: Game, rng: np.random.Generator, left: int, moves: list[str], alike: _Alike | None, out: list[_Played]
) -> None:
    """One random game, `left` moves at most. `moves` and `out` are filled on the way. Raises BrokenError."""
    state = asked("new_state", "new_state()", new_state, game)
    played = _Played(state, [look(game, state)], moves=moves, returns=np.zeros(game.num_players))
    out.append(played)
    if any(played.looks[0].rewards):
        raise BrokenError("rewards", f"rewards() is {list(played.looks[0].rewards)} at the start, before any move")
    while played.looks[-1].to_play != TERMINAL and len(played.actions) < left:
        before = played.looks[-1]
        _check_position(game, played.state, before, rng, moves)
        action = choose(before, rng)
        _move(game, played, action)
        after = played.looks[-1]
        _check_rewards(game, played)
        if alike is not None and before.to_play != CHANCE:
            is_last = after.to_play == TERMINAL and played.player_moves >= game.max_game_length
            alike.add(before, action, after, tuple(moves[:-1]), is_last)
    if played.looks[-1].to_play == TERMINAL:
        _check_end(game, played)
    check_again(game, played.actions, played.looks)


def _move(game: Game, played: _Played, action: int) -> None:
    """Play `action`, beside the same action in a clone."""
    before, state = played.looks[-1], played.state
    kept = asked("clone", "clone()", state.clone)
    twin = asked("clone", "clone()", state.clone)
    try_move(state, before, action, played.moves)
    played.actions.append(action)
    played.player_moves += before.to_play != CHANCE
    after = look(game, state)
    played.looks.append(after)
    if difference := look(game, kept).difference(before):
        raise BrokenError("clone", f"this move changed {difference} of a clone that was made before it")
    asked("apply", f"apply({action})", twin.apply, action)
    if difference := look(game, twin).difference(after):
        raise BrokenError(
            "apply", f"the same move in the same position led to another {difference}; chance is for chance_outcomes"
        )
    if played.player_moves > game.max_game_length:
        raise BrokenError(
            "max_game_length",
            f"the game goes on after {played.player_moves} moves; max_game_length is {game.max_game_length}",
        )


def _check_position(game: Game, state: State, before: Look, rng: np.random.Generator, moves: list[str]) -> None:
    """Ask again, clone, play on the clone, try other moves. `moves` has those of the clones while they are played."""
    number = len(moves)
    if difference := look(game, state).difference(before):
        raise BrokenError(difference, "it is another one when it is asked for twice in the same position")
    if before.to_play >= 0:
        _check_texts(state, before)
    clone = asked("clone", "clone()", state.clone)
    if clone is state:
        raise BrokenError("clone", "clone() is the position itself, not a copy")
    if difference := look(game, clone).difference(before):
        raise BrokenError("clone", f"clone() has another {difference} than the position that it was made from")
    for _ in range(CLONE_MOVES):
        here = look(game, clone)
        if here.to_play == TERMINAL:
            break
        try_move(clone, here, choose(here, rng), moves)
    del moves[number:]
    if difference := look(game, state).difference(before):
        raise BrokenError("clone", f"moves on a clone changed {difference} of the position that it was made from")
    options = [o for o, _ in before.chance_outcomes] or list(before.legal_actions)
    for action in rng.permutation(options)[:SIBLINGS].tolist():
        sibling = asked("clone", "clone()", state.clone)
        try_move(sibling, before, action, moves)
        look(game, sibling)
        del moves[number:]


def _check_texts(state: State, before: Look) -> None:
    """Moves as a person writes them."""
    seen: dict[str, int] = {}
    for action in before.legal_actions:
        text = asked("action_text", f"action_text({action})", state.action_text, action)
        if not isinstance(text, str) or not text.strip() or "\n" in text:
            raise BrokenError("action_text", f"action_text({action}) is {text!r}, not a line of text")
        if seen.setdefault(text, action) != action:
            raise BrokenError("action_text", f"actions {seen[text]} and {action} are both {text!r}")


def _check_rewards(game: Game, played: _Played) -> None:
    """Rewards of the last transition."""
    after = played.looks[-1]
    played.returns += after.rewards
    if not game.has_rewards and any(after.rewards) and after.to_play != TERMINAL:
        raise BrokenError(
            "has_rewards", f"rewards() is {list(after.rewards)} while the game goes on; set has_rewards = True"
        )
    total = math.fsum(after.rewards)
    if game.zero_sum and abs(total) > TOLERANCE * max(1.0, *map(abs, after.rewards)):
        raise BrokenError(
            "zero_sum",
            f"rewards() is {list(after.rewards)}, which sums to {total:g}, not to 0; or set zero_sum = False",
        )


def _check_end(game: Game, played: _Played) -> None:
    """The result of a game that is over."""
    largest = float(np.abs(played.returns).max()) / game.utility_scale
    if not game.has_rewards and largest > 1 + TOLERANCE:
        raise BrokenError(
            "utility_scale",
            f"the result is {played.returns.tolist()}, larger than 1; set utility_scale to the largest that there is",
        )


def _after(moves: tuple[str, ...]) -> str:
    return f"after {len(moves)} moves: {', '.join(moves[-MAX_SHOWN:])}" if moves else "at the start"
