"""MuZero's network: three functions that are trained together through an unroll of K steps.

    represent (h)  observation      -> latent
    advance   (g)  latent, action   -> next latent, reward
    predict   (f)  latent           -> policy over all actions, value

Source: Schrittwieser et al. 2020, "Mastering Atari, Go, chess and shogi by planning with a learned model". The parts
are those of `nets.models`: boards have latents [C, H, W], everything else has vectors [D]. A latent is scaled to
[0, 1] (appendix G), over all of its numbers.

With chance codes a move has two halves, and g has a code in the place of the action:

    leave         (phi)  latent, action     -> afterstate
    two heads     (psi)  afterstate         -> logits of the M codes, value of the move
    advance       (g)    afterstate, code   -> next latent, reward
    encode        (e)    two observations   -> code of what happened between them, for training alone

Source: Antonoglou et al. 2022, "Planning in stochastic environments with a learned model" (Stochastic MuZero).

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

from nets.blocks import (
    NormedLayer,
    PlaneScaling,
    ResidualBlock,
    RunningNormaliser,
    convolution,
    dense,
    output_layer,
    own_defaults,
)
from nets.board import Board
from nets.config import NetConfig
from nets.models import make_parts, resolve_kind
from nets.real_policy import ActionScale, LeastSpread
from nets.supports import expectation, num_bins
from nets.transforms import symlog

LEAST_RANGE = 1e-5
"""Least difference between the greatest and the least number of a latent, when it is scaled."""

PROJECTION = 128
"""Width of the vectors that are compared for the consistency loss (EfficientZero: 1024, for screens)."""


Actions = Int[Tensor, "B ..."] | Float[Tensor, "B ..."]
"""Actions by number, or of D real numbers each on the last axis."""


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
    chance_codes: int = 0
    """M: codes of what chance does after a move; 0 for a model without chance."""
    board: Board | None = None
    """What a game says of its board; its heads are dense all the same."""
    action_low: tuple[float, ...] = ()
    """Bounds [D] of actions that are real numbers, from here to `action_high`; empty where they are choices."""
    action_high: tuple[float, ...] = ()

    @property
    def policy_outputs(self) -> int:
        """Numbers that the policy head gives: a logit an action, or 2 D for real numbers (`nets.real_policy`)."""
        return 2 * len(self.action_low) or self.num_actions

    def no_actions(self, count: int) -> Actions:
        """Zeros in the shape and the type of `count` actions."""
        if self.action_low:
            return torch.zeros(count, len(self.action_low))
        return torch.zeros(count, dtype=torch.int64)


@dataclass(frozen=True)
class Prediction:
    """What the network says of B latents, in units of reward."""

    latent: Float[Tensor, "B ..."]
    policy_logits: Float[Tensor, "B A"]  # for real actions means and spreads, see `nets.real_policy`
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
    chance: UnrolledChance | None = None  # with chance codes


@dataclass(frozen=True)
class UnrolledChance:
    """What the network says of the K afterstates of an unroll, and the codes that were taken there."""

    value_output: Float[Tensor, "B K outputs"]  # of the moves
    logits: Float[Tensor, "B K M"]  # of the codes, from the afterstates
    codes: Int[Tensor, "B K"]  # from the observations
    shares: Float[Tensor, "B K M"]  # how sure the encoder is of each code; each row sums to 1


class WorldModel(nn.Module):
    """Made by `build_world_model`."""

    def __init__(self, config: NetConfig, sizes: WorldSizes) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        scaling = None if sizes.board is None else sizes.board.scaling
        self.plane_scaling = None
        if scaling is not None and config.input_transform == "none":
            self.plane_scaling = PlaneScaling(*scaling)
        self.normaliser: RunningNormaliser | None = None
        if config.input_transform == "running":
            self.normaliser = RunningNormaliser(sizes.observation_shape)
        self.trunk, _, _ = make_parts(config, sizes.observation_shape)
        plain = replace(config, batch_norm=False, policy="gaussian" if sizes.action_low else "categorical")
        _, new_policy_head, new_value_head = make_parts(plain, sizes.observation_shape)
        outputs = sizes.num_values * (num_bins(sizes.support) if sizes.support else 1)
        self.policy_head = new_policy_head(len(sizes.action_low) or sizes.num_actions)
        self.action_scale: ActionScale | None = None
        if sizes.action_low:
            self.policy_head = nn.Sequential(self.policy_head, LeastSpread())
            self.action_scale = ActionScale(sizes.action_low, sizes.action_high)
        self.value_head = new_value_head(outputs)
        self.reward_head = new_value_head(outputs) if sizes.support else None
        self.seat_head = new_value_head(sizes.num_seats) if sizes.num_seats else None
        is_board = resolve_kind(config, sizes.observation_shape) == "resnet"
        self.latent_shape: tuple[int, ...]
        if is_board:
            self.latent_shape = (config.channels, *sizes.observation_shape[1:])
        else:
            self.latent_shape = (config.hidden,)
        self.dynamics = self._make_dynamics(sizes.chance_codes)
        if sizes.chance_codes:
            self.afterstates = self._make_dynamics()
            self.code_head, self.move_value_head = new_policy_head(sizes.chance_codes), new_value_head(outputs)
            few = replace(plain, blocks=min(config.blocks, sizes.dynamics_blocks))
            planes, *others = sizes.observation_shape
            trunk, new_head, _ = make_parts(few, (2 * planes, *others))
            self.encoder = nn.Sequential(trunk, new_head(sizes.chance_codes))
        self.projector = self.predictor = None
        if sizes.projects:
            self.projector = _two_layers(math.prod(self.latent_shape), PROJECTION)
            self.predictor = _two_layers(PROJECTION, PROJECTION)

    def _make_dynamics(self, codes: int = 0) -> BoardDynamics | FlatDynamics:
        """From latents and actions, or from afterstates and `codes`."""
        sizes = self.sizes
        if len(self.latent_shape) == 1:
            choices = codes or len(sizes.action_low) or sizes.num_actions
            return FlatDynamics(self.latent_shape[0], choices, sizes.dynamics_blocks)
        channels, height, width = self.latent_shape
        planes = None if codes else action_planes(sizes.num_actions, height, width)
        return BoardDynamics(channels, height, width, codes or sizes.num_actions, sizes.dynamics_blocks, planes)

    def represent(self, observation: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """h."""
        return scaled(self.trunk(self._prepared(observation)))

    def _prepared(self, observation: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
        """In the number type of the weights: the twin of an actor may be in bfloat16."""
        dtype = next(self.trunk.parameters()).dtype
        if self.normaliser is not None:  # in float32: what differs between observations may be small beside their mean
            return self.normaliser(observation).to(dtype)
        observation = observation.to(dtype)
        if self.config.input_transform == "symlog":
            return symlog(observation)
        if self.config.input_transform == "pixels":
            return observation * (1.0 / 255.0)
        return observation if self.plane_scaling is None else self.plane_scaling(observation)

    def advance(self, latent: Float[Tensor, "B ..."], choice: Actions) -> Float[Tensor, "B ..."]:
        """g, without its reward, which `reward_head` reads from the latent that this returns.

        `choice` is an action in a latent; with chance codes it is a code in an afterstate.
        """
        if self.action_scale is not None:
            return scaled(self.dynamics.mixed(latent, self.action_scale(choice).to(latent.dtype)))
        return scaled(self.dynamics(latent, choice))

    def leave(self, latent: Float[Tensor, "B ..."], action: Int[Tensor, " B"]) -> Float[Tensor, "B ..."]:
        """phi: what an action makes of a latent, before chance has its turn."""
        return scaled(self.afterstates(latent, action))

    def encode(self, observations: Shaped[Tensor, "B depths ..."]) -> Float[Tensor, "B depths-1 M"]:
        """Logits of the codes for what happened between each observation and the next one."""
        count, depths = observations.shape[:2]
        prepared = self._prepared(observations.flatten(0, 1)).unflatten(0, (count, depths))
        pairs = torch.cat([prepared[:, :-1], prepared[:, 1:]], dim=2)
        return self.encoder(pairs.flatten(0, 1)).unflatten(0, (count, depths - 1))

    def initial(self, observation: Shaped[Tensor, "B ..."]) -> Prediction:
        """h and f, for a root."""
        latent = self.represent(observation)
        return Prediction(latent, self.policy_head(latent), self.number(self.value_head(latent)))

    def departure(
        self, latent: Float[Tensor, "B ..."], action: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B M"]]:
        """phi and the codes' logits of psi, for a step of the search: the afterstate, and what may happen to it."""
        afterstate = self.leave(latent, action)
        return afterstate, self.code_head(afterstate)

    def recurrent(self, latent: Float[Tensor, "B ..."], choice: Actions) -> Prediction:
        """g and f, for a step of the search; `choice` as in `advance`."""
        following = self.advance(latent, choice)
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

    def unroll(
        self,
        observation: Shaped[Tensor, "B ..."],
        actions: Actions,
        following: Shaped[Tensor, "B K ..."] | None = None,
    ) -> Unrolled:
        """K steps from the latent of an observation, for training; `actions` [B, K], or [B, K, D] for real numbers.

        On its way into the next step the gradient of a latent is halved, that of the first is not (pseudocode of the
        paper, `scale_gradient`). The heads are asked once, for all depths together.

        With chance codes, `following` are the observations of depth 1 to K. The encoder's likeliest code is taken, and
        the gradient of g by the code goes on to the encoder's shares (straight through, Bengio et al. 2013).
        """
        latents, afterstates = [self.represent(observation)], []
        codes, shares, given = self._codes(observation, following)
        for k in range(actions.shape[1]):
            source = latents[-1] if k == 0 else _half_gradient(latents[-1])
            if given is None:
                latents.append(self.advance(source, actions[:, k]))
            else:
                afterstates.append(self.leave(source, actions[:, k]))
                latents.append(scaled(self.dynamics.mixed(afterstates[-1], given[:, k])))
        every, later = torch.cat(latents), torch.cat(latents[1:])

        def by_sample(output: Tensor) -> Tensor:
            return output.unflatten(0, (-1, len(observation))).transpose(0, 1)

        chance = None
        if codes is not None and shares is not None:
            left = torch.cat(afterstates)
            chance = UnrolledChance(
                by_sample(self.move_value_head(left)), by_sample(self.code_head(left)), codes, shares
            )
        return Unrolled(
            by_sample(self.policy_head(every)),
            by_sample(self.value_head(every)),
            by_sample(self.reward_head(later)) if self.reward_head is not None else None,
            by_sample(self.seat_head(later)) if self.seat_head is not None else None,
            by_sample(every),
            chance,
        )

    def _codes(
        self, observation: Shaped[Tensor, "B ..."], following: Shaped[Tensor, "B K ..."] | None
    ) -> tuple[Int[Tensor, "B K"] | None, Float[Tensor, "B K M"] | None, Float[Tensor, "B K M"] | None]:
        """Codes, the encoder's shares, and what g is given: the one-hot codes with the gradient of the shares."""
        if not self.sizes.chance_codes:
            return None, None, None
        assert following is not None
        shares = torch.softmax(self.encode(torch.cat([observation[:, None], following], dim=1)).float(), dim=-1)
        codes = shares.argmax(dim=-1)
        one_hot = functional.one_hot(codes, self.sizes.chance_codes).to(shares.dtype)
        return codes, shares, one_hot + shares - shares.detach()

    def similarity(self, latent: Float[Tensor, "B ..."], seen: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
        """Cosine of a latent that steps led to and of one that was `seen`, which gets no gradient (SimSiam, Chen and He
        2021; EfficientZero, Ye et al. 2021)."""
        assert self.projector is not None and self.predictor is not None
        with torch.no_grad():
            target = self.projector(seen.flatten(1))
        return functional.cosine_similarity(self.predictor(self.projector(latent.flatten(1))), target, dim=-1)


class FlatDynamics(nn.Module):
    """Latents [D]: residual layers that see the choice, an action or a code, as a one-hot vector."""

    def __init__(self, width: int, num_choices: int, blocks: int) -> None:
        super().__init__()
        self.num_choices = num_choices
        self.first = nn.ModuleList(dense(width + num_choices, width, False) for _ in range(blocks))
        self.second = nn.ModuleList(_zeroed(dense(width, width, False)) for _ in range(blocks))

    def forward(self, latent: Float[Tensor, "B D"], choice: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        return self.mixed(latent, functional.one_hot(choice.long(), self.num_choices).to(latent.dtype))

    def mixed(self, latent: Float[Tensor, "B D"], chosen: Float[Tensor, "B choices"]) -> Float[Tensor, "B D"]:
        """The same for one-hot choices, through which a gradient goes, or for real numbers in their place."""
        for first, second in zip(self.first, self.second, strict=True):
            latent = latent + second(torch.relu(first(torch.cat([latent, chosen], dim=-1))))
        return latent


class BoardDynamics(nn.Module):
    """Latents [C, H, W]: a convolution that sees the choice, an action or a code, as a plane; then residual blocks."""

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        num_choices: int,
        blocks: int,
        planes: Float[Tensor, "choices H W"] | None,
    ) -> None:
        """`planes` of the choices; None to learn them."""
        super().__init__()
        self.size = (height, width)
        if planes is None:
            self.planes = nn.Embedding(num_choices, height * width)
            nn.init.uniform_(self.planes.weight)
        else:
            self.planes = nn.Embedding.from_pretrained(planes.flatten(1), freeze=True)
        self.entry = convolution(channels, channels, 3, False)
        self.action_entry = convolution(1, channels, 3, False)  # apart: an odd number of channels is slow
        self.blocks = nn.Sequential(*(ResidualBlock(channels, False) for _ in range(blocks)))

    def forward(self, latent: Float[Tensor, "B C H W"], choice: Int[Tensor, " B"]) -> Float[Tensor, "B C H W"]:
        return self._moved(latent, self.action_planes(choice, latent.dtype))

    def mixed(self, latent: Float[Tensor, "B C H W"], chosen: Float[Tensor, "B choices"]) -> Float[Tensor, "B C H W"]:
        """The same for one-hot choices, through which a gradient goes."""
        planes = (chosen @ self.planes.weight).unflatten(-1, self.size).unsqueeze(1)
        return self._moved(latent, planes.to(latent.dtype))

    def _moved(self, latent: Float[Tensor, "B C H W"], plane: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B C H W"]:
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
    with own_defaults(), torch.random.fork_rng(devices=[]):
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
