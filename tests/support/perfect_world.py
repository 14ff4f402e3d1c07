"""MuZero's network, had it learned a game to perfection: latents are numbers of real positions, and nothing ever ends.

Behind an end it says what the targets of MuZero say: the players take turns, the value stays the result where the game
has nothing else, and value and reward are 0 where it pays on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from search_helpers import judge, play_from_start

import games
from games import CHANCE, TERMINAL, Game, PythonGame, State, StatePool
from search import Evaluation

ILLEGAL = np.float32(-1e9)
Opinion = Callable[[str, int, int], tuple[np.ndarray, np.ndarray]]


class WorldOutputs(NamedTuple):
    latents: np.ndarray
    policy_logits: np.ndarray
    values: np.ndarray
    rewards: np.ndarray | None = None
    seats: np.ndarray | None = None


class DepartureOutputs(NamedTuple):
    latents: np.ndarray
    code_logits: np.ndarray


class HiddenState(State):
    """A position of a game that goes on for ever: behind the end every action is legal, and none changes anything.

    In a game where chance follows each move, an event with a single outcome does so behind the end.
    """

    def __init__(self, game: Game, state: State, mover: int) -> None:
        self.game, self.state, self.mover = game, state, mover
        self.is_over = self.is_left = False  # the last: over, and chance has its turn
        self.owed = np.zeros(game.num_players)  # what the move has paid, before chance
        self.result = np.zeros(game.num_players)  # in units of `utility_scale`
        self.paid = np.zeros(game.num_players)

    def clone(self) -> HiddenState:
        other = HiddenState(self.game, self.state.clone(), self.mover)
        other.is_over, other.result, other.paid = self.is_over, self.result, self.paid
        other.is_left, other.owed = self.is_left, self.owed
        return other

    def to_play(self) -> int:
        if self.is_over:
            return CHANCE if self.is_left else self.mover
        return self.state.to_play()

    def legal_actions(self) -> Sequence[int]:
        return list(range(self.game.num_actions)) if self.is_over else self.state.legal_actions()

    def apply(self, action: int) -> None:
        self.owed = self.paid if self.to_play() == CHANCE else np.zeros(self.game.num_players)
        if self.is_over:
            self.paid = np.zeros(self.game.num_players)
            self.is_left = not self.is_left and self.game.max_chance_outcomes > 0
            if self.is_left:
                return
        else:
            if self.state.to_play() >= 0:
                self.mover = self.state.to_play()
            self.state.apply(action)
            self.paid = np.array(self.state.rewards(), float)
            self.is_over = self.state.to_play() == TERMINAL
            self.result = self.paid / self.game.utility_scale
            if not self.is_over:
                self.mover = self.mover if self.state.to_play() == CHANCE else self.state.to_play()
                return
        self.mover = (self.mover + 1) % self.game.num_players

    def rewards(self) -> Sequence[float]:
        """A result is no reward: it is the value of what comes behind the end."""
        return (self.paid if self.game.has_rewards else np.zeros(self.game.num_players)).tolist()

    def chance_outcomes(self) -> Sequence[tuple[int, float]]:
        return [(0, 1.0)] if self.is_over else self.state.chance_outcomes()

    def observation(self) -> np.ndarray:
        return self.state.observation()

    def __str__(self) -> str:
        return "over" if self.is_over else str(self.state)


class HiddenEnds(PythonGame):
    """A game with the same positions whose end is only seen by what is paid no more."""

    def __init__(self, game: Game) -> None:
        self.game, self.name, self.rules = game, f"hidden {game.name}", f"hidden {game.rules}"
        for name in ("num_players", "num_actions", "observation_shape", "max_game_length", "max_chance_outcomes",
                     "has_rewards", "zero_sum", "utility_scale"):  # fmt: skip
            setattr(self, name, getattr(game, name))

    def new_state(self) -> HiddenState:
        state = games.new_state(self.game)
        return HiddenState(self.game, state, max(0, state.to_play()))


def opinion_of(state: HiddenState, opinion: Opinion = judge) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the legal actions, and values of the players [P]."""
    game = state.game
    if state.is_over:
        return np.zeros(game.num_actions, np.float32), np.zeros(game.num_players) if game.has_rewards else state.result
    return opinion(str(state), len(state.legal_actions()), game.num_players)


class HiddenEvaluator:
    """`opinion_of` for a search over `HiddenEnds`."""

    def evaluate(self, pool: StatePool, slots: np.ndarray) -> Evaluation:
        offsets, actions = pool.legal(slots)
        said = [opinion_of(pool._states[slot]) for slot in slots.tolist()]
        return Evaluation(
            offsets, actions, np.concatenate([logits for logits, _ in said]), np.array([values for _, values in said])
        )


