"""Any sequential perfect-information game of OpenSpiel as a `Game`.

The pool keeps `pyspiel.State` objects and never changes one that it has stored (`State.child` makes a new one), so
slots share them and `copy`, `reset` and `load` cost nothing. What OpenSpiel leaves open is settled here once: rewards
are differences of returns (its own `rewards` are stale after a chance move), and observations are the view of the
player to move with seat planes appended. `games.open_spiel.load` makes these games from their names.

OpenSpiel: Lanctot et al. 2019, "OpenSpiel: A Framework for Reinforcement Learning in Games".
"""

from __future__ import annotations

import functools
import math
import random

import numpy as np
import pyspiel
from jaxtyping import Float32, Float64, Int64

from games.base import (
    CHANCE,
    TERMINAL,
    Game,
    StatePool,
    Symmetry,
    compressed,
    compressed_chance,
    require_same_rules,
)
from games.judging import Judge, declared_judge
from games.open_spiel.views import View
from games.seats import with_seats, write_seats
from games.symmetry import declared_symmetries


class OpenSpielGame(Game):
    """An OpenSpiel game behind the `Game` interface; made by `games.load`."""

    def __init__(self, game: pyspiel.Game, name: str, rules: str, view: View | None = None) -> None:
        """`view`: how the observation is turned; None shows it as OpenSpiel does."""
        kind, enums = game.get_type(), pyspiel.GameType
        self.spiel_game = game
        self.spiel_name = kind.short_name
        self.name = name
        self.rules = rules
        self.view = view
        if view is not None:
            self.action_planes = view.action_planes
        self.num_players = game.num_players()
        self.num_actions = game.num_distinct_actions()
        self.has_tensor = kind.provides_observation_tensor
        self.observation_shape = with_seats(self._own_shape(), self.num_players)
        self.max_game_length = game.max_game_length()
        if kind.chance_mode != enums.ChanceMode.DETERMINISTIC:
            self.max_chance_outcomes = game.max_chance_outcomes()
        self.has_rewards = kind.reward_model == enums.RewardModel.REWARDS
        self.zero_sum = kind.utility == enums.Utility.ZERO_SUM
        if not self.has_rewards:
            self.utility_scale = max(abs(game.min_utility()), abs(game.max_utility()))
        # Every state descends from this one, which must outlive them all: states of morpion_solitaire hold pointers
        # into the state that they were first copied from.
        self.initial_state = game.new_initial_state()

    @property
    def most_plies(self) -> int:
        """See `Game.most_plies`: OpenSpiel knows the bound of its games."""
        return self.max_game_length

    def _own_shape(self) -> tuple[int, ...]:
        if not self.has_tensor:
            return (2 * self.num_actions,)
        shape = tuple(self.spiel_game.observation_tensor_shape())
        if self.spiel_name == "hex":  # declared as columns by rows, written as rows by columns
            shape = (shape[0], shape[2], shape[1])
        return shape

    def new_pool(self, capacity: int) -> OpenSpielPool:
        return OpenSpielPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return declared_symmetries(self.spiel_name, self, self.spiel_game.get_parameters())

    def judge(self, pool: StatePool, slots: np.ndarray) -> np.ndarray | None:
        return self._judge(pool, slots) if self._judge else None

    @functools.cached_property
    def _judge(self) -> Judge | None:
        return declared_judge(self.spiel_name, self)


