"""An environment for tests whose frames say which environment, episode and step they belong to."""

from __future__ import annotations

import numpy as np

from games.environments.environment import Environment, EnvironmentBatch, Step


class CountingEnvironment(Environment):
    """Observations are the `frame_stack` newest frames [env, episode, step], zeros from before the episode.

    Environment e and its episodes count from 1 in a frame and from 0 here: an episode ends after
    `3 + (e + episode) % 4` steps, every other one by a limit, and a step pays
    `100 e + 10 episode + step + action / 10`.
    """

    name = "counting"
    observation_dtype = np.dtype(np.float32)
    num_actions = 3

    def __init__(self, frame_stack: int = 1, has_legal_mask: bool = False) -> None:
        self.frame_stack = frame_stack
        self.observation_shape = (3 * frame_stack,)
        self.has_legal_mask = has_legal_mask

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> CountingBatch:
        return CountingBatch(self, num_envs)


class WholeObservations(CountingEnvironment):
    """The same observations of an environment, as if each were a single frame."""

    def __init__(self, environment: CountingEnvironment) -> None:
        super().__init__(environment.frame_stack, environment.has_legal_mask)
        self._environment, self.frame_stack = environment, 1

    def new_batch(self, num_envs: int, seed: int, threads: int = 1) -> CountingBatch:
        return self._environment.new_batch(num_envs, seed, threads)


class CountingBatch(EnvironmentBatch):
    """See `CountingEnvironment`."""

    def __init__(self, environment: CountingEnvironment, num_envs: int) -> None:
        self.environment, self.num_envs = environment, num_envs
        self._episode = np.zeros(num_envs, np.int64)
        self._step = np.zeros(num_envs, np.int64)
        self._frames = [[self._frame(e)] for e in range(num_envs)]
        self.observation = self._observe()
        self.legal_mask = self._legal()

    def step(self, actions: np.ndarray) -> Step:
        reward = np.zeros(self.num_envs, np.float32)
        discount = np.ones(self.num_envs, np.float32)
        ended = np.zeros(self.num_envs, np.bool_)
        for e in range(self.num_envs):
            reward[e] = 100 * e + 10 * self._episode[e] + self._step[e] + 0.1 * actions[e]
            self._step[e] += 1
            self._frames[e].append(self._frame(e))
            ended[e] = self._step[e] == 3 + (e + self._episode[e]) % 4
            if ended[e]:
                discount[e] = self._episode[e] % 2
        final, final_legal = (self._observe(), self._legal()) if ended.any() else (None, None)
        for e in np.nonzero(ended)[0]:
            self._episode[e] += 1
            self._step[e] = 0
            self._frames[e] = [self._frame(e)]
        self.observation, self.legal_mask = self._observe(), self._legal()
        return Step(self.observation, reward, discount, ended, final, self.legal_mask, final_legal)

    def _frame(self, e: int) -> np.ndarray:
        return np.array([1 + e, 1 + self._episode[e], 1 + self._step[e]], np.float32)

    def _observe(self) -> np.ndarray:
        stack = self.environment.frame_stack
        padded = [[np.zeros(3, np.float32)] * stack + frames for frames in self._frames]
        return np.array([np.concatenate(frames[-stack:]) for frames in padded])

    def _legal(self) -> np.ndarray | None:
        if not self.environment.has_legal_mask:
            return None
        return (np.arange(3)[None] + self._step[:, None]) % 3 > 0
