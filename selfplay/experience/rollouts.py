"""Experience without search: N copies of an environment, stepped by a network, in rollouts of some steps.

In the flow: the counterpart of `selfplay.experience.self_play` for DQN, REINFORCE and actor-critic. An actor calls
`collect` again and again and sends on the rollouts that it returns.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from games.environments.environment import EPISODES_SEED, Environment, EnvironmentBatch, Step
from nets.inference import Inference
from selfplay.experience.behaviour import Behaviour
from selfplay.experience.episode_counter import EpisodeCounter
from selfplay.experience.figures import SelfPlayCounts


@dataclass(frozen=True)
class Rollout:
    """T steps in each of N environments, row t before row t + 1. Rows continue those of the last rollout."""

    observation: Shaped[np.ndarray, "T N *frame"]  # the newest frame alone of each: see `stacked_observations`
    action: Int64[np.ndarray, "T N"] | Float32[np.ndarray, "T N D"]
    reward: Float32[np.ndarray, "T N"]  # as the environment paid it
    discount: Float32[np.ndarray, "T N"]  # see `games.environments.environment`
    ended: Bool[np.ndarray, "T N"]
    final_observation: Shaped[np.ndarray, "K *frame"]  # of the K episodes that ended, in the order of `ended`
    legal_mask: Bool[np.ndarray, "T N A"] | None
    final_legal_mask: Bool[np.ndarray, "K A"] | None  # for `final_observation`
    value: Float32[np.ndarray, "T N"]  # what the network expected before the step ...
    next_value: Float32[np.ndarray, "T N"]  # ... and after it, of the last observation where an episode ended
    log_probability: Float32[np.ndarray, "T N"]  # of the action
    counted: Bool[np.ndarray, "T N"]  # false after the end of the one episode asked for, and where `unsound`
    begins: bool  # the first row is the first of an episode in every environment
    version: int  # of the network that acted first; a newer one may have come in between
    actor_index: int = 0  # which actor made it, counted from 0
    unsound: Bool[np.ndarray, "T N"] | None = None  # see `Step`; such steps do not count; None where there are none
    earlier: Shaped[np.ndarray, "S N *frame"] | None = None
    """The S frames before the first row, the oldest first, zeros from before the episode; None where an observation is
    a single frame."""

    @property
    def games(self) -> int:
        """Episodes that ended."""
        counted = self.counted if self.unsound is None else self.counted | self.unsound
        return int((self.ended & counted).sum())

    def __len__(self) -> int:
        """Steps of the environments, those that do not count too: they were made."""
        return self.ended.size

    def leave_out_older(self, version: int) -> tuple[Rollout, int]:
        """See `algorithm.Record.leave_out_older`: all steps or none, by the oldest network that acted."""
        if self.version >= version:
            return self, 0
        return replace(self, counted=np.zeros_like(self.counted)), int(self.counted.sum())


def stacked_observations(rollout: Rollout) -> Shaped[np.ndarray, "T N *observation"]:
    """The observations of a rollout as the network saw them, with the earlier frames of their episodes."""
    if rollout.earlier is None:
        return rollout.observation
    older, (length, num_envs) = len(rollout.earlier), rollout.ended.shape
    frames = np.concatenate([rollout.earlier, rollout.observation])
    stacks = np.empty((length, num_envs, older + 1, *frames.shape[2:]), frames.dtype)
    is_same_episode = np.ones((length, num_envs), np.bool_)  # as the frame `back` steps before each row
    for back in range(older + 1):
        first = older - back
        stacks[:, :, first] = frames[first : first + length]
        stacks[:, :, first][~is_same_episode] = 0
        is_same_episode[back + 1 :] &= ~rollout.ended[: max(0, length - back - 1)]
    return stacks.reshape(length, num_envs, -1, *frames.shape[3:])


@dataclass
class _Rows:
    """A rollout under way, a list entry a step."""

    observation: list[np.ndarray] = field(default_factory=list)
    action: list[np.ndarray] = field(default_factory=list)
    reward: list[np.ndarray] = field(default_factory=list)
    discount: list[np.ndarray] = field(default_factory=list)
    ended: list[np.ndarray] = field(default_factory=list)
    final_observation: list[np.ndarray] = field(default_factory=list)
    legal_mask: list[np.ndarray] = field(default_factory=list)
    final_legal_mask: list[np.ndarray] = field(default_factory=list)
    value: list[np.ndarray] = field(default_factory=list)
    next_value: list[np.ndarray] = field(default_factory=list)
    log_probability: list[np.ndarray] = field(default_factory=list)
    counted: list[np.ndarray] = field(default_factory=list)
    unsound: list[np.ndarray] = field(default_factory=list)


class Experience:
    """N environments and who acts in them."""

    def __init__(
        self,
        environment: Environment,
        inference: Inference,
        behaviour: Behaviour,
        num_envs: int,
        rollout_steps: int | None,
        rng: np.random.Generator,
        endless: bool,
        threads: int = 1,
    ) -> None:
        """`rollout_steps` None plays one whole episode in each environment. What is not `endless` stops after a rollout
        (`begin_round` goes on). `threads` step the environments, where they can be shared out."""
        self.environment, self.inference, self.behaviour = environment, inference, behaviour
        self.num_envs, self.rollout_steps, self.rng, self.endless = num_envs, rollout_steps, rng, endless
        self.threads = threads
        self.version, self.actor_index = 0, 0
        self._oldest = 0  # version that acted in the first row of the rollout under way
        self._earlier: np.ndarray | None = None  # frames before that row
        self.done = False
        self.counts = SelfPlayCounts()
        self._episodes = EpisodeCounter(num_envs, environment.default_limit)
        self._over = np.zeros(num_envs, np.bool_)
        self._rows = _Rows()
        self._output: tuple[np.ndarray, np.ndarray] | None = None  # of the network for the present observations
        self._begins = True
        self.batch = self._new_batch()

    def begin_round(self) -> None:
        """Go on with the next rollout."""
        self.done = False

    def collect(self) -> list[Rollout]:
        """One step in every environment; returns the rollout that it completed."""
        observation, legal_mask = self.batch.observation, self.batch.legal_mask
        if self._output is None:
            self._output = self._predict(observation)
        output, value = self._output
        if not self._rows.reward:
            self._oldest, self._earlier = self.version, self._older_frames(observation)
        action, log_probability = self.behaviour.act(output, legal_mask, self.rng)
        step = self.batch.step(action)
        self._output = self._predict(step.observation)
        rows = self._rows
        rows.observation.append(self._kept(observation))
        rows.action.append(action)
        rows.reward.append(step.reward)
        rows.discount.append(step.discount)
        rows.ended.append(step.ended)
        rows.value.append(value[:, 0])
        rows.next_value.append(self._next_value(step))
        rows.log_probability.append(log_probability)
        unsound = np.zeros(self.num_envs, np.bool_) if step.unsound is None else step.unsound
        rows.counted.append(~self._over & ~unsound)
        rows.unsound.append(~self._over & unsound)
        if legal_mask is not None:
            rows.legal_mask.append(legal_mask)
        if step.final_observation is not None:
            rows.final_observation.append(self._kept(step.final_observation[step.ended]))
            if step.final_legal_mask is not None:
                rows.final_legal_mask.append(step.final_legal_mask[step.ended])
        self._count(step)
        if self.rollout_steps is None:
            is_complete = bool(self._over.all())
        else:
            is_complete = len(rows.reward) >= self.rollout_steps
        return [self._finish()] if is_complete else []

    def weights_changed(self, version: int) -> None:
        """See `algorithm.Collector`."""
        self.version = version
        self._output = None

    def progress_changed(self, progress: float) -> None:
        """See `algorithm.Collector.progress_changed`: what changes here goes by the positions."""

    def take_counts(self) -> SelfPlayCounts:
        """See `algorithm.Collector`."""
        counts, self.counts = self.counts, SelfPlayCounts()
        return counts

    def close(self) -> None:
        """Free the environments."""
        self.batch.close()

    def _new_batch(self) -> EnvironmentBatch:
        return self.environment.new_batch(self.num_envs, int(self.rng.integers(EPISODES_SEED)), self.threads)

    def _predict(self, observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        found = self.inference.predict(observation)
        self.counts.network_seconds += time.perf_counter() - started
        self.counts.network_calls += 1
        self.counts.evaluations += len(observation)
        self.counts.predictions += len(observation)
        return found

    def _next_value(self, step: Step) -> np.ndarray:
        """[N]: values after the step; those of cut-off episodes are of their last observation, not of the next
        episode's first."""
        assert self._output is not None
        value = self._output[1][:, 0].copy()
        cut_off = step.ended & (step.discount != 0)
        if cut_off.any():
            assert step.final_observation is not None
            value[cut_off] = self._predict(step.final_observation[cut_off])[1][:, 0]
        return value

    def _kept(self, observation: np.ndarray) -> np.ndarray:
        """The newest frame of observations [N, ...]."""
        return observation[:, -observation.shape[1] // self.environment.frame_stack :]

    def _older_frames(self, observation: np.ndarray) -> np.ndarray | None:
        """See `Rollout.earlier`."""
        older = self.environment.frame_stack - 1
        if older == 0:
            return None
        frames = observation.reshape(len(observation), older + 1, -1, *observation.shape[2:])
        return np.ascontiguousarray(frames[:, :older].swapaxes(0, 1))

    def _count(self, step: Step) -> None:
        counted, cut_off = ~self._over, self._episodes.cut_off
        self.counts.positions += self.num_envs
        self.counts.take_faults(step.faults, step.warnings)
        for row, paid, length in self._episodes.add(step):
            if counted[row]:
                self.counts.games += 1
                self.counts.game_plies += length
                self.counts.return_first += paid
        self.counts.cut_off += self._episodes.cut_off - cut_off
        if self.rollout_steps is None:
            self._over |= step.ended

    def _finish(self) -> Rollout:
        """The rows as a rollout, and a fresh start where whole episodes were asked for."""
        rows, self._rows = self._rows, _Rows()
        if rows.final_observation:
            final = np.concatenate(rows.final_observation)
        else:
            final = np.empty((0, *rows.observation[0].shape[1:]), rows.observation[0].dtype)
        rollout = Rollout(
            observation=np.stack(rows.observation),
            action=np.stack(rows.action),
            reward=np.stack(rows.reward).astype(np.float32),
            discount=np.stack(rows.discount).astype(np.float32),
            ended=np.stack(rows.ended),
            final_observation=final,
            legal_mask=np.stack(rows.legal_mask) if rows.legal_mask else None,
            final_legal_mask=np.concatenate(rows.final_legal_mask) if rows.final_legal_mask else None,
            value=np.stack(rows.value),
            next_value=np.stack(rows.next_value),
            log_probability=np.stack(rows.log_probability),
            counted=np.stack(rows.counted),
            unsound=np.stack(rows.unsound) if np.any(rows.unsound) else None,
            begins=self._begins,
            version=self._oldest,
            actor_index=self.actor_index,
            earlier=self._earlier,
        )
        self._begins = False
        self.done = not self.endless
        if self.rollout_steps is None:
            self._restart()
        return rollout

    def _restart(self) -> None:
        """Every environment at the start of an episode. One alone is there already: its episode has just ended."""
        self._over[:] = False
        self._begins = True
        if self.num_envs > 1:
            self.batch.close()
            self.batch = self._new_batch()
            self._episodes.begin_all()
            self._output = None
