"""DQN: Q-learning from a replay, with double, duelling, n-step and prioritised variants as options.

In the flow: see `selfplay.algorithms.algorithm`. Actors take the best action or a random one, transitions go into a
replay, and the network is drawn to `y = r + gamma max_a Q'(s', a)`, Q' being a copy of it that is renewed every so many
steps. In a game with two players the discount is -1 where the opponent moves next, which makes this minimax Q-learning
by self-play.

Sources: Mnih et al. 2013 and 2015; van Hasselt et al. 2016 (double); Wang et al. 2016 (duelling); Schaul et al. 2016
(prioritised); Hessel et al. 2018 (n-step).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from games.environments.grid_world import GridWorld
from games.environments.mdp import greedy_policy, optimal_q
from nets.inference import Inference
from nets.losses import action_values, bellman_error
from nets.models import PolicyValueNet, resolve_kind
from selfplay.algorithms.learner import Learner, Loss, StepResult
from selfplay.algorithms.model_free import ModelFree, ModelFreeLearner
from selfplay.algorithms.precision import uses_bfloat16
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.behaviour import EpsilonGreedy
from selfplay.experience.rollouts import Experience
from selfplay.replay.transitions import TransitionBatch, TransitionReplay, replay_bytes, ring_length
from selfplay.system.preflight import MemoryNeed, Needs, size


class Dqn(ModelFree):
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if self.environment.is_continuous:
            raise UserError(
                f"algorithm: dqn needs a finite number of actions, {self.title} has real ones; use actor_critic"
            )
        if config.learner.batch_size == 0:
            raise UserError("learner.batch_size: 0 takes all of a rollout, dqn has none; say how many transitions")
        self._num_streams = max(1, config.actors.num_actors) * config.actors.games_per_actor
        try:
            ring_length(config.replay.capacity, self._num_streams, config.dqn.n_step, self.environment.frame_stack)
        except ValueError as error:
            raise UserError(str(error)) from None
        self._replay_bytes = replay_bytes(self.environment, config.replay.capacity)
        self.warm_up_note = f"starting; the replay takes {size(self._replay_bytes)} of memory when it is full"

    @property
    def needs(self) -> Needs:
        """See `Algorithm.needs`."""
        replay = self.config.replay
        # With fewer steps there may be no stream yet that has all of a return.
        least = self._num_streams * self.config.dqn.n_step + 1
        memory = MemoryNeed("replay.capacity", f"{replay.capacity:,} transitions", self._replay_bytes)
        return self._needs_of(max(replay.min_positions, least), (memory,))

    def make_learner(self) -> DqnLearner:
        """See `Algorithm.make_learner`."""
        return DqnLearner(self.make_net(), self.config)

    def make_replay(self) -> TransitionReplay:
        """See `Algorithm.make_replay`."""
        config = self.config
        return TransitionReplay(
            self.environment,
            config.replay.capacity,
            self._num_streams,
            config.dqn.n_step,
            config.rewards.discount,
            config.rewards.clip,
            config.dqn.priority_exponent,
            config.dqn.importance_exponent,
        )

    def make_experience(
        self, inference: Inference, rng: np.random.Generator, positions_played: int, endless: bool
    ) -> Experience:
        """See `ModelFree.make_experience`."""
        actors, settings = self.config.actors, self.config.dqn
        behaviour = EpsilonGreedy(
            settings.epsilon,
            settings.final_epsilon,
            settings.epsilon_positions,
            positions_played,
            max(1, actors.num_actors),
        )
        return Experience(
            self.environment,
            inference,
            behaviour,
            actors.games_per_actor,
            actors.rollout_steps,
            rng,
            endless,
            threads=self.threads,
        )

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        """See `Algorithm.finish`: on a grid world, in how many states the policy is an optimal one."""
        if not isinstance(self.environment, GridWorld):
            return []
        net = copy.deepcopy(learner.net).eval()
        net.load_state_dict(learner.weights())  # what plays and is saved
        with torch.no_grad():  # with duelling the best advantage is the best value
            found, _ = net(torch.eye(self.environment.num_states).to(next(net.parameters())))
        optimal = greedy_policy(optimal_q(self.environment.to_mdp(), self.config.rewards.discount)) > 0
        is_optimal = optimal[np.arange(len(optimal)), found.argmax(dim=1).cpu().numpy()][~self.environment.terminal]
        return [("optimal policy", f"in {is_optimal.sum()} of {len(is_optimal)} states")]


class DqnLearner(ModelFreeLearner):
    """Renews the target network every `dqn.target_steps` steps."""

    loss: DqnLoss

    def __init__(self, net: PolicyValueNet, config: Config) -> None:
        super().__init__(net, config.learner, DqnLoss(net, config))
        self._target_steps = config.dqn.target_steps

    def adopt(self, weights: Mapping[str, Tensor], gathered: Mapping[str, Tensor]) -> None:
        """See `Learner.adopt`; the target network begins with the same weights."""
        super().adopt(weights, gathered)
        self.loss.renew(self.net)

    def step(self, batch: TransitionBatch, progress: float) -> StepResult:
        """See `Learner.step`."""
        result = super().step(batch, progress)
        if self.steps % self._target_steps == 0:
            self.loss.renew(self.net)
        return result


class DqnLoss(nn.Module):
    """The Bellman error against a target network, which is its state."""

    def __init__(self, target: PolicyValueNet, config: Config) -> None:
        super().__init__()
        frozen = copy.deepcopy(target).eval().requires_grad_(False)
        if config.learner.dtype == "float64":
            frozen = frozen.double()
        self._settings = config.dqn
        kind = resolve_kind(target.config, target.observation_shape)
        self._is_bfloat16 = uses_bfloat16(config.learner, kind)
        if self._is_bfloat16:  # what autocast would make of these weights in every step
            for layer in frozen.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.bfloat16()
        self.target = frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._is_float64 = config.learner.dtype == "float64"

    def renew(self, net: nn.Module) -> None:
        """Copy the network's weights into the target's."""
        self.target.load_state_dict(net.state_dict())

    def _values(self, net: nn.Module, observation: Tensor) -> Tensor:
        advantages, value = net(observation)
        q = action_values(advantages, value, self._settings.duelling)
        return q if self._is_float64 else q.float()

    def forward(self, net: nn.Module, batch: TransitionBatch, device: torch.device) -> Loss:
        """See `selfplay.algorithms.learner.LossFunction`."""
        assert isinstance(net, PolicyValueNet)
        settings = self._settings
        action, reward, factor, weight = (
            torch.from_numpy(array).to(device) for array in (batch.action, batch.reward, batch.factor, batch.weight)
        )
        observation, following = (
            torch.from_numpy(array).to(device) for array in (batch.observation, batch.next_observation)
        )
        if self._is_float64:
            observation, following = observation.double(), following.double()
        with torch.autocast(device.type, torch.bfloat16, enabled=self._is_bfloat16):
            q = self._values(net, observation)
            with torch.no_grad():
                next_q = self._values(self.target, following)
                choosing = self._values(net, following) if settings.double else next_q
        with torch.no_grad():
            if batch.next_legal_mask is not None:
                is_legal = torch.from_numpy(batch.next_legal_mask).to(device)
                choosing = choosing.masked_fill(~is_legal, -torch.inf)
            best = choosing.argmax(dim=1, keepdim=True)
            y = reward + factor * next_q.gather(1, best).squeeze(1)
        losses = bellman_error(q, action, y, settings.huber_delta)
        loss = (weight * losses).mean()
        with torch.no_grad():
            error = (y - q.gather(1, action[:, None]).squeeze(1)).abs()
            terms = {"loss": loss, "td_error": error.mean(), "q_value": q.max(dim=1).values.mean()}
        return Loss(loss, {name: term.detach() for name, term in terms.items()}, error.cpu().numpy())
