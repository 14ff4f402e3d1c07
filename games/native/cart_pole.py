"""Cart-Pole with a state that can be saved and restored: Gymnasium's CartPole-v1 as a game, for the tree search.

The pole is to be kept upright by pushing its cart to the left or to the right; every step has the reward 1. The
physical states are those of Gymnasium's environment to the last bit. A game differs from an episode there in two ways:

* It begins with a chance node that draws one of `starts` states from a fixed table, so that a game is known by its
  actions and chance outcomes, as every game is. Gymnasium draws from the same range, but without a table. With a
  `start_distance` the cart begins anywhere on the track, so that steady play still meets its ends.
* It is over after `max_steps`. Gymnasium calls that truncated: the states that follow have a value which the game does
  not count. To train as if the game went on, cut games off before (`actors.max_plies`).

Source: Barto, Sutton and Anderson 1983, "Neuronlike adaptive elements that can solve difficult learning control
problems"; equations of motion by Florian 2007, "Correct equations for the dynamics of the cart-pole system", without
friction.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from games.base import CHANCE, TERMINAL, Game, GameError
from games.native.pool import NativePool, random_bits
from games.seats import mark_seat, with_seats

LEFT, RIGHT = 0, 1

# What a row holds: the physical state (the bits of four float64), the outcome of the first chance node, and the actions
# so far, one bit each.
POSITION, VELOCITY, ANGLE, TURNING = 0, 1, 2, 3
"""The cart's position in m and its velocity in m/s, the pole's angle in rad and its velocity in rad/s; all of them are
positive to the right."""
NUM_PHYSICAL = 4
START = 4
ACTIONS = 5
ACTIONS_PER_WORD = 64

NOT_DRAWN, PLACED = -1, -2
"""`START` of a game that is still at its chance node, and of a state that came from outside."""

MAX_POSITION = 2.4
"""Distance of the cart from the middle, in m, beyond which the game is over."""
MAX_ANGLE = 12 * 2 * math.pi / 360
"""Angle of the pole, in rad, beyond which the game is over."""

MAX_START = 0.05
"""Largest absolute value of each number of a start."""
START_SEED = 0
"""Seed of the table of starts."""

OBSERVATION_SCALE = np.array([MAX_POSITION, 2.0, MAX_ANGLE, 3.0])

# The numbers of Gymnasium's environment.
GRAVITY = 9.8
CART_MASS = 1.0
POLE_MASS = 0.1
TOTAL_MASS = POLE_MASS + CART_MASS
HALF_LENGTH = 0.5
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCE = 10.0
SECONDS_PER_STEP = 0.02

LARGEST_SIZE = 100_000


class CartPole(Game):
    """Push the cart so that the pole does not fall and the cart does not leave; 1 a step, at most `max_steps`.

    Observation: the four numbers of the physical state, each divided by its scale in `OBSERVATION_SCALE`, so that a
    network gets numbers in about [-1, 1]; the seat. The scales of position and angle are the limits.
    """

    num_players = 1
    num_actions = 2
    observation_shape = with_seats((NUM_PHYSICAL,), 1)
    has_rewards = True
    zero_sum = False

    def __init__(self, max_steps: int = 500, starts: int = 1024, start_distance: float = MAX_START) -> None:
        """`start_distance`: largest distance of the cart from the middle in a start, in m."""
        if not (1 <= max_steps <= LARGEST_SIZE and 1 <= starts <= LARGEST_SIZE):
            raise GameError(f"cart_pole: max_steps and starts must be from 1 to {LARGEST_SIZE}")
        if not 0.0 <= start_distance <= MAX_POSITION:
            raise GameError(f"cart_pole: start_distance must be from 0 to {MAX_POSITION}, not {start_distance:g}")
        self.max_game_length = max_steps
        self.max_chance_outcomes = starts
        self.starts = start_states(starts, start_distance)

    @property
    def most_plies(self) -> int:
        """See `Game.most_plies`: the limit is a parameter and always kept."""
        return self.max_game_length

    def new_pool(self, capacity: int) -> CartPolePool:
        return CartPolePool(self, capacity)


def start_states(count: int, distance: float = MAX_START) -> np.ndarray:
    """The table of starts, float64 [count, 4]; a longer one begins with a shorter.

    Positions are uniform in [-distance, distance), the other numbers in [-MAX_START, MAX_START). Made from the bits of
    a generator, which do not change from one version of NumPy to the next.
    """
    bits = np.random.PCG64(START_SEED).random_raw(count * NUM_PHYSICAL)
    unit = (bits >> np.uint64(11)) * 2.0**-53  # in [0, 1)
    largest = np.full(NUM_PHYSICAL, MAX_START)
    largest[POSITION] = distance
    return largest * (2.0 * unit - 1.0).reshape(count, NUM_PHYSICAL)


class CartPolePool(NativePool):
    """Physical states with their history, bits of both in rows of int64."""

    game: CartPole

    def __init__(self, game: CartPole, capacity: int) -> None:
        start = np.zeros(ACTIONS + -(-game.max_game_length // ACTIONS_PER_WORD), dtype=np.int64)
        start[START] = NOT_DRAWN
        super().__init__(game, capacity, start, first=CHANCE)
        self._physical = self._boards[:, :NUM_PHYSICAL].view(np.float64)  # [capacity, 4]

    def place(self, slots: np.ndarray, states: np.ndarray, steps: np.ndarray) -> None:
        """Put physical `states` float64 [n, 4] into `slots` [n], each `steps` [n] after the start of its episode.

        So a player of this game can act in Gymnasium's environment. Such a position has no history. Raises
        GameError for numbers that are not finite, and for negative steps.
        """
        if not np.isfinite(states).all() or (np.asarray(steps) < 0).any():
            raise GameError("cart_pole: states must be finite and steps not negative")
        self._boards[slots] = self._start
        self._boards[slots, START] = PLACED
        self._physical[slots] = states
        self._played[slots] = steps
        over = np.abs(states[:, [POSITION, ANGLE]]) > (MAX_POSITION, MAX_ANGLE)
        self._to_play[slots] = np.where(over.any(axis=1) | (steps >= self.game.max_game_length), TERMINAL, 0)

    def physical(self, slots: np.ndarray) -> np.ndarray:
        """The physical states, float64 [n, 4]; zero where the start is still to be drawn."""
        return self._physical[slots]

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        batch, starts = len(slots), self.game.max_chance_outcomes
        outcomes = np.tile(np.arange(starts), batch)
        return np.arange(batch + 1) * starts, outcomes, np.full(len(outcomes), 1.0 / starts)

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        game = self.game
        _step(
            self._boards, self._physical, self._played, self._to_play, game.starts, game.max_game_length,
            src, actions, dst, to_play, rewards,
        )  # fmt: skip

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._to_play, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(self._physical, self._to_play, OBSERVATION_SCALE, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        game = self.game
        _rollout(
            self._physical, self._played, self._to_play, game.starts, game.max_game_length, slots, seeds, rewards
        )  # fmt: skip

    def text(self, slot: int) -> str:
        if self._to_play[slot] == CHANCE:
            return f"one of {self.game.max_chance_outcomes} starts is drawn"
        state = self._physical[slot]
        position, velocity = state[POSITION], state[VELOCITY]
        angle, turning = np.degrees(state[ANGLE]), np.degrees(state[TURNING])
        return "\n".join(
            [
                f"step {self._played[slot]} of {self.game.max_game_length}",
                f"cart {position:+.3f} m, {velocity:+.3f} m/s",
                f"pole {angle:+.2f} degrees, {turning:+.2f} degrees/s",
            ]
        )

    def action_text(self, slot: int, action: int) -> str:
        return f"start {action}" if self._to_play[slot] == CHANCE else ("left", "right")[action]

    def history(self, slot: int) -> list[int]:
        start = int(self._boards[slot, START])
        if start == PLACED:
            raise GameError("cart_pole: nobody knows the moves that led to a state from outside")
        if start == NOT_DRAWN:
            return []
        steps = np.arange(self._played[slot])
        words = self._boards[slot, ACTIONS + steps // ACTIONS_PER_WORD]
        return [start, *(words >> steps % ACTIONS_PER_WORD & 1).tolist()]


@njit(cache=True)
def _push(state, action):  # type: ignore[no-untyped-def]
    """Move a physical state on by one step, in place, and return whether the pole fell or the cart left.

    Euler's method: the velocities of before the step move, the accelerations change the velocities. Products and sums
    stand in the order in which Gymnasium computes them, for another one rounds to other bits.
    """
    velocity, turning = state[VELOCITY], state[TURNING]
    cosine, sine = math.cos(state[ANGLE]), math.sin(state[ANGLE])
    force = FORCE if action == RIGHT else -FORCE
    share = (force + POLE_MOMENT * (turning * turning) * sine) / TOTAL_MASS
    turning_gain = (GRAVITY * sine - cosine * share) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS)
    )
    velocity_gain = share - POLE_MOMENT * turning_gain * cosine / TOTAL_MASS
    state[POSITION] += SECONDS_PER_STEP * velocity
    state[VELOCITY] += SECONDS_PER_STEP * velocity_gain
    state[ANGLE] += SECONDS_PER_STEP * turning
    state[TURNING] += SECONDS_PER_STEP * turning_gain
    return abs(state[POSITION]) > MAX_POSITION or abs(state[ANGLE]) > MAX_ANGLE


@njit(cache=True)
def _step(boards, physical, played, to_play, starts, max_steps, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    for i in range(src.shape[0]):
        s, d, action = src[i], dst[i], actions[i]
        row = boards[d]
        if s != d:
            for word in range(row.shape[0]):
                row[word] = boards[s, word]
        steps, next_player, reward = played[s], 0, 0.0
        if to_play[s] == CHANCE:
            row[START] = action
            for k in range(NUM_PHYSICAL):
                physical[d, k] = starts[action, k]
        else:
            word, bit = ACTIONS + steps // ACTIONS_PER_WORD, steps % ACTIONS_PER_WORD
            row[word] |= np.int64(action) << np.int64(bit)  # it was 0
            steps += 1
            reward = 1.0
            if _push(physical[d], action) or steps >= max_steps:
                next_player = TERMINAL
        played[d] = steps
        to_play[d] = next_player
        out_to_play[i] = next_player
        out_rewards[i, 0] = reward


@njit(cache=True)
def _legal(to_play, slots, offsets, actions):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(slots.shape[0]):
        if to_play[slots[i]] >= 0:
            actions[count] = LEFT
            actions[count + 1] = RIGHT
            count += 2
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(physical, to_play, scale, slots, out):  # type: ignore[no-untyped-def]
    for i in range(slots.shape[0]):
        for k in range(NUM_PHYSICAL):
            out[i, k] = physical[slots[i], k] / scale[k]
        mark_seat(out[i], 1, 1, to_play[slots[i]])


@njit(cache=True)
def _rollout(physical, played, to_play, starts, max_steps, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    state = np.empty(NUM_PHYSICAL)
    for i in range(slots.shape[0]):
        slot, random = slots[i], seeds[i]
        first = steps = played[slot]
        if to_play[slot] == CHANCE:
            random, bits = random_bits(random)
            state[:] = starts[bits % starts.shape[0]]
        else:
            state[:] = physical[slot]
        over = to_play[slot] == TERMINAL
        while not over:
            random, bits = random_bits(random)
            over = _push(state, bits & 1)
            steps += 1
            over |= steps >= max_steps
        out_rewards[i, 0] = steps - first
