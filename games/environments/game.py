"""Any game of `games.load` with one player, or with two and zero sum, as an `Environment`: learning without a search.

The player to move is the agent, on both sides, and gets its own view of the position. A step is one move and all chance
up to the next decision, and its reward is the mover's. The other player's gain is the mover's loss, so the discount is
-1 where the mover changes, 1 where the same player moves again, and 0 at the end: returns
`G_t = r_t + discount_t * G_{t+1}` are those of the mover at t. With `max_plies`, longer games are cut off, and
discounted as if they went on. With `opening_plies`, an episode begins after some random moves, from which no agent
learns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from games.base import CHANCE, TERMINAL, Game, GameError, chance_rounds
from games.environments.actions import checked_choices
from games.environments.environment import Environment, EnvironmentBatch, Step
from games.observation_layout import layout_notes
from games.parameters import canonical, parse, typed
from games.random_play import begin_games, draw_outcomes
from games.registry import load
from games.soundness import MOST_IN_A_ROW, UnsoundError

PREFIX = "game:"
MAX_PLIES = "max_plies"


class GameEnvironment(Environment):
    """A game played against itself. Observations are those of its pool, seat planes included."""

    observation_dtype = np.dtype(np.float32)
    has_legal_mask = True
    limit_parameter = MAX_PLIES

    def __init__(self, game: Game, max_plies: int | None = None, opening_plies: int = 0) -> None:
        """`max_plies` is the largest number of moves of players in an episode; None: `Game.most_plies`.

        `opening_plies` is the largest number of random moves before an episode begins, drawn from 0 on by
        `begin_games`; they do not count for `max_plies`. It serves training and is no part of `name`, so evaluation has
        none.

        Raises GameError for a game in which one player's loss is not the other's gain.
        """
        if game.num_players > 2:
            raise GameError(
                f"{game.name} has {game.num_players} players, and one reward says only what one of them gets: "
                "use algorithm alphazero"
            )
        if game.num_players == 2 and not game.zero_sum:
            raise GameError(
                f"the returns of {game.name} do not sum to zero, so the other player's value is not the negative of "
                "one's own: use algorithm alphazero"
            )
        self.game = game
        self.max_plies = max_plies
        self.default_limit = 0 if max_plies else game.most_plies
        self.opening_plies = opening_plies
        self.observation_shape = game.observation_shape
        self.num_actions = game.num_actions
        self.notes = layout_notes(game)
        self.name = PREFIX + game.name
        if max_plies is not None:
            wanted = parse(game.name)
            prefix = f"{PREFIX}{wanted.prefix}:" if wanted.prefix else PREFIX
            self.name = canonical(prefix + wanted.name, {**wanted.parameters, MAX_PLIES: max_plies})

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> GameBatch:
        """See `Environment`. The seed is that of chance and openings; `threads` changes nothing."""
        return GameBatch(self, num_envs, seed)


class GameBatch(EnvironmentBatch):
    """Games in the slots of one pool."""

    legal_mask: np.ndarray

    def __init__(self, environment: GameEnvironment, num_envs: int, seed: int) -> None:
        self.environment: GameEnvironment = environment
        self.num_envs = num_envs
        self._rng = np.random.default_rng(seed)
        self._pool = environment.game.new_pool(num_envs)
        self._slots = np.arange(num_envs)
        self._plies = np.zeros(num_envs, dtype=np.int64)
        self._to_play = np.empty(num_envs, dtype=np.int64)
        self._pool.unsound = {}
        self._faults: tuple[str, ...] = ()
        self._begin(self._slots)
        self._look()

    def step(self, actions: np.ndarray) -> Step:
        """See `EnvironmentBatch`. Raises GameError also for a move that is not legal, and then plays none."""
        actions = checked_choices(self.environment, self.num_envs, actions)
        illegal = ~self.legal_mask[self._slots, actions]
        if illegal.any():
            raise GameError(f"{self.environment.name}: move {actions[illegal][0]} is not legal here")
        before, before_mask, mover = self.observation, self.legal_mask, self._to_play
        to_play, rewards = (part.copy() for part in self._pool.step(self._slots, actions, self._slots))
        self._play_chance(to_play, rewards)
        self._to_play = to_play
        self._plies += 1

        terminated = to_play == TERMINAL
        ended = terminated.copy()
        ended |= self._plies >= (self.environment.max_plies or self.environment.default_limit)
        unsound = self._broken()
        final_observation = final_legal_mask = None
        if ended.any():
            final_observation, final_legal_mask = self._last(ended, terminated)
            unsound |= self._broken()
            self._to_play = to_play.copy()
            self._begin(np.flatnonzero(ended))
        unsound |= self._look() & ~ended  # a game that has just begun does not count against the one before
        faults, self._faults = self._faults, ()
        step = Step(
            observation=self.observation,
            reward=rewards[self._slots, mover].astype(np.float32),
            discount=np.where(terminated, 0.0, np.where(to_play == mover, 1.0, -1.0)).astype(np.float32),
            ended=ended,
            final_observation=final_observation,
            legal_mask=self.legal_mask,
            final_legal_mask=final_legal_mask,
            faults=faults,
        )
        return _cut_before(step, unsound, before, before_mask) if unsound.any() else step

    def close(self) -> None:
        self._pool.close()

    def _begin(self, slots: np.ndarray) -> None:
        """New games in `slots`, up to the first decision that is an agent's. Rewards before it are dropped."""
        begin_games(self._pool, slots, self.environment.opening_plies, self._rng)
        self._plies[slots] = 0
        self._to_play[slots] = self._pool.to_play(slots)

    def _look(self) -> np.ndarray:
        """Set the observations and legal masks. Games with an unsound one begin anew; returns which, [N] bool."""
        begun = np.zeros(self.num_envs, np.bool_)
        self.observation, self.legal_mask = self._observe(self._slots), self._legal_mask(self._slots)
        for _ in range(MOST_IN_A_ROW):
            broken = self._broken()
            if not broken.any():
                return begun
            begun |= broken
            anew = np.flatnonzero(broken)
            self._begin(anew)
            self.observation[anew], self.legal_mask[anew] = self._observe(anew), self._legal_mask(anew)
        raise UnsoundError(f"{self._faults[-1]}; such faults came {MOST_IN_A_ROW} times in a row")

    def _broken(self) -> np.ndarray:
        """[N] bool: games with an unsound output since the last call."""
        faults, self._pool.unsound = self._pool.unsound or {}, {}
        broken = np.zeros(self.num_envs, np.bool_)
        broken[list(faults)] = True
        self._faults += tuple(f"{line} after {self._plies[slot]} moves" for slot, line in faults.items())
        return broken

    def _last(self, ended: np.ndarray, terminated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last observations of games that ended and what was legal in them, of all N."""
        observation = np.zeros((self.num_envs, *self.environment.observation_shape), np.float32)
        legal_mask = np.ones((self.num_envs, self.environment.num_actions), np.bool_)
        observation[ended] = self._observe(np.flatnonzero(ended))
        cut_off = np.flatnonzero(ended & ~terminated)
        if cut_off.size:
            legal_mask[cut_off] = self._legal_mask(cut_off)
        return observation, legal_mask

    def _play_chance(self, to_play: np.ndarray, rewards: np.ndarray) -> None:
        """Play chance wherever it is to move until it is nowhere; `to_play [N]` and `rewards [N, P]` are updated."""
        events = chance_rounds(self.environment.game)
        while (waiting := np.flatnonzero(to_play == CHANCE)).size:
            next(events)
            drawn = draw_outcomes(self._pool, waiting, [self._rng] * len(waiting))
            to_play[waiting], earned = self._pool.step(waiting, drawn, waiting)
            rewards[waiting] += earned

    def _observe(self, slots: np.ndarray) -> np.ndarray:
        observation = np.empty((len(slots), *self.environment.observation_shape), np.float32)
        self._pool.observe(slots, observation)
        return observation

    def _legal_mask(self, slots: np.ndarray) -> np.ndarray:
        offsets, actions = self._pool.legal(slots)
        legal_mask = np.zeros((len(slots), self.environment.num_actions), np.bool_)
        legal_mask[np.repeat(np.arange(len(slots)), np.diff(offsets)), actions] = True
        return legal_mask


def _cut_before(step: Step, unsound: np.ndarray, observation: np.ndarray, legal_mask: np.ndarray) -> Step:
    """The step, cut off in `unsound` [N] games with the observation before it. See `Step.unsound`."""
    last = np.zeros_like(observation) if step.final_observation is None else step.final_observation
    last_mask = np.ones_like(legal_mask) if step.final_legal_mask is None else step.final_legal_mask
    return replace(
        step,
        reward=np.where(unsound, 0.0, step.reward).astype(np.float32),
        discount=np.where(unsound, 1.0, step.discount).astype(np.float32),
        ended=step.ended | unsound,
        final_observation=np.where(unsound.reshape(-1, *(1,) * (last.ndim - 1)), observation, last),
        final_legal_mask=np.where(unsound[:, None], legal_mask, last_mask),
        unsound=unsound,
    )


def load_game_environment(text: str) -> GameEnvironment:
    """The environment of a game string, which may have `max_plies` among its parameters. Raises GameError."""
    wanted = parse(text)
    own = {key: value for key, value in wanted.parameters.items() if key == MAX_PLIES}
    others = {key: value for key, value in wanted.parameters.items() if key != MAX_PLIES}
    max_plies = typed(wanted.name, own, {MAX_PLIES: 1}).get(MAX_PLIES)
    if max_plies is not None and int(max_plies) < 1:
        raise GameError(f"{wanted.name}: {MAX_PLIES}={max_plies} is out of range (at least 1)")
    prefix = f"{wanted.prefix}:" if wanted.prefix else ""
    return GameEnvironment(load(canonical(prefix + wanted.name, others)), None if max_plies is None else int(max_plies))
