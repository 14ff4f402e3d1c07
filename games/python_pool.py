"""Games written in plain Python: `State`, `PythonGame` and its pool; and one position of any game as a `State`.

A user writes a `State`, which knows the rules, and a `PythonGame`, which makes the first one (docs/adding_a_game.md). A
`State` in a pool is never changed once it is stored: `step` clones before it plays, so slots may share one object and
`copy`, `reset` and `load` cost nothing.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from games.base import (
    CHANCE,
    TERMINAL,
    Game,
    StatePool,
    chance_rounds,
    compressed,
    compressed_chance,
    require_same_rules,
)
from games.seats import write_seats
from games.soundness import (
    LARGEST,
    UnsoundError,
    are_chances,
    are_legal,
    array_fault,
    chance_fault,
    is_finite,
    legal_fault,
    mover_fault,
)


class State(ABC):
    """One position, as a user writes it in plain Python. Mutable; `clone` makes an independent copy."""

    @abstractmethod
    def clone(self) -> State: ...

    @abstractmethod
    def to_play(self) -> int:
        """Player id, `CHANCE` or `TERMINAL`."""

    @abstractmethod
    def legal_actions(self) -> Sequence[int]:
        """Legal actions of the player to move, ascending, each in `range(num_actions)`. Not called elsewhere."""

    @abstractmethod
    def apply(self, action: int) -> None:
        """Play a legal action (or, at a chance node, an outcome)."""

    @abstractmethod
    def rewards(self) -> Sequence[float]:
        """[P] rewards of the last transition (zeros at the start), before division by `utility_scale`."""

    @abstractmethod
    def observation(self) -> np.ndarray:
        """float32 array of `Game.observation_shape` less its last P planes, rows or numbers.

        Those are the seat planes, which the pool appends (see `games.with_seats`).
        """

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        """(outcome, probability) pairs at a chance node."""
        raise NotImplementedError

    def candidates(self) -> Sequence[int]:
        """The legal actions that a search looks at, ascending, at least one: see `StatePool.candidates`."""
        return self.legal_actions()

    def final_labels(self) -> np.ndarray:
        """Whose each cell is, [H, W] of 1, -1 and 0, in a game with a `Game.final_label_shape`."""
        raise NotImplementedError

    def final_score(self) -> float:
        """By how much player 0 is ahead, in a game with a `Game.largest_score`."""
        raise NotImplementedError

    def action_text(self, action: int) -> str:
        """The move as a person writes it."""
        return str(action)


class PythonGame(Game):
    """A game in plain Python. Its author sets the attributes of `Game` and writes `new_state`."""

    @abstractmethod
    def new_state(self) -> State:
        """The initial position."""

    def new_pool(self, capacity: int) -> StatePool:
        """See `Game.new_pool`."""
        return PythonPool(self, capacity)


class BrokenState(State):
    """Takes the place of a position whose game gave an unsound output; that position is not used again."""

    def __init__(self, to_play: int) -> None:
        """`to_play` is the mover that the caller expects; after any move the game is over."""
        self._to_play = to_play

    def clone(self) -> BrokenState:
        return BrokenState(self._to_play)

    def to_play(self) -> int:
        return self._to_play

    def legal_actions(self) -> Sequence[int]:
        return (0,)

    def apply(self, action: int) -> None:
        self._to_play = TERMINAL

    def rewards(self) -> Sequence[float]:
        return ()

    def observation(self) -> np.ndarray:
        return np.zeros(0, np.float32)

    def final_score(self) -> float:
        return 0.0

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        return ((0, 1.0),)


class PythonPool(StatePool):
    """Positions of a game in plain Python, one `State` object per slot.

    Outputs of the game are checked in whole batches; one position is checked by itself only where a batch is unsound.
    """

    def __init__(self, game: PythonGame, capacity: int) -> None:
        self.game = game
        self.capacity = capacity
        self._initial = game.new_state()
        self.may_leave_out = type(self._initial).candidates is not State.candidates
        self._states: list[State] = [self._initial] * capacity

    def reset(self, slots: np.ndarray) -> None:
        for slot in slots.tolist():
            self._states[slot] = self._initial

    def step(
        self, src: Int64[np.ndarray, " B"], actions: Int64[np.ndarray, " B"], dst: Int64[np.ndarray, " B"]
    ) -> tuple[Int64[np.ndarray, " B"], Float64[np.ndarray, "B P"]]:
        movers: list[Any] = []
        earned: list[Any] = []
        for s, action, d in zip(src.tolist(), actions.tolist(), dst.tolist()):
            state = self._states[s].clone()
            state.apply(action)
            self._states[d] = state
            movers.append(state.to_play())
            earned.append(state.rewards())
        to_play, rewards = self._movers(dst, movers), self._rewards(dst, earned)
        rewards /= self.game.utility_scale
        if self.unsound:
            broken = [isinstance(self._states[slot], BrokenState) for slot in dst.tolist()]
            to_play[broken], rewards[broken] = TERMINAL, 0.0
        return to_play, rewards

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        for s, d in zip(src.tolist(), dst.tolist()):
            self._states[d] = self._states[s]

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        require_same_rules(self, source)
        if isinstance(source, PythonPool) and source.game.name == self.game.name:
            for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
                self._states[slot] = source._states[source_slot]
            return
        for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
            state = self._initial.clone()
            for action in source.history(source_slot):
                state.apply(action)
            self._states[slot] = state

    def to_play(self, slots: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        return self._movers(slots, [self._states[slot].to_play() for slot in slots.tolist()])

    def legal(self, slots: Int64[np.ndarray, " B"]) -> tuple[Int64[np.ndarray, " B+1"], Int64[np.ndarray, " K"]]:
        moves = self.to_play(slots) >= 0
        states = [self._states[slot] for slot in slots.tolist()]
        rows: list[Any] = [
            state.legal_actions() if a_player or isinstance(state, BrokenState) else ()
            for state, a_player in zip(states, moves)
        ]
        if not are_legal(rows, moves, self.game.num_actions):
            for i in np.flatnonzero(moves):
                if fault := legal_fault(rows[i], self.game.num_actions):
                    self._break(int(slots[i]), fault, 0)
                    rows[i] = (0,)
        return compressed(rows, np.int64)

    def candidates(self, slots: Int64[np.ndarray, " B"]) -> tuple[Int64[np.ndarray, " B+1"], Int64[np.ndarray, " K"]]:
        """See `StatePool.candidates`."""
        offsets, actions = self.legal(slots)
        if not self.may_leave_out:
            return offsets, actions
        rows = []
        for slot, start, end in zip(slots.tolist(), offsets[:-1], offsets[1:], strict=True):
            state, row = self._states[slot], actions[start:end].tolist()
            if row and not isinstance(state, BrokenState):
                chosen = list(state.candidates())
                if not chosen or sorted(set(chosen)) != chosen or not set(chosen) <= set(row):
                    self._break(slot, f"candidates() gave {chosen[:20]}, legal are {row[:20]}", 0)
                else:
                    row = chosen
            rows.append(row)
        return compressed(rows, np.int64)

    def final_labels(self, slots: np.ndarray, out: np.ndarray) -> None:
        """See `StatePool.final_labels`."""
        out[:] = 0
        for row, slot in zip(out, slots.tolist(), strict=True):
            if isinstance(state := self._states[slot], BrokenState):
                continue
            labels = np.asarray(state.final_labels())
            if labels.shape == row.shape and np.isin(labels, (-1, 0, 1)).all():
                row[:] = labels
            else:
                shape = list(row.shape)
                self._break(slot, f"final_labels() has another shape than {shape}, or numbers but 1, -1, 0", 0)

    def final_scores(self, slots: np.ndarray) -> np.ndarray:
        """See `StatePool.final_scores`."""
        scores = np.array([self._states[slot].final_score() for slot in slots.tolist()], np.float64)
        for i, slot in enumerate(slots.tolist()):
            if not abs(scores[i]) <= self.game.largest_score:
                self._break(slot, f"final_score() gave {scores[i]:g}, the largest is {self.game.largest_score:g}", 0)
                scores[i] = 0.0
        return scores

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = [self._states[slot].chance_outcomes() for slot in slots.tolist()]
        if not are_chances(rows):
            for i, slot in enumerate(slots.tolist()):
                if fault := chance_fault(rows[i]):
                    self._break(slot, fault, CHANCE)
                    rows[i] = ((0, 1.0),)
        return compressed_chance(rows)

    def observe(self, slots: Int64[np.ndarray, " B"], out: Float32[np.ndarray, "B *observation"]) -> None:
        own = out[:, : out.shape[1] - self.game.num_players]
        given: list[Any] = [self._states[slot].observation() for slot in slots.tolist()]
        shape = own.shape[1:]
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, and `is_finite` sees it
            for i, view in enumerate(given):
                is_array = isinstance(view, np.ndarray) and view.shape == shape and view.dtype.kind in "biuf"
                own[i] = view if is_array or not array_fault("", view, shape, np.float32) else np.nan
        if not is_finite(own):
            self._refuse_observations(slots, own, given)
        write_seats(out, self.to_play(slots), self.game.num_players)

    def rollout(self, slots: Int64[np.ndarray, " B"], rng: np.random.Generator) -> Float64[np.ndarray, "B P"]:
        total = np.zeros((len(slots), self.game.num_players))
        seeds = rng.integers(2**63, size=len(slots)).tolist()
        for i, slot in enumerate(slots.tolist()):
            fault = self._play_out(self._states[slot].clone(), random.Random(seeds[i]), total[i])
            if fault:
                self._break(slot, fault, self._mover(slot, self._states[slot].to_play()))
                total[i] = 0.0
        return total / self.game.utility_scale

    def _play_out(self, state: State, draw: random.Random, total: np.ndarray) -> str:
        """Random moves to the end, in place; rewards are added to `total` [P]. Returns the fault of an
        unsound output, or an empty string."""
        game, plies, events = self.game, 0, chance_rounds(self.game)
        while (to_play := state.to_play()) != TERMINAL and plies < game.most_plies:
            if fault := mover_fault(to_play, game.num_players, game.max_chance_outcomes > 0):
                return fault
            if to_play == CHANCE:
                pairs = state.chance_outcomes()
                if fault := chance_fault(pairs):
                    return fault
                next(events)
                outcomes, probabilities = zip(*pairs)
                action = draw.choices(outcomes, probabilities)[0]
            else:
                actions = state.legal_actions()
                plies, events = plies + 1, chance_rounds(game)
                if not len(actions):
                    return legal_fault(actions, game.num_actions)
                action = draw.choice(actions)
            state.apply(action)
            rewards: Any = state.rewards()
            try:  # cheaper than `array_fault`
                is_sound = len(rewards) == game.num_players and all(abs(reward) <= LARGEST for reward in rewards)
            except TypeError:
                is_sound = False
            if not is_sound:
                return array_fault("rewards()", rewards, (game.num_players,))
            total += rewards
        return ""

    def text(self, slot: int) -> str:
        return str(self._states[slot])

    def action_text(self, slot: int, action: int) -> str:
        return self._states[slot].action_text(action)

    def _break(self, slot: int, fault: str, to_play: int) -> None:
        """Give up the position in `slot` for an unsound output. Raises UnsoundError while `unsound` is None."""
        line = f"{self.game.name}: {fault}"
        if self.unsound is None:
            raise UnsoundError(line)
        if not isinstance(self._states[slot], BrokenState):
            self.unsound[slot] = line
        self._states[slot] = BrokenState(to_play)

    def _mover(self, slot: int, given: Any) -> int:
        return int(self._movers(np.array([slot]), [given])[0])

    def _movers(self, slots: np.ndarray, given: list[Any]) -> np.ndarray:
        """Who moves in `slots` [n], int64 [n], from the outputs `given` of the game; TERMINAL for an unsound one."""
        players, has_chance = self.game.num_players, self.game.max_chance_outcomes > 0
        try:
            movers = np.array(given)
        except ValueError:
            movers = np.empty(0)
        if movers.dtype.kind in "iu" and movers.ndim == 1:
            sound = ((movers >= 0) & (movers < players)) | (movers == TERMINAL) | ((movers == CHANCE) & has_chance)
            if sound.all():
                return movers.astype(np.int64, copy=False)
        for i, slot in enumerate(slots.tolist()):
            if isinstance(self._states[slot], BrokenState):
                continue
            if fault := mover_fault(given[i], players, has_chance):
                self._break(slot, fault, TERMINAL)
                given[i] = TERMINAL
        return np.array(given, np.int64)

    def _rewards(self, slots: np.ndarray, given: list[Any]) -> np.ndarray:
        """Rewards float64 [n, P] of the moves into `slots` [n], from the outputs `given`; zeros for an unsound one."""
        shape = (len(slots), self.game.num_players)
        try:
            rewards = np.array(given, np.float64)
            if rewards.shape == shape and bool((np.abs(rewards) <= LARGEST).all()):
                return rewards
        except (TypeError, ValueError, OverflowError):
            pass
        rewards = np.zeros(shape)
        for i, slot in enumerate(slots.tolist()):
            if isinstance(self._states[slot], BrokenState):
                continue
            if fault := array_fault("rewards()", given[i], shape[1:]):
                self._break(slot, fault, TERMINAL)
            else:
                rewards[i] = given[i]
        return rewards

    def _refuse_observations(self, slots: np.ndarray, own: np.ndarray, given: list[Any]) -> None:
        """Write zeros into the rows of `own` [n, ...] where the game's output in `given` is no observation."""
        for i, slot in enumerate(slots.tolist()):
            if is_finite(own[i]):
                continue
            if not isinstance(self._states[slot], BrokenState):
                fault = array_fault("observation()", given[i], own.shape[1:], np.float32)
                self._break(slot, fault, self._mover(slot, self._states[slot].to_play()))
            own[i] = 0.0


