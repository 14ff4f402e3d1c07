"""MuZero's network: three functions that are trained together through an unroll of K steps.

    represent (h)  observation      -> latent
    advance   (g)  latent, action   -> next latent, reward
    predict   (f)  latent           -> policy over all actions, value

Source: Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model". The parts
are those of `nets.models`: boards have latents [C, H, W], everything else has vectors [D]. A latent is scaled to
[0, 1] (appendix G), over all of its numbers.

Departures. Dynamics and heads have no batch normalisation, for its statistics would mix depths of the unroll; the
representation has it where the settings say so. A game that only has a result has no reward and a value through tanh
(in the paper too). Other rewards and values are distributions over a support (`nets.supports`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from nets.blocks import NormedLayer, PlaneScaling, ResidualBlock, convolution, dense, output_layer
from nets.board import Board
from nets.config import NetConfig
from nets.models import make_parts, resolve_kind
from nets.supports import expectation, num_bins
from nets.transforms import symlog

LEAST_RANGE = 1e-5
"""Least difference between the greatest and the least number of a latent, when it is scaled."""

PROJECTION = 128
"""Width of the vectors that are compared for the consistency loss (EfficientZero: 1024, for screens)."""


@dataclass(frozen=True)
class WorldSizes:
    """What a world model needs to know of a game or an environment."""

    observation_shape: tuple[int, ...]
    num_actions: int
    num_values: int
    """V, as in `search.perspective`."""
    support: int = 0
    """S of the distributions of rewards and values; 0 for a game that only has a result in [-1, 1]."""
    num_seats: int = 0
    """P where the network has to say who moves next; 0 where players take turns, or are alone."""
    dynamics_blocks: int = 1
    """Residual blocks of the dynamics."""
    projects: bool = False
    """With the layers of the consistency loss."""
    board: Board | None = None
    """What a game says of its board; its heads are dense all the same."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of B latents, in units of reward."""

    latent: Float[Tensor, "B ..."]
    policy_logits: Float[Tensor, "B A"]
    value: Float[Tensor, "B V"]
    reward: Float[Tensor, "B V"] | None = None  # for the player who made the step; None without rewards
    seat_logits: Float[Tensor, "B P"] | None = None  # of the number of seats from the last mover to the next


@dataclass(frozen=True)
class Unrolled:
    """The outputs of an unroll of K steps, before any softmax or tanh."""

    policy_logits: Float[Tensor, "B depths A"]  # K + 1 of them, that of the observation first
    value_output: Float[Tensor, "B depths outputs"]
    reward_output: Float[Tensor, "B depths-1 outputs"] | None  # of the steps
    seat_logits: Float[Tensor, "B depths-1 P"] | None
    latents: Float[Tensor, "B depths ..."]