class OpenSpielPool(StatePool):
    """Positions of an OpenSpiel game, one `pyspiel.State` per slot, never changed once stored."""

    def __init__(self, game: OpenSpielGame, capacity: int) -> None:
        self.game: OpenSpielGame = game
        self.capacity = capacity
        self._states: list[pyspiel.State] = [game.initial_state] * capacity
        if game.has_tensor:
            # One observer per pool: it writes into its own buffer, which numpy sees without a copy.
            self._observer = pyspiel._Observation(game.spiel_game, game.spiel_game.make_observer({}))
            self._tensor = np.frombuffer(self._observer, np.float32)

    def reset(self, slots: np.ndarray) -> None:
        initial, states = self.game.initial_state, self._states
        for slot in slots.tolist():
            states[slot] = initial

    def step(
        self, src: Int64[np.ndarray, " B"], actions: Int64[np.ndarray, " B"], dst: Int64[np.ndarray, " B"]
    ) -> tuple[Int64[np.ndarray, " B"], Float64[np.ndarray, "B P"]]:
        if self.game.has_rewards:
            return self._step_with_rewards(src, actions, dst)
        states = self._states
        movers: list[int] = []
        moved = movers.append
        for s, action, d in zip(src.tolist(), actions.tolist(), dst.tolist()):
            states[d] = state = states[s].child(action)
            moved(state.current_player())
        to_play = np.array(movers, dtype=np.int64)
        rewards = np.zeros((len(movers), self.game.num_players))
        if TERMINAL in movers:
            for i in np.flatnonzero(to_play == TERMINAL):
                rewards[i] = states[dst[i]].returns()
            rewards /= self.game.utility_scale
        return to_play, rewards

    def _step_with_rewards(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        states = self._states
        to_play = np.empty(len(src), dtype=np.int64)
        rewards = np.empty((len(src), self.game.num_players))
        for i, (s, action, d) in enumerate(zip(src.tolist(), actions.tolist(), dst.tolist())):
            before = states[s]
            states[d] = state = before.child(action)
            to_play[i] = state.current_player()
            rewards[i] = [after - earlier for after, earlier in zip(state.returns(), before.returns())]
        return to_play, rewards

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        states = self._states
        for s, d in zip(src.tolist(), dst.tolist()):
            states[d] = states[s]

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        require_same_rules(self, source)
        if isinstance(source, OpenSpielPool) and source.game is self.game:
            for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
                self._states[slot] = source._states[source_slot]
            return
        for slot, source_slot in zip(slots.tolist(), source_slots.tolist()):
            state = self.game.initial_state.clone()
            for action in source.history(source_slot):
                state.apply_action(action)
            self._states[slot] = state

    def to_play(self, slots: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        states = self._states
        return np.array([states[slot].current_player() for slot in slots.tolist()], dtype=np.int64)

    def legal(self, slots: Int64[np.ndarray, " B"]) -> tuple[Int64[np.ndarray, " B+1"], Int64[np.ndarray, " K"]]:
        states = self._states
        if self.game.max_chance_outcomes == 0:
            return compressed([states[slot].legal_actions() for slot in slots.tolist()], np.int64)
        chosen = [states[slot] for slot in slots.tolist()]
        return compressed([() if state.is_chance_node() else state.legal_actions() for state in chosen], np.int64)

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return compressed_chance([self._states[slot].chance_outcomes() for slot in slots.tolist()])

    def observe(self, slots: Int64[np.ndarray, " B"], out: Float32[np.ndarray, "B *observation"]) -> None:
        states, to_play = self._states, self.to_play(slots)
        viewers = np.maximum(to_play, 0).tolist()  # nobody's view where nobody moves: take the first player's
        rows = out.reshape(len(slots), math.prod(out.shape[1:]), copy=False)
        if self.game.has_tensor:
            fill, tensor, size = self._observer.set_from, self._tensor, self._tensor.size
            for i, slot in enumerate(slots.tolist()):
                fill(states[slot], viewers[i])
                rows[i, :size] = tensor
            if self.game.view is not None:
                self.game.view.turn(out[:, : -self.game.num_players], to_play)
        else:
            self._observe_moves(slots, rows)
        write_seats(out, to_play, self.game.num_players)

    def _observe_moves(self, slots: np.ndarray, rows: np.ndarray) -> None:
        """For a game without an observation tensor: the legal mask, and how often each action was played."""
        num_actions = self.game.num_actions
        rows[:, : 2 * num_actions] = 0.0
        for i, slot in enumerate(slots.tolist()):
            state = self._states[slot]
            rows[i, state.legal_actions()] = 1.0
            np.add.at(rows[i, num_actions : 2 * num_actions], state.history(), 1.0)

    def rollout(self, slots: Int64[np.ndarray, " B"], rng: np.random.Generator) -> Float64[np.ndarray, "B P"]:
        seeds = rng.integers(2**63, size=len(slots)).tolist()
        total = np.empty((len(slots), self.game.num_players))
        for i, slot in enumerate(slots.tolist()):
            start = self._states[slot]
            end = _play_out(start.clone(), random.Random(seeds[i]))
            total[i] = [after - before for after, before in zip(end.returns(), start.returns())]
        return total / self.game.utility_scale

    def text(self, slot: int) -> str:
        return str(self._states[slot])

    def action_text(self, slot: int, action: int) -> str:
        state = self._states[slot]
        try:
            return state.action_to_string(state.current_player(), action)
        except UnicodeDecodeError:  # letters run out on large boards, and what follows them is no text
            return str(action)

    def history(self, slot: int) -> list[int]:
        return self._states[slot].history()


def _play_out(state: pyspiel.State, draw: random.Random) -> pyspiel.State:
    """Play uniformly random moves (and drawn chance outcomes) to the end of the game, in place."""
    while (to_play := state.current_player()) != TERMINAL:
        if to_play == CHANCE:
            outcomes, probabilities = zip(*state.chance_outcomes())
            state.apply_action(draw.choices(outcomes, probabilities)[0])
        else:
            actions = state.legal_actions()
            state.apply_action(actions[int(draw.random() * len(actions))])
    return state