class PerfectWorld:
    """See the module; `WorldFunctions` of `search.learned_model`."""

    latent_shape = (1,)
    latent_dtype = np.dtype(np.float32)

    def __init__(self, game: Game, says_seats: bool = False, opinion: Opinion = judge) -> None:
        self.game, self.says_seats, self.opinion = game, says_seats, opinion
        self.states: list[HiddenState] = []
        self.known: dict[bytes, HiddenState] = {}
        self.batches: list[int] = []

    def know(self, pool: StatePool, histories: Sequence[Sequence[int]]) -> None:
        """Put positions into the first slots of a pool of the game, as roots that will be recognised."""
        for slot, history in enumerate(histories):
            play_from_start(pool, slot, history)
            seen = np.empty((1, *self.game.observation_shape), np.float32)
            pool.observe(np.array([slot]), seen)
            self.known[seen.tobytes()] = state_after(self.game, history)

    def initial(self, observations: np.ndarray) -> WorldOutputs:
        assert observations.dtype == np.float32
        return self._say([self.known[observation.tobytes()].clone() for observation in observations], None)

    def recurrent(self, latents: np.ndarray, choices: np.ndarray) -> WorldOutputs:
        states, movers = self._moved(latents, choices)
        return self._say(states, movers)

    def departure(self, latents: np.ndarray, actions: np.ndarray) -> DepartureOutputs:
        """Afterstates of a game in which chance follows each move; the codes are its outcomes."""
        states, _ = self._moved(latents, actions)
        logits = np.full((len(states), self.game.max_chance_outcomes), ILLEGAL)
        for i, state in enumerate(states):
            assert state.to_play() == CHANCE
            for outcome, share in state.chance_outcomes():
                logits[i, outcome] = np.log(share)
        self.batches.append(len(states))
        self.states += states
        numbers = np.arange(len(self.states) - len(states), len(self.states), dtype=np.float32)
        return DepartureOutputs(numbers[:, None], logits)

    def _moved(self, latents: np.ndarray, choices: np.ndarray) -> tuple[list[HiddenState], list[int]]:
        """The positions after actions or outcomes, and who had moved or moves before."""
        states = [self.states[int(latent)].clone() for latent in latents[:, 0]]
        movers = [state.mover for state in states]
        for state, choice in zip(states, choices.tolist(), strict=True):
            state.apply(choice)
        return states, movers

    def _say(self, states: list[HiddenState], movers: list[int] | None) -> WorldOutputs:
        game = self.game
        self.batches.append(len(states))
        first, count = len(self.states), len(states)
        self.states += states
        logits = np.full((count, game.num_actions), ILLEGAL)
        width = 1 if game.num_players == 1 or game.num_players == 2 and game.zero_sum else game.num_players
        values, rewards = np.zeros((2, count, width), np.float32)
        for i, state in enumerate(states):
            logits[i, state.legal_actions()], value = opinion_of(state, self.opinion)
            for j in range(width):
                values[i, j] = value[(state.to_play() + j) % game.num_players]
                if movers is not None:
                    player = (movers[i] + j) % game.num_players
                    rewards[i, j] = (state.owed + state.paid)[player] / game.utility_scale
        seats = None
        if movers is not None and self.says_seats:
            seats = np.array([(state.to_play() - mover) % game.num_players for state, mover in zip(states, movers)])
        has_rewards = movers is not None and game.has_rewards
        latents = np.arange(first, first + count, dtype=np.float32)[:, None]
        return WorldOutputs(latents, logits, values, rewards if has_rewards else None, seats)


def state_after(game: Game, history: Sequence[int]) -> HiddenState:
    """The position after moves and chance outcomes."""
    state = HiddenEnds(game).new_state()
    for action in history:
        state.apply(action)
    return state


def random_histories(game: Game, count: int, seed: int, most: int) -> list[list[int]]:
    """Moves and chance outcomes from the start to positions where a player is to move, each another one."""
    rng, found, seen = np.random.default_rng(seed), [], set()
    while len(found) < count:
        state, history, moves = games.new_state(game), [], int(rng.integers(0, most + 1))
        while state.to_play() == CHANCE or state.to_play() >= 0 and len(history) < moves:
            chance = state.to_play() == CHANCE
            choices = [outcome for outcome, _ in state.chance_outcomes()] if chance else state.legal_actions()
            history.append(int(rng.choice(choices)))
            state.apply(history[-1])
        if state.to_play() >= 0 and (text := str(state)) not in seen:
            seen.add(text)
            found.append(history)
    return found