class WorldModel(nn.Module):
    """Made by `build_world_model`."""

    def __init__(self, config: NetConfig, sizes: WorldSizes) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        scaling = None if sizes.board is None else sizes.board.scaling
        self.plane_scaling = None
        if scaling is not None and config.input_transform == "none":
            self.plane_scaling = PlaneScaling(*scaling)
        self.trunk, _, _ = make_parts(config, sizes.observation_shape)
        plain = replace(config, batch_norm=False)
        _, new_policy_head, new_value_head = make_parts(plain, sizes.observation_shape)
        outputs = sizes.num_values * (num_bins(sizes.support) if sizes.support else 1)
        self.policy_head, self.value_head = new_policy_head(sizes.num_actions), new_value_head(outputs)
        self.reward_head = new_value_head(outputs) if sizes.support else None
        self.seat_head = new_value_head(sizes.num_seats) if sizes.num_seats else None
        is_board = resolve_kind(config, sizes.observation_shape) == "resnet"
        self.latent_shape: tuple[int, ...]
        self.dynamics: nn.Module
        if is_board:
            _, height, width = sizes.observation_shape
            self.latent_shape = (config.channels, height, width)
            self.dynamics = BoardDynamics(config.channels, height, width, sizes.num_actions, sizes.dynamics_blocks)
        else:
            self.latent_shape = (config.hidden,)
            self.dynamics = FlatDynamics(config.hidden, sizes.num_actions, sizes.dynamics_blocks)
        self.projector = self.predictor = None
        if sizes.projects:
            self.projector = _two_layers(math.prod(self.latent_shape), PROJECTION)
            self.predictor = _two_layers(PROJECTION, PROJECTION)

    def represent(self, observation: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """h."""
        if self.config.input_transform == "symlog":
            observation = symlog(observation)
        elif self.config.input_transform == "pixels":
            dtype = next(self.trunk.parameters()).dtype  # the twin of an actor may be in bfloat16
            observation = observation.to(dtype) * (1.0 / 255.0)
        elif self.plane_scaling is not None:
            observation = self.plane_scaling(observation)
        return scaled(self.trunk(observation))

    def advance(self, latent: Float[Tensor, "B ..."], action: Int[Tensor, " B"]) -> Float[Tensor, "B ..."]:
        """g, without its reward, which `reward_head` reads from the latent that this returns."""
        return scaled(self.dynamics(latent, action))

    def initial(self, observation: Shaped[Tensor, "B ..."]) -> Prediction:
        """h and f, for a root."""
        latent = self.represent(observation)
        return Prediction(latent, self.policy_head(latent), self.number(self.value_head(latent)))

    def recurrent(self, latent: Float[Tensor, "B ..."], action: Int[Tensor, " B"]) -> Prediction:
        """g and f, for a step of the search."""
        following = self.advance(latent, action)
        return Prediction(
            following,
            self.policy_head(following),
            self.number(self.value_head(following)),
            self.number(self.reward_head(following)) if self.reward_head is not None else None,
            self.seat_head(following) if self.seat_head is not None else None,
        )

    def number(self, output: Float[Tensor, "B outputs"]) -> Float[Tensor, "B V"]:
        """Values or rewards from the outputs of a head, in units of reward."""
        output = output.float()  # three digits are too few for the inverse of h
        if self.sizes.support == 0:
            return torch.tanh(output)
        return expectation(self.distribution(output), self.sizes.support)

    def distribution(self, output: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape V bins"]:
        """Outputs of a head as logits of the bins."""
        return output.unflatten(-1, (self.sizes.num_values, num_bins(self.sizes.support)))

    def unroll(self, observation: Shaped[Tensor, "B ..."], actions: Int[Tensor, "B K"]) -> Unrolled:
        """K steps from the latent of an observation, for training.

        On its way into the next step the gradient of a latent is halved, that of the first is not (pseudocode of the
        paper, `scale_gradient`). The heads are asked once, for all depths together.
        """
        latents = [self.represent(observation)]
        for k in range(actions.shape[1]):
            source = latents[-1] if k == 0 else _half_gradient(latents[-1])
            latents.append(self.advance(source, actions[:, k]))
        every, later = torch.cat(latents), torch.cat(latents[1:])

        def by_sample(output: Tensor) -> Tensor:
            return output.unflatten(0, (-1, len(observation))).transpose(0, 1)

        return Unrolled(
            by_sample(self.policy_head(every)),
            by_sample(self.value_head(every)),
            by_sample(self.reward_head(later)) if self.reward_head is not None else None,
            by_sample(self.seat_head(later)) if self.seat_head is not None else None,
            by_sample(every),
        )

    def similarity(self, latent: Float[Tensor, "B ..."], seen: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
        """Cosine of a latent that steps led to and of one that was `seen`, which gets no gradient (SimSiam, Chen and He
        2021; EfficientZero, Ye et al. 2021)."""
        assert self.projector is not None and self.predictor is not None
        with torch.no_grad():
            target = self.projector(seen.flatten(1))
        return functional.cosine_similarity(self.predictor(self.projector(latent.flatten(1))), target, dim=-1)


class FlatDynamics(nn.Module):
    """Latents [D]: residual layers that see the action as a one-hot vector."""

    def __init__(self, width: int, num_actions: int, blocks: int) -> None:
        super().__init__()
        self.num_actions = num_actions
        self.first = nn.ModuleList(dense(width + num_actions, width, False) for _ in range(blocks))
        self.second = nn.ModuleList(_zeroed(dense(width, width, False)) for _ in range(blocks))

    def forward(self, latent: Float[Tensor, "B D"], action: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        chosen = functional.one_hot(action.long(), self.num_actions).to(latent.dtype)
        for first, second in zip(self.first, self.second, strict=True):
            latent = latent + second(torch.relu(first(torch.cat([latent, chosen], dim=-1))))
        return latent


class BoardDynamics(nn.Module):
    """Latents [C, H, W]: a convolution that sees the action as a plane, then residual blocks."""

    def __init__(self, channels: int, height: int, width: int, num_actions: int, blocks: int) -> None:
        super().__init__()
        planes = action_planes(num_actions, height, width)
        self.size = (height, width)
        if planes is None:
            self.planes = nn.Embedding(num_actions, height * width)
            nn.init.uniform_(self.planes.weight)
        else:
            self.planes = nn.Embedding.from_pretrained(planes.flatten(1), freeze=True)
        self.entry = convolution(channels, channels, 3, False)
        self.action_entry = convolution(1, channels, 3, False)  # apart: an odd number of channels is slow
        self.blocks = nn.Sequential(*(ResidualBlock(channels, False) for _ in range(blocks)))

    def forward(self, latent: Float[Tensor, "B C H W"], action: Int[Tensor, " B"]) -> Float[Tensor, "B C H W"]:
        plane = self.action_planes(action, latent.dtype)
        return self.blocks(torch.relu(latent + self.entry(latent) + self.action_entry(plane)))

    def action_planes(self, action: Int[Tensor, " B"], dtype: torch.dtype) -> Float[Tensor, "B 1 H W"]:
        """The planes of actions."""
        return self.planes(action.long()).unflatten(-1, self.size).unsqueeze(1).to(dtype)


def action_planes(num_actions: int, height: int, width: int) -> Float[Tensor, "A H W"] | None:
    """Actions as planes where their numbers say where they are on the board: cells, cells and a pass, or columns.

    A pass is a plane of ones. None for all other games: their planes are learned.
    """
    cells = height * width
    if num_actions in (cells, cells + 1):
        planes = torch.eye(cells).view(cells, height, width)
        return torch.cat([planes, torch.ones(num_actions - cells, height, width)])
    if num_actions == width:
        return torch.eye(width).view(width, 1, width).expand(width, height, width).contiguous()
    return None


def build_world_model(config: NetConfig, sizes: WorldSizes, seed: int = 0) -> WorldModel:
    """A world model with initial weights, on the CPU, in float32 and training mode.

    The weights depend on `seed` alone, and torch's global generator is left as it was. Raises ValueError where
    `config.kind` does not fit the observation.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return WorldModel(config, sizes)


def scaled(latent: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
    """Each latent of a batch within [0, 1]: less its least number, divided by its range."""
    dims = tuple(range(1, latent.ndim))
    low, high = latent.amin(dim=dims, keepdim=True), latent.amax(dim=dims, keepdim=True)
    return (latent - low) / (high - low).clamp(min=LEAST_RANGE)


def _half_gradient(x: Tensor) -> Tensor:
    return 0.5 * x + 0.5 * x.detach()


def _zeroed(layer: NormedLayer) -> NormedLayer:
    layer.zero()
    return layer


def _two_layers(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(dense(inputs, PROJECTION, False), nn.ReLU(), output_layer(PROJECTION, outputs))
