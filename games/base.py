"""The interface of games to the rest of the project: `Game` and `StatePool`.

Search and actors never hold one position; they hold *slots* of a `StatePool` and ask for everything in batches
(a node of a search tree is a slot). Native games keep arrays and jitted rules behind this interface, `games.open_spiel`
keeps `pyspiel.State` objects, and `games.python_pool` keeps a Python object a slot for games that a user wrote.

Conventions, the same for every game:

* `to_play` is a player id `0..P-1`, or `CHANCE`, or `TERMINAL`.
* Rewards are per player, `[P]`, and belong to the transition that earns them: in a game that only has a result,
  the last transition has it. The return of a player is the sum of its rewards; a draw is 0.0. Rewards are divided by
  `Game.utility_scale`, so that a game without rewards on the way has returns in [-1, 1].
* Observations are the view of the player to move and end in one-hot seat planes that say who that is. Those of an
  environment (`games.environments.pool`) have none: there is one player.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, ClassVar

import numpy as np

CHANCE = -1
"""`to_play` of a chance node (OpenSpiel's number)."""

TERMINAL = -4
"""`to_play` of a finished game (OpenSpiel's number)."""


EPISODE_STEPS = 27_000
"""Number of steps, or moves of players, after which an episode without a limit of its own is cut off; also the largest
number of chance events in a row. Half an hour of an Atari game has as many steps."""


class GameError(ValueError):
    """Bad input about a game (unknown name, bad parameter, illegal move). The message is one line for a person."""


@dataclass(frozen=True)
class Symmetry:
    """One symmetry of a game, as gather indices.

    `observation.ravel()[self.observation]` is the observation of the mirrored position (same shape), and
    `policy[self.action]` the mirrored policy or legal mask: entry i of the mirrored policy is the old entry
    `action[i]`.
    """

    observation: np.ndarray  # [prod(observation_shape)] int64
    action: np.ndarray  # [A] int64
    keeps_start: bool = True
    """Whether the first position is its own mirror image. Else it keeps the rules alone, as in chess."""


NO_CELL = -1
"""Plane and cell of an action that is nowhere on the board."""


@dataclass(frozen=True, eq=False)
class ActionPlanes:
    """Where the actions of a game are on its board, as the observation shows it.

    A network then gives a plane of numbers for each kind of move, one for each cell, in place of one for each action
    (AlphaZero, Silver et al. 2017: 73 planes for chess). Where the observation is turned to the player to move, so are
    these cells.
    """

    num_planes: int
    size: tuple[int, int]  # H, W
    plane: np.ndarray  # [A] int64, NO_CELL for an action without a cell, such as a pass
    cell: np.ndarray  # [A] int64, row * W + column; NO_CELL likewise. No two actions have the same plane and cell


class Game(ABC):
    """The rules of a game: its sizes, its symmetries, and pools of positions.

    Subclasses set the attributes below and make pools of their own. A game in plain Python derives from
    `games.PythonGame`, which has the pool.
    """

    name: str
    """Canonical game string with the parameters that are not defaults: `hex(board_size=5)`. `games.load` sets it.

    A game sets it itself where a default follows another parameter; `games.load` adds the prefix."""
    rules: str
    """Two games with equal `rules` have the same positions and actions (they may differ in the observation only).

    `games.load` sets it to the name when the game does not set it itself.
    """
    num_players: int
    num_actions: int
    observation_shape: tuple[int, ...]
    """Shape of the input of a network, seat planes included: `(C, H, W)`, `(C, N)` or `(N,)`."""
    observation_dtype: np.dtype = np.dtype(np.float32)
    """uint8 where every observation is in whole numbers from 0 to 255, which may then be kept as such; else float32."""
    max_game_length: int
    """Upper bound on player moves in a game (T)."""
    max_chance_outcomes: int = 0
    """0 for a game without chance nodes."""
    has_rewards: bool = False
    """True when transitions before the last may have a reward other than 0."""
    zero_sum: bool = True
    """True when the returns of the players always sum to zero."""
    utility_scale: float = 1.0
    """Rewards are divided by this; the largest absolute utility for games without rewards on the way, else 1."""
    action_planes: ActionPlanes | None = None
    """Where the actions are on the board; None where the game does not say."""
    pass_action: int | None = None
    """The action that leaves the board as it is and gives the turn to the opponent; None where there is none."""
    action_low: np.ndarray | None = None
    """Float32 [D] where an action is D real numbers, from `action_low` to `action_high`. The number of an action is
    then its place among `num_actions` sampled ones, which every position has of its own (`StatePool.sampled_actions`).
    None: the number of an action means the same everywhere."""
    action_high: np.ndarray | None = None
    plane_scaling: tuple[np.ndarray, np.ndarray] | None = None
    """Offset and factor float32 [C] of each plane of the observation, seat planes too: a network reads
    `(x - offset) * factor`. So numbers such as a komi can be kept as bytes. None: planes are read as they are."""
    final_label_shape: tuple[int, int] | None = None
    """Height and width of `StatePool.final_labels`; None for a game that has none."""
    largest_score: float = 0.0
    """Largest absolute value of `StatePool.final_scores`; 0 for a game that has none."""
    family: str = ""
    """Games of one family differ in what their observations show, such as size of board or komi: a network that was
    trained on one plays the others, where its weights fit. Empty: only games of the same rules are played."""
    twin: str = ""
    """The game string of OpenSpiel's version of the game, where it is not the own one behind `openspiel:`."""
    uci_variant: str = ""
    """The name that UCI engines know the game by (`UCI_Variant`); empty where they do not."""
    has_own_limit: bool = False
    """True where somebody set the limit that its pools keep (`StatePool.cut_off`), so that none needs to be told of."""

    subclass_hooks: ClassVar[list[Callable[[type[Game]], None]]] = []
    """Functions that are called with every new subclass of `Game`, before its abstract methods are counted."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for hook in Game.subclass_hooks:
            hook(cls)

    @property
    def most_plies(self) -> int:
        """Number of moves of players after which a game is cut off where no setting has another limit.

        `max_game_length` of a game in plain Python is its author's claim, and the game may never end.
        """
        return min(self.max_game_length, EPISODE_STEPS)

    @property
    def sampled_shape(self) -> tuple[int, int]:
        """A and D of a game whose actions are real numbers; zeros for all others."""
        return (0, 0) if self.action_low is None else (self.num_actions, len(self.action_low))

    @abstractmethod
    def new_pool(self, capacity: int) -> StatePool:
        """A pool with `capacity` slots, all of them unset."""

    def symmetries(self) -> list[Symmetry]:
        """Symmetries other than the identity; empty when none is declared."""
        return []

    def judge(self, pool: StatePool, slots: np.ndarray) -> np.ndarray | None:
        """Returns of the players, float64 [n, P], for games that are cut off in `slots` [n], where a player is to move.

        None: the game has no judge, and games that are cut off count as draws.
        """
        return None


class StatePool(ABC):
    """Positions of one game, addressed by slot.

    `slots`, `src`, `dst` are int64 arrays `[B]`. Lists with a different number of entries per slot are returned in
    compressed rows: `offsets` int64 `[B + 1]` and a flat array, row i being `flat[offsets[i]:offsets[i + 1]]`.
    Returned arrays are valid until the next call of the same method.
    """

    game: Game
    capacity: int
    may_leave_out: bool = False
    """Whether `candidates` may be fewer than the legal actions; where it is False, nobody has to ask for both."""
    unsound: dict[int, str] | None = None
    """Slots whose game gave an output that no game may give (`games.soundness`), with one line of text each.

    A caller sets it to a dictionary and empties it. Such a slot counts as finished until it is reset. While it is None,
    the pool raises UnsoundError instead."""

    @abstractmethod
    def reset(self, slots: np.ndarray) -> None:
        """Put the initial position into each slot."""

    @abstractmethod
    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Play `actions[i]` (or the chance outcome) in `src[i]` and put the result into `dst[i]`.

        `src[i]` is left alone unless it equals `dst[i]`. Actions are trusted to be legal: moves from outside go through
        `games.check_action`. Returns `to_play` int64 `[B]` of the new positions and `rewards` float64 `[B, P]`.
        """

    @abstractmethod
    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Copy positions within the pool, one after the other in the order given."""

    @abstractmethod
    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        """Copy positions from another pool whose game has the same `rules`.

        Between pools of different make the moves are replayed from the source's `history`. Raises GameError when the
        rules differ or the history is not kept.
        """

    @abstractmethod
    def to_play(self, slots: np.ndarray) -> np.ndarray:
        """Who moves, int64 `[B]`: player id, `CHANCE` or `TERMINAL`."""

    def cut_off(self, slots: np.ndarray) -> np.ndarray:
        """Where a limit of the game's own has ended it although it is not over, bool `[B]`.

        A player is to move there and the position has a value, but nothing can be played until the slot is reset.
        """
        return np.zeros(len(slots), np.bool_)

    @abstractmethod
    def legal(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Legal actions of positions where a player moves: `offsets [B + 1]`, `actions` int64 `[K]`, ascending."""

    def candidates(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The actions that a search looks at, as `legal` returns them: some of the legal ones, at least one.

        A game may leave out moves that gain nothing. Others may still play them: they stay legal.
        """
        return self.legal(slots)

    def sampled_actions(self, slots: np.ndarray) -> np.ndarray:
        """What the numbers of actions stand for, float32 `[B, *Game.sampled_shape]`."""
        return np.zeros((len(slots), 0, 0), np.float32)

    def set_sampled_actions(self, slots: np.ndarray, actions: np.ndarray) -> None:
        """Say what the numbers of actions stand for in `slots` until they are stepped or reset, as `sampled_actions`
        returns it."""
        raise GameError(f"{self.game.name}: its actions have a meaning of their own")

    @abstractmethod
    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chance outcomes of chance nodes: `offsets [B + 1]`, `outcomes` int64 `[K]`, `probabilities` float64 `[K]`."""

    @abstractmethod
    def observe(self, slots: np.ndarray, out: np.ndarray) -> None:
        """Write the observations of the players to move into `out` `[B, *observation_shape]`.

        It is float32, or `Game.observation_dtype`.
        """

    @abstractmethod
    def rollout(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Play each position to its end with uniformly random moves: summed rewards float64 `[B, P]` from here on.

        A game that goes on for `Game.most_plies` more moves is left there. The positions in the pool stay as they are.
        """

    def final_labels(self, slots: np.ndarray, out: np.ndarray) -> None:
        """Whose each cell is at the end, into `out` int8 [B, H, W]: 1 player 0's, -1 player 1's, 0 nobody's.

        Cells are where the observation shows them, whoever is to move: a game that turns its board has no labels.

        For games with a `Game.final_label_shape`. A game that is not over is labelled as it stands.
        """
        raise NotImplementedError(f"{self.game.name} has no labels")

    def final_scores(self, slots: np.ndarray) -> np.ndarray:
        """By how much player 0 is ahead, float64 [B], for games with a `Game.largest_score`; as `final_labels`."""
        raise NotImplementedError(f"{self.game.name} has no score")

    @abstractmethod
    def text(self, slot: int) -> str:
        """The position as a person reads it."""

    @abstractmethod
    def action_text(self, slot: int, action: int) -> str:
        """A legal action of the position as a person writes it."""

    def history(self, slot: int) -> list[int]:
        """Actions and chance outcomes from the start to the position. Raises GameError where they are not kept."""
        raise GameError(f"{self.game.name}: the pool does not keep the moves that led to a position")

    def take_warnings(self) -> tuple[str, ...]:
        """Lines that a person should read once, since the last call; see `Step.warnings`."""
        return ()

    def close(self) -> None:  # noqa: B027 (a default, not a stub)
        """Free what the pool holds. Nothing to do for most games."""


def compressed(rows: Sequence[Sequence[Any]], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Rows of different lengths as `offsets [B + 1]` and a flat array of `dtype`."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return offsets, np.fromiter(chain.from_iterable(rows), dtype=dtype, count=int(offsets[-1]))


def compressed_chance(
    rows: Sequence[Sequence[tuple[int, float]]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of (outcome, probability) pairs as `offsets [B + 1]`, outcomes and probabilities."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    outcomes, probabilities = zip(*chain.from_iterable(rows)) if offsets[-1] else ((), ())
    return offsets, np.array(outcomes, dtype=np.int64), np.array(probabilities, dtype=np.float64)


def chance_rounds(game: Game) -> Iterator[None]:
    """Counts the chance events that follow each other in a game. Raises GameError after `EPISODE_STEPS` of them."""
    yield from repeat(None, EPISODE_STEPS)
    raise GameError(f"{game.name}: {EPISODE_STEPS:,} chance events in a row, and still it is no player's turn")


def require_same_rules(pool: StatePool, source: StatePool) -> None:
    """Raise GameError unless positions of `source` can be loaded into `pool`."""
    if source.game.rules != pool.game.rules:
        raise GameError(f"cannot load positions of {source.game.name} into a pool of {pool.game.name}")


def check_action(pool: StatePool, slot: int, action: int) -> None:
    """Raise GameError unless `action` is legal in `slot` (at a chance node: unless it is a possible outcome)."""
    slots = np.array([slot], dtype=np.int64)
    to_play = int(pool.to_play(slots)[0])
    if to_play == TERMINAL:
        raise GameError(f"{pool.game.name}: the game is over, no move can be played")
    allowed = (pool.chance(slots) if to_play == CHANCE else pool.legal(slots))[1].tolist()
    if action not in allowed:
        shown = " ".join(map(str, allowed[:20])) + (" ..." if len(allowed) > 20 else "")
        raise GameError(f"{pool.game.name}: illegal move {action}; legal here: {shown}")
