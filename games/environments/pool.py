"""Any environment as a `Game`: self-play with a model that is learned (MuZero).

`games.environments.game` is the opposite: it makes environments of games. Here an episode becomes a game of one player
with rewards, which the collector of games plays as any other. There are no rules behind it, so nothing can look ahead
in it: a search needs a model that was learned, which asks the pool for observations and legal actions alone.

How an episode ends is read from the discount of a step (see `games.environments.environment`). With 0 the game is over;
where that was a life and not the end, the next game goes on in the same episode. An episode that a limit has ended
is cut off (`StatePool.cut_off`): its last position has a value, and nothing can be played in it.

Where actions are real numbers, a search chooses among some that it has sampled (Sampled MuZero, Hubert et al. 2021):
it says in each position what the numbers of actions stand for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from games.base import EPISODE_STEPS, TERMINAL, Game, GameError, StatePool, compressed
from games.environments.environment import EPISODES_SEED, Environment, EnvironmentBatch, Step
from games.environments.game import GameEnvironment
from games.soundness import UnsoundError

PLAYER = 0
"""The only player."""


class EnvironmentGame(Game):
    """The episodes of an environment as games of one player.

    Observations are the environment's own, without a seat plane: it is always the same player's turn. Rewards are as
    they were paid.
    """

    num_players = 1
    has_rewards = True
    zero_sum = False

    def __init__(self, environment: Environment, seed: int = 0, sampled_actions: int = 0) -> None:
        """Pools have other episodes each. With equal seeds, those made in the same order have equal ones.

        `sampled_actions`: from how many a search chooses where actions are real numbers; 0 where it cannot.

        Raises GameError for an environment with such actions where it cannot, and for a game that was made an
        environment.
        """
        if isinstance(environment, GameEnvironment):
            raise GameError(f"{environment.name} is a game: name it {environment.game.name} to search in it")
        if environment.is_continuous and sampled_actions == 0:
            raise GameError(f"{environment.name}: its actions are real numbers; a search needs actions to choose from")
        self.environment = environment
        self.name = self.rules = environment.name
        self.num_actions = sampled_actions if environment.is_continuous else environment.num_actions
        self.action_low, self.action_high = environment.action_low, environment.action_high
        self.observation_shape = environment.observation_shape
        self.observation_dtype = environment.observation_dtype
        self.max_game_length = environment.step_limit or EPISODE_STEPS
        self.has_own_limit = not environment.default_limit and not environment.is_endless
        self._seeds = np.random.SeedSequence(seed)

    @property
    def most_plies(self) -> int:
        """See `Game.most_plies`: a limit of the environment is kept there, however large it is."""
        return self.max_game_length

    def new_pool(self, capacity: int) -> EnvironmentPool:
        """See `Game.new_pool`."""
        return EnvironmentPool(self, capacity, self._seeds.spawn(1)[0])


class EnvironmentPool(StatePool):
    """One copy of the environment a slot, made when the slot is reset for the first time.

    Copies move independently of each other, where those of one `EnvironmentBatch` all move at once.
    """

    game: EnvironmentGame

    def __init__(self, game: EnvironmentGame, capacity: int, seeds: np.random.SeedSequence) -> None:
        """`seeds` decides all episodes; those of a slot do not depend on what happens in others."""
        self.game, self.capacity = game, capacity
        self._rngs = [np.random.default_rng(child) for child in seeds.spawn(capacity)]
        self._batches: list[EnvironmentBatch | None] = [None] * capacity
        self._begins = np.zeros(capacity, np.bool_)  # the batch is where the next game begins
        self._to_play = np.full(capacity, TERMINAL, np.int64)
        self._cut_off = np.zeros(capacity, np.bool_)
        unset = np.zeros(game.observation_shape, game.observation_dtype)
        self._observations: list[np.ndarray] = [unset] * capacity  # of the last step, not of the episode after it
        self._legal: list[np.ndarray | None] = [None] * capacity  # [A] bool; None: every action
        self._steps = [0] * capacity
        self._faulty_starts: dict[int, str] = {}
        self._warnings: dict[str, None] = {}
        self._all_actions = np.arange(game.num_actions)
        self._sampled: list[np.ndarray | None] = [None] * capacity  # [A, D]; None where nobody has said

    def reset(self, slots: np.ndarray) -> None:
        """Begin a game in each slot, in an episode of its own unless only a life was lost.

        Starts that the environment got wrong, and began again, are in `unsound` afterwards; the games can be played.
        """
        for slot in slots.tolist():
            batch = self._batches[slot]
            if batch is None or not self._begins[slot]:
                if batch is not None:
                    batch.close()
                seed = int(self._rngs[slot].integers(EPISODES_SEED))
                batch = self._batches[slot] = self.game.environment.new_batch(1, seed)
            self._begins[slot] = True
            self._sampled[slot] = None
            self._observations[slot] = batch.observation[0]
            self._legal[slot] = None if batch.legal_mask is None else batch.legal_mask[0]
            self._to_play[slot], self._cut_off[slot], self._steps[slot] = PLAYER, False, 0
            if line := self._faulty_starts.pop(slot, ""):
                self._report(slot, line)

    def step(
        self, src: Int64[np.ndarray, " B"], actions: Int64[np.ndarray, " B"], dst: Int64[np.ndarray, " B"]
    ) -> tuple[Int64[np.ndarray, " B"], Float64[np.ndarray, "B 1"]]:
        """See `StatePool.step`. Raises GameError unless `dst` is `src`, where an episode is over or cut off, and where
        nobody has said what the numbers of real actions stand for."""
        if src is not dst and not np.array_equal(src, dst):
            raise self._refusal("steps lead on in the same slot")
        if (self._to_play[src] == TERMINAL).any() or self._cut_off[src].any():
            raise GameError(f"{self.game.name}: the episode is over, no move can be played")
        rewards = np.zeros((len(src), 1))
        played = actions if self.game.action_low is None else self.sampled_actions(src)[np.arange(len(src)), actions]
        for i, slot in enumerate(src.tolist()):
            batch = self._batches[slot]
            assert batch is not None, "a slot where a player moves was reset"
            step = batch.step(played[i : i + 1])
            rewards[i] = step.reward[0]
            self._sampled[slot] = None
            self._take(slot, step)
        return self._to_play[src], rewards

    def sampled_actions(self, slots: np.ndarray) -> Float32[np.ndarray, "B A D"]:
        """See `StatePool.sampled_actions`. Raises GameError where nobody has said it."""
        rows = [self._sampled[slot] for slot in slots.tolist()] if self.game.action_low is not None else []
        if any(row is None for row in rows):
            raise GameError(f"{self.game.name}: its actions are real numbers; none were sampled in this position")
        return np.array(rows, np.float32).reshape(len(slots), *self.game.sampled_shape)

    def set_sampled_actions(self, slots: np.ndarray, actions: Float32[np.ndarray, "B A D"]) -> None:
        """See `StatePool.set_sampled_actions`."""
        for i, slot in enumerate(slots.tolist()):
            self._sampled[slot] = actions[i].copy()

    def _take(self, slot: int, step: Step) -> None:
        """Note what a step has led to."""
        ended, is_over = bool(step.ended[0]), step.discount[0] == 0
        is_unsound = step.unsound is not None and bool(step.unsound[0])
        self._steps[slot] += 1
        self._begins[slot] = ended or is_over
        self._to_play[slot] = TERMINAL if is_over or is_unsound else PLAYER
        self._cut_off[slot] = ended and not is_over and not is_unsound
        observation, legal_mask = step.observation, step.legal_mask
        if ended:
            assert step.final_observation is not None
            observation, legal_mask = step.final_observation, step.final_legal_mask
        self._observations[slot] = observation[0]
        self._legal[slot] = None if legal_mask is None else legal_mask[0]
        self._warnings.update(dict.fromkeys(step.warnings))
        if is_unsound:
            self._report(slot, step.faults[0])
        elif step.faults:
            self._faulty_starts[slot] = step.faults[-1]

    def _report(self, slot: int, line: str) -> None:
        if self.unsound is None:
            raise UnsoundError(line)
        self.unsound[slot] = line

    def cut_off(self, slots: Int64[np.ndarray, " B"]) -> Bool[np.ndarray, " B"]:
        """See `StatePool.cut_off`."""
        return self._cut_off[slots]

    def to_play(self, slots: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
        return self._to_play[slots]

    def legal(self, slots: Int64[np.ndarray, " B"]) -> tuple[Int64[np.ndarray, " B+1"], Int64[np.ndarray, " K"]]:
        moves = self._to_play[slots] == PLAYER
        masks = [self._legal[slot] for slot in slots.tolist()]
        if moves.all() and all(mask is None for mask in masks):
            width = self.game.num_actions
            return np.arange(len(slots) + 1) * width, np.tile(self._all_actions, len(slots))
        rows: list[Any] = [
            (self._all_actions if mask is None else np.flatnonzero(mask)) if is_turn else ()
            for mask, is_turn in zip(masks, moves.tolist())
        ]
        return compressed(rows, np.int64)

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.zeros(len(slots) + 1, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)

    def observe(self, slots: Int64[np.ndarray, " B"], out: Shaped[np.ndarray, "B *observation"]) -> None:
        for i, slot in enumerate(slots.tolist()):
            out[i] = self._observations[slot]

    def text(self, slot: int) -> str:
        """The environment and the number of steps: it has no text of its own."""
        return f"{self.game.name} after {self._steps[slot]} steps"

    def action_text(self, slot: int, action: int) -> str:
        """The number of the action; its numbers, where it is real ones."""
        sampled = self._sampled[slot]
        return str(action) if sampled is None else " ".join(f"{x:.3g}" for x in sampled[action])

    def take_warnings(self) -> tuple[str, ...]:
        """See `StatePool.take_warnings`."""
        taken, self._warnings = tuple(self._warnings), {}
        return taken

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """Raises GameError."""
        raise self._refusal("its positions cannot be copied")

    def load(self, slots: np.ndarray, source: StatePool, source_slots: np.ndarray) -> None:
        """Raises GameError."""
        raise self._refusal("its positions cannot be loaded")

    def rollout(self, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Raises GameError."""
        raise self._refusal("it cannot be played out from a position")

    def _refusal(self, what: str) -> GameError:
        return GameError(
            f"{self.game.name} has no rules to look ahead with, {what}; a search needs a model of it that was learned"
        )

    def close(self) -> None:
        """Free the copies of the environment."""
        for batch in self._batches:
            if batch is not None:
                batch.close()
        self._batches = [None] * self.capacity
        self._to_play[:] = TERMINAL