class PoolState(State):
    """One position of a game that has its own pool, as a `State`: a pool with a single slot."""

    def __init__(self, game: Game) -> None:
        self._pool = game.new_pool(1)
        self._slot = np.zeros(1, dtype=np.int64)
        self._rewards = [0.0] * game.num_players
        self._pool.reset(self._slot)

    def clone(self) -> PoolState:
        other = PoolState(self._pool.game)
        other._pool.load(other._slot, self._pool, self._slot)
        other._rewards = list(self._rewards)
        return other

    def to_play(self) -> int:
        return int(self._pool.to_play(self._slot)[0])

    def legal_actions(self) -> Sequence[int]:
        return self._pool.legal(self._slot)[1].tolist()

    def apply(self, action: int) -> None:
        _, rewards = self._pool.step(self._slot, np.array([action], dtype=np.int64), self._slot)
        self._rewards = (rewards[0] * self._pool.game.utility_scale).tolist()

    def rewards(self) -> Sequence[float]:
        return self._rewards

    def observation(self) -> np.ndarray:
        game = self._pool.game
        out = np.empty((1, *game.observation_shape), dtype=np.float32)
        self._pool.observe(self._slot, out)
        return out[0, : out.shape[1] - game.num_players]

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        _, outcomes, probabilities = self._pool.chance(self._slot)
        return list(zip(outcomes.tolist(), probabilities.tolist()))

    def action_text(self, action: int) -> str:
        return self._pool.action_text(0, action)

    def __str__(self) -> str:
        return self._pool.text(0)


def new_state(game: Game) -> State:
    """The initial position of any game as a `State`: its author's own, or else a slot of a pool."""
    own: Callable[[], State] | None = getattr(game, "new_state", None)
    return own() if own else PoolState(game)
