"""Policy gradients: REINFORCE, A2C and PPO as choices of estimator and loss. Everything else is shared.

In the flow: see `selfplay.algorithms.algorithm`. `reinforce` learns once from whole episodes by their returns,
`actor_critic` from rollouts of a few steps by generalised advantages, with PPO's clipping where `actor_critic.clip`
asks for it.

Sources: Williams 1992; Mnih et al. 2016 (A3C, of which A2C is the synchronous form); Schulman et al. 2016 and 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from games.soundness import LARGEST
from nets.config import NetConfig
from nets.inference import Inference
from nets.losses import clipped_policy_gradient, policy_gradient, value_mse
from nets.models import PolicyValueNet, resolve_kind
from nets.policies import POLICIES
from nets.transforms import transform_value
from selfplay.algorithms.learner import Learner, LossFunction
from selfplay.algorithms.model_free import ModelFree, clipped
from selfplay.algorithms.networks import environment_net_config, make_behaviour
from selfplay.algorithms.precision import uses_bfloat16
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.rollouts import Experience, Rollout
from selfplay.replay.on_policy import RolloutBatch, RolloutMemory, generalised_advantages, monte_carlo_returns
from selfplay.stats.moments import RunningMoments
from selfplay.system.preflight import PlayNeed

REWARD_LIMIT = 10.0
"""Normalised rewards are cut to this size, as implementations of PPO do."""


class ActorCritic(ModelFree):
    """See `selfplay.algorithms.algorithm.Algorithm`; for `reinforce` and `actor_critic`."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.is_reinforce = config.algorithm == "reinforce"
        self.min_positions = 1  # a rollout is learned from as soon as it is there
        if self.is_reinforce:
            self.sample_reuse = 1.0  # a second step would follow another policy than the one that acted
            if config.actor_critic.clip > 0:
                raise UserError("actor_critic.clip: reinforce learns from an episode once, there is no ratio to clip")
        elif config.replay.sample_reuse != int(config.replay.sample_reuse):
            raise UserError(
                f"replay.sample_reuse: {config.replay.sample_reuse:g} is no number of passes over a rollout"
            )
        self._observations = RunningMoments(self.environment.observation_shape)
        self._returns = RunningMoments()
        self._running_return: dict[int, np.ndarray] = {}  # by the rollout's source

    @property
    def first_step(self) -> Sequence[PlayNeed]:
        """See `Algorithm.first_step`: reinforce waits for an episode of every environment, which may be one step."""
        if not self.is_reinforce:
            return super().first_step
        episodes = self.config.actors.games_per_actor
        return [PlayNeed("an episode of each of actors.games_per_actor", episodes, episodes)]

    def make_loss(self) -> LossFunction:
        """See `Algorithm.make_loss`."""
        net = environment_net_config(self.config, self.environment)
        return make_loss(self.config, net, resolve_kind(net, self.environment.observation_shape))

    def make_memory(self) -> RolloutMemory:
        """See `Algorithm.make_memory`."""
        settings, discount = self.config.actor_critic, self.config.rewards.discount
        if self.is_reinforce:
            estimator = monte_carlo_returns(discount, settings.reward_to_go, settings.baseline)
        else:
            estimator = generalised_advantages(discount, settings.gae_lambda)
        # As often as actors wait for: where they play on after fewer, rollouts would come in faster than they go.
        passes = math.ceil(self.config.replay.least_reuse or self.sample_reuse)
        return RolloutMemory(estimator, self._take, passes)

    def make_experience(
        self, inference: Inference, rng: np.random.Generator, positions: int, endless: bool
    ) -> Experience:
        """See `ModelFree.make_experience`."""
        actors = self.config.actors
        steps = None if self.is_reinforce else actors.rollout_steps
        behaviour = make_behaviour(self.environment, is_greedy=False)
        return Experience(
            self.environment, inference, behaviour, actors.games_per_actor, steps, rng, endless, threads=self.threads
        )

    def before_publish(self, learner: Learner, memory: Any) -> None:
        """The moments of the observations seen so far become those that the network normalises by.

        Not before: what has been acted on and what is learned from must be the same function of the observation.
        """
        normaliser = learner.net.normaliser
        if isinstance(normaliser, nn.Module) and self._observations.count > 1:
            for tensors in (learner.net.state_dict(), learner.average):
                tensors["normaliser.mean"].copy_(torch.from_numpy(self._observations.mean))
                tensors["normaliser.variance"].copy_(torch.from_numpy(np.minimum(self._observations.variance, LARGEST)))

    def state(self) -> dict[str, Tensor]:
        """See `Algorithm.state`: the moments of observations and returns."""
        moments = {"observations": self._observations, "returns": self._returns}
        state = {f"{of}.{name}": torch.from_numpy(a) for of, m in moments.items() for name, a in m.state().items()}
        return {**state, "returns.settings": self._settings_of_returns()}

    def restore_state(self, state: dict[str, Tensor]) -> None:
        """See `Algorithm.restore_state`."""
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        if arrays:
            self._observations = RunningMoments.from_state(arrays, "observations.")
            settings = self._settings_of_returns()
            if torch.equal(state.get("returns.settings", settings), settings):  # runs from before this had none
                self._returns = RunningMoments.from_state(arrays, "returns.")

    def _settings_of_returns(self) -> Tensor:
        """The settings that decide how large returns are: what was gathered under others says nothing of them."""
        return torch.tensor([self.config.rewards.discount, self.config.rewards.clip], dtype=torch.float64)

    def _take(self, rollout: Rollout) -> np.ndarray:
        """The rewards of a rollout as they are learned from; observations are counted on the way."""
        if environment_net_config(self.config, self.environment).input_transform == "running":
            self._observations.add(rollout.observation.reshape(-1, *self.environment.observation_shape))
        reward = clipped(rollout.reward, self.config.rewards.clip)
        return self._normalised(rollout, reward) if self.config.rewards.normalise else reward

    def _normalised(self, rollout: Rollout, reward: np.ndarray) -> np.ndarray:
        """Rewards over the deviation of the running discounted return (Engstrom et al. 2020, section 3)."""
        running = self._running_return.get(rollout.source)
        if running is None or rollout.begins:
            running = np.zeros(reward.shape[1])
        sums = np.empty(reward.shape)
        for t in range(len(reward)):
            sums[t] = running = self.config.rewards.discount * running + reward[t]
            running = np.where(rollout.ended[t], 0.0, running)
        self._running_return[rollout.source] = running
        self._returns.add(sums.ravel())
        return np.clip(reward / np.sqrt(self._returns.variance + 1e-8), -REWARD_LIMIT, REWARD_LIMIT)


