"""Gradient descent: batches in, weights out.

In the flow: the driver draws batches from the replay and calls `step`; actors and evaluators get `weights` (averaged).
What is minimised comes from the algorithm as a function, so DQN or REINFORCE use the same learner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nets.blocks import own_defaults
from selfplay.algorithms.precision import choose_device
from selfplay.config.run import LearnerConfig
from selfplay.errors import UserError


@dataclass(frozen=True)
class Loss:
    """What a batch says of the network."""

    total: Float[Tensor, ""]
    """The number to minimise, with its gradient."""
    terms: Mapping[str, Float[Tensor, ""]]
    """Numbers to report, by name, detached."""
    errors: Float[np.ndarray, " B"] | None = None
    """Absolute error of each sample, for a replay that draws by it; None where the loss knows none."""


LossFunction = Callable[[nn.Module, Any, torch.device], Loss]
"""(net, batch, device) -> `Loss`. One with a state of its own is an `nn.Module`, which is saved with the learner."""


@dataclass(frozen=True)
class StepResult:
    """The result of a step of the learner."""

    terms: Mapping[str, float]
    """The terms of the loss, `grad_norm` and `learning_rate`; empty for a step that was left out."""
    errors: Float[np.ndarray, " B"] | None
    """`Loss.errors` before the step; None for a step that was left out."""
    remarks: tuple[str, ...] = ()
    """Lines for a person about what was learned from; each is shown once."""

    @property
    def is_left_out(self) -> bool:
        """The loss or its gradient was not finite, and no weight has changed."""
        return not self.terms


RMSPROP_DECAY = 0.99
"""Decay of the mean of squared gradients in RMSprop (Mnih et al. 2016)."""

MOST_BAD_STEPS = 8
"""Number of losses in a row, all of them not finite, that stops the run."""


def learning_rate(config: LearnerConfig, step: int, progress: float) -> float:
    """The learning rate of a step, `progress` in [0, 1] of the budget."""
    last = config.final_learning_rate
    if config.schedule == "cosine":
        share = last + (1.0 - last) * 0.5 * (1.0 + math.cos(math.pi * progress))
    elif config.schedule == "linear":
        share = 1.0 + (last - 1.0) * progress
    else:
        share = 1.0
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    return config.learning_rate * share * warmup


def parameter_groups(net: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """The parameters by name: those that weight decay makes smaller, and biases and normalisation, which it spares.

    Checkpoints that number the parameters of an optimiser's state have this order.
    """
    named = list(net.named_parameters())
    return {name: p for name, p in named if p.ndim > 1}, {name: p for name, p in named if p.ndim <= 1}


def make_optimizer(net: nn.Module, config: LearnerConfig) -> torch.optim.Optimizer:
    """The optimiser of the settings; weight decay spares biases and normalisation."""
    decayed, spared = (list(group.values()) for group in parameter_groups(net))
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=config.learning_rate, alpha=RMSPROP_DECAY, eps=config.adam_epsilon)
    return torch.optim.AdamW(groups, lr=config.learning_rate, eps=config.adam_epsilon, fused=True)


class Learner:
    """A network, its optimiser, and the running average of its weights.

    Subclasses gather more on the way: a target network, the moments of observations.
    """

    def __init__(self, net: nn.Module, config: LearnerConfig, loss: LossFunction) -> None:
        self.config, self.loss = config, loss
        self.device = choose_device(config.device)
        if isinstance(loss, nn.Module):
            loss.to(self.device)
        if config.dtype == "float64":
            net = net.double()
        self.net = net.to(self.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.net, config)
        self.average = {name: tensor.detach().clone() for name, tensor in self.net.state_dict().items()}
        self.steps = 0
        self.bad_steps = 0
        self._bad_in_a_row = 0

    def observe(self, record: Any) -> None:
        """Take in what was played, before the replay does. Most learners have no use for it."""

    def step(self, batch: Any, progress: float) -> StepResult:
        """One update. A loss or gradient that is not finite changes no weight and is counted.

        `progress` in [0, 1] of the budget. Raises UserError after MOST_BAD_STEPS bad ones.
        """
        rate = learning_rate(self.config, self.steps, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with own_defaults():
                loss = self.loss(self.net, batch, self.device)
                loss.total.backward()
        except torch.cuda.OutOfMemoryError:
            raise UserError(
                f"learner.batch_size: {len(batch)} positions are too many for the memory of the GPU at step "
                f"{self.steps}; use fewer, or a smaller network, and resume"
            ) from None
        limit = self.config.gradient_clip if self.config.gradient_clip > 0 else math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), limit)
        self.steps += 1
        if not (math.isfinite(float(loss.total.detach())) and math.isfinite(float(norm))):
            self._count_bad_step()
            return StepResult({}, None)
        self._bad_in_a_row = 0
        self.optimizer.step()
        self._update_average()
        terms = {name: float(term) for name, term in loss.terms.items()}
        return StepResult({**terms, "grad_norm": float(norm), "learning_rate": rate}, loss.errors)

    @property
    def is_finite(self) -> bool:
        """False once a weight is infinite or no number: a step from a finite gradient can be too long."""
        averages = self.average.values() if self.config.ema_decay > 0 else ()
        return all(bool(torch.isfinite(tensor).all()) for tensor in (*self.net.state_dict().values(), *averages))

    @property
    def checkpoint_bytes(self) -> int:
        """Size of a checkpoint, about: the weights, their average, and two moments for the optimiser."""
        return 4 * sum(tensor.nbytes for tensor in self.net.state_dict().values())

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights (the last ones with `ema_decay` 0), on the CPU: what is saved and evaluated."""
        return _copies(self.average if self.config.ema_decay > 0 else self.net.state_dict())

    def raw_weights(self) -> dict[str, Tensor]:
        """The weights that the optimiser works on, on the CPU."""
        return _copies(self.net.state_dict())

    def acting_weights(self) -> dict[str, Tensor]:
        """What the actors play with: the averaged weights."""
        return self.weights()

    def prepare_publication(self) -> None:
        """Change what may change only when the actors get new weights. Nothing in most learners."""

    def adopt(self, weights: Mapping[str, Tensor], gathered: Mapping[str, Tensor]) -> None:
        """Begin with a network that another run has trained: its averaged weights become the raw ones and the average.

        `weights` have the names and shapes of this network. `gathered` is what the learner of that run gathered
        besides, by the names of its `state_dict`; it may lack anything. Step count and optimiser stay new.
        """
        self.net.load_state_dict(weights)
        self.average = {name: tensor.detach().clone() for name, tensor in self.net.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What the learner needs to go on, copied to the CPU.

        `steps`; the weights `raw` and `average`; what `optimizer` and `loss` have gathered. Tensors that a subclass
        has gathered besides stand under names of their own.
        """
        loss = self.loss.state_dict() if isinstance(self.loss, nn.Module) else {}
        return {
            "steps": self.steps,
            "raw": self.raw_weights(),
            "average": self.weights(),
            "optimizer": self._optimizer_state(),
            "loss": _copies(loss),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises UserError for another optimiser or another network."""
        own = self._own_optimizer_state(state["optimizer"])  # refuses before anything is changed
        self.net.load_state_dict(state["raw"])
        dtypes = {name: tensor.dtype for name, tensor in self.net.state_dict().items()}  # of the settings
        self.average = {name: tensor.to(self.device, dtypes[name]) for name, tensor in state["average"].items()}
        self.optimizer.load_state_dict(own)
        self.steps = state["steps"]
        if isinstance(self.loss, nn.Module):
            self.loss.load_state_dict(state["loss"])

    def _optimizer_state(self) -> dict[str, Any]:
        """What the optimiser has gathered, by name of the parameter, and which optimiser it is.

        Its settings are no part of it: a run that goes on obeys those that it is given.
        """
        state = self.optimizer.state_dict()["state"]
        gathered = {name: state[i] for i, name in enumerate(self._parameter_names()) if i in state}
        return {"name": self.config.optimizer, "parameters": gathered}

    def _own_optimizer_state(self, saved: dict[str, Any]) -> dict[str, Any]:
        """What `_optimizer_state` gave (torch's `state_dict` in runs from before it), with the settings of this run.

        Raises UserError for another optimiser or another network.
        """
        names = self._parameter_names()
        if "param_groups" in saved:
            (group, *_), state = saved["param_groups"], saved["state"]
            kind = "adamw" if "betas" in group else "rmsprop" if "alpha" in group else "sgd"
            gathered = {names[i]: content for i, content in state.items() if i < len(names)}
        else:
            kind, gathered = saved["name"], saved["parameters"]
        if kind != self.config.optimizer:
            raise UserError(
                f"learner.optimizer: the checkpoint has the state of {kind}, {self.config.optimizer} cannot go on from "
                f"it; use {kind}, or start a new run"
            )
        if unknown := set(gathered) - set(names):
            raise UserError(f"the optimiser state of the checkpoint is of another network: it has {min(unknown)}")
        groups = self.optimizer.state_dict()["param_groups"]
        return {"state": {names.index(name): content for name, content in gathered.items()}, "param_groups": groups}

    def _parameter_names(self) -> list[str]:
        """The parameters in the order in which the optimiser numbers them."""
        decayed, spared = parameter_groups(self.net)
        return [*decayed, *spared]

    def _update_average(self) -> None:
        """Exponential moving average, short while there are few steps (as in Adam's bias correction)."""
        if self.config.ema_decay == 0:
            return
        decay = min(self.config.ema_decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, tensor in self.net.state_dict().items():
                average = self.average[name]
                if average.is_floating_point():
                    average.lerp_(tensor, 1.0 - decay)
                else:
                    average.copy_(tensor)

    def _count_bad_step(self) -> None:
        self.bad_steps += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= MOST_BAD_STEPS:
            raise UserError(
                f"learner: {MOST_BAD_STEPS} losses in a row were not finite at step {self.steps}; "
                "lower learner.learning_rate, or set rewards.clip where rewards are huge, "
                "and resume from the last checkpoint"
            )


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