def make_loss(config: Config, net_settings: NetConfig, kind: str) -> LossFunction:
    """The policy gradient, the squared error of the value, and the entropy, for a network as `net_config` has it.

    For `reinforce` the mean over steps is turned into the textbook's mean over episodes of the sum over steps.
    """
    settings, learner, policy_class = config.actor_critic, config.learner, POLICIES[net_settings.policy]
    is_reinforce = config.algorithm == "reinforce"
    transform, scale = net_settings.value_transform, net_settings.output_scale
    is_bfloat16 = uses_bfloat16(learner, kind)

    def loss(net: nn.Module, batch: RolloutBatch, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(net, PolicyValueNet)
        legal_mask = None if batch.legal_mask is None else torch.from_numpy(batch.legal_mask).to(device)
        action, old_log_probability, advantage, target = (
            torch.from_numpy(array).to(device)
            for array in (batch.action, batch.log_probability, batch.advantage, batch.target)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            output, value = net(torch.from_numpy(batch.observation).to(device))
        policy = policy_class(output.float(), legal_mask)
        if settings.normalise_advantages and len(advantage) > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_probability = policy.log_probability(action)
        if settings.clip > 0:
            gains = clipped_policy_gradient(log_probability, old_log_probability, advantage, settings.clip)
        else:
            gains = policy_gradient(log_probability, advantage)
        policy_loss = gains.mean() * (batch.episode_length if is_reinforce else 1.0)
        wanted = transform_value(target[:, None], transform)
        value_loss = value_mse(value.float() / scale, wanted / scale).mean()
        entropy = policy.entropy().mean()
        total = policy_loss - settings.entropy_weight * entropy
        if not is_reinforce or settings.baseline:
            total = total + learner.value_weight * value_loss
        with torch.no_grad():
            log_ratio = log_probability - old_log_probability
            terms = {
                "loss": total,
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "policy_entropy": entropy,
                "policy_kl": (torch.expm1(log_ratio) - log_ratio).mean(),  # from the policy that acted; >= 0
            }
            if settings.clip > 0:
                terms["clipped_share"] = (torch.expm1(log_ratio).abs() > settings.clip).float().mean()
        return total, {name: term.detach() for name, term in terms.items()}

    return loss
