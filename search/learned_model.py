"""A learned model for the search: latents behind the interface of `search.model`, with two functions of a network.

Only the root is a real position. It lists its legal actions. Below it nobody knows the rules: a node lists the actions
that the network thinks likely, the players take turns (or the network says who moves), and nothing ends.

A model with chance codes makes a move in two steps. The first leads to an afterstate, which is a chance node of the
tree; its outcomes are codes that the network thinks likely. The second leads on to where a player moves.

Sources: Schrittwieser et al. 2020 (MuZero), appendices A and B; Antonoglou et al. 2022 (Stochastic MuZero). The cut of
unlikely actions is ours: an action that was never legal has no visits to be wrong about, and its edge would cost
memory.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int, Shaped

from games import CHANCE, Game, StatePool
from search.evaluators import Evaluation, EvaluationCounts
from search.kernels import kernel
from search.model import ModelTraits
from search.perspective import num_values, to_players

LEAST_SHARE = 1e-3
"""An action below the root, or a code, is listed if its probability is at least this share of the likeliest one's."""


class RootOutputs(Protocol):
    """What a network says of B observations."""

    @property
    def latents(self) -> Shaped[np.ndarray, "B ..."]: ...

    @property
    def policy_logits(self) -> Float[np.ndarray, "B A"]: ...

    @property
    def values(self) -> Float[np.ndarray, "B V"]: ...


class StepOutputs(RootOutputs, Protocol):
    """What a network says of B actions in latents."""

    @property
    def rewards(self) -> Float[np.ndarray, "B V"] | None:
        """As the player who acted sees them, like values (`search.perspective`); None in a game with a result alone."""
        ...

    @property
    def seats(self) -> Int[np.ndarray, " B"] | None:
        """Number of seats from the player who acted to the one who moves next; None where players take turns."""
        ...


class DepartureOutputs(Protocol):
    """What a network says of B actions in latents, before chance has its turn."""

    @property
    def latents(self) -> Shaped[np.ndarray, "B ..."]:
        """The afterstates."""
        ...

    @property
    def code_logits(self) -> Float[np.ndarray, "B M"]: ...


class WorldFunctions(Protocol):
    """The network of a learned model. The arrays that it returns belong to the caller."""

    latent_shape: tuple[int, ...]
    latent_dtype: np.dtype

    def initial(self, observations: np.ndarray) -> RootOutputs:
        """Latents of observations, their policies and values (h and f)."""
        ...

    def recurrent(self, latents: np.ndarray, choices: np.ndarray) -> StepOutputs:
        """The same after an action in each latent, or after a code in each afterstate, and what that paid (g and f)."""
        ...

    def departure(self, latents: np.ndarray, actions: np.ndarray) -> DepartureOutputs:
        """Afterstates of an action in each latent, and their codes (phi and psi); with chance codes alone."""
        ...


class _Nodes(NamedTuple):
    """What is kept of each slot, for the kernels."""

    to_play: np.ndarray  # [S] int64: who moves; at an afterstate, who has moved
    values: np.ndarray  # [S, V] float32
    actions: np.ndarray  # [S, M] int32: the actions below the root that are listed,
    logits: np.ndarray  # [S, M] float32: their logits,
    num_actions: np.ndarray  # [S] int32: and how many there are


class LearnedModel:
    """Latents in numbered slots. See `search.model.Model`."""

    def __init__(self, game: Game, world: WorldFunctions, traits: ModelTraits, width: int, counts: EvaluationCounts):
        """`width` M: the most actions that a node below the root lists. `counts` grow with every network call."""
        self.traits = traits
        self._game, self._world, self._width, self._counts = game, world, width, counts

    def allocate(self, num_slots: int) -> None:
        """See `Model.allocate`."""
        self._latents = np.zeros((num_slots, *self._world.latent_shape), self._world.latent_dtype)
        self._is_afterstate = np.zeros(num_slots, np.bool_)
        self._code_shares = np.zeros((num_slots, self.traits.max_chance_outcomes), np.float32)
        self._observations: dict[int, np.ndarray] = {}  # of roots that were loaded and not yet evaluated,
        self._legal: dict[int, np.ndarray] = {}  # and their legal actions
        self._nodes = _Nodes(
            to_play=np.zeros(num_slots, np.int64),
            values=np.zeros((num_slots, num_values(self._game)), np.float32),
            actions=np.zeros((num_slots, self._width), np.int32),
            logits=np.zeros((num_slots, self._width), np.float32),
            num_actions=np.zeros(num_slots, np.int32),
        )

    def load(
        self, slots: np.ndarray, pool: StatePool, pool_slots: np.ndarray, seeds: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Model.load`. Nothing is drawn."""
        to_play = pool.to_play(pool_slots)
        self._nodes.to_play[slots] = to_play
        self._is_afterstate[slots] = False
        offsets, actions = pool.legal(pool_slots)
        observations = self._observed(pool, pool_slots)
        for i, slot in enumerate(slots.tolist()):
            self._observations[slot] = observations[i]
            self._legal[slot] = actions[offsets[i] : offsets[i + 1]].copy()
        return to_play

    def step(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Model.step`. The network says at once what `evaluate` will ask for."""
        if self.traits.max_chance_outcomes == 0:
            return self._arrive(src, actions, dst)
        arrives = self._is_afterstate[src]
        to_play, rewards = np.full(len(src), CHANCE, np.int64), np.zeros((len(src), self.traits.num_players))
        if (rows := np.flatnonzero(~arrives)).size:
            self._leave(src[rows], actions[rows], dst[rows])
        if (rows := np.flatnonzero(arrives)).size:
            to_play[rows], rewards[rows] = self._arrive(src[rows], actions[rows], dst[rows])
        return to_play, rewards

    def _leave(self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> None:
        """Make the afterstates of `actions`, and keep what may happen to them."""
        start = time.perf_counter()
        outputs = self._world.departure(self._latents[src], actions)
        self._count(len(src), start)
        self._latents[dst], self._is_afterstate[dst] = outputs.latents, True
        self._nodes.to_play[dst] = self._nodes.to_play[src]
        shares = np.exp(outputs.code_logits - outputs.code_logits.max(axis=1, keepdims=True))
        self._code_shares[dst] = np.where(shares < LEAST_SHARE, 0.0, shares)  # what is no number stays, to be seen
        self._counts.evaluations += len(src)

    def _arrive(self, src: np.ndarray, choices: np.ndarray, dst: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make the latents where a player moves; see `step`."""
        n, num_players = len(src), self.traits.num_players
        start = time.perf_counter()
        outputs = self._world.recurrent(self._latents[src], self._meant(src, choices))
        self._count(n, start)
        self._latents[dst], self._is_afterstate[dst] = outputs.latents, False
        mover = self._nodes.to_play[src]
        seats = 1 if outputs.seats is None else outputs.seats
        to_play = (mover + seats) % num_players
        self._nodes.to_play[dst] = to_play
        self._nodes.values[dst] = outputs.values
        self._list(outputs.policy_logits, src, choices, dst)
        rewards = np.zeros((n, num_players))
        if outputs.rewards is not None:
            to_players(outputs.rewards, mover, rewards)
        return to_play, rewards

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Model.chance`: the codes that the network thinks likely."""
        shares = self._code_shares[slots].astype(np.float64)
        probabilities = shares / shares.sum(axis=1, keepdims=True)
        rows, codes = np.nonzero(shares)
        offsets = np.zeros(len(slots) + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=len(slots)), out=offsets[1:])
        return offsets, codes, probabilities[rows, codes]

    def evaluate(self, slots: np.ndarray) -> Evaluation:
        """See `Model.evaluate`."""
        self._counts.evaluations += len(slots)
        roots = [i for i, slot in enumerate(slots.tolist()) if slot in self._observations] if self._observations else []
        values = np.empty((len(slots), self.traits.num_players))
        if not roots:
            offsets, actions, logits = listed(slots, self._nodes)
        else:
            offsets, actions, logits = self._with_roots(slots, np.array(roots))
        to_players(self._nodes.values[slots], self._nodes.to_play[slots], values)
        return Evaluation(offsets, actions, logits, values)

    def copy(self, src: np.ndarray, dst: np.ndarray) -> None:
        """No position that steps have led to is real, so none is kept."""
        raise RuntimeError(f"{self.traits.name}: a learned model keeps no subtree")

    def collect_unsound(self) -> None:
        """See `Model.collect_unsound`: the game is never asked."""

    def take_unsound(self) -> dict[int, str]:
        """See `Model.take_unsound`."""
        return {}

    def _observed(self, pool: StatePool, pool_slots: np.ndarray) -> np.ndarray:
        """Observations of the game that the network knows: `pool` may be of one with its rules that shows others."""
        observations = np.empty((len(pool_slots), *self._game.observation_shape), np.float32)
        if pool.game is not self._game and pool.game.name != self._game.name:
            own, own_slots = self._game.new_pool(len(pool_slots)), np.arange(len(pool_slots))
            own.load(own_slots, pool, pool_slots)
            pool, pool_slots = own, own_slots
        pool.observe(pool_slots, observations)
        return observations

    def _with_roots(self, slots: np.ndarray, roots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of actions and logits where `roots` are the rows of positions that were loaded; evaluates these."""
        root_slots = slots[roots]
        observations = np.stack([self._observations.pop(slot) for slot in root_slots.tolist()])
        legal = [self._legal.pop(slot) for slot in root_slots.tolist()]
        start = time.perf_counter()
        outputs = self._world.initial(observations)
        self._count(len(roots), start)
        self._latents[root_slots] = outputs.latents
        self._nodes.values[root_slots] = outputs.values
        below, others, other_logits = listed(slots, self._nodes)
        rows = [others[below[i] : below[i + 1]] for i in range(len(slots))]
        logits = [other_logits[below[i] : below[i + 1]] for i in range(len(slots))]
        policy_logits = self._root_logits(outputs.policy_logits, root_slots)
        for k, i in enumerate(roots.tolist()):
            rows[i], logits[i] = legal[k], policy_logits[k, legal[k]]
        offsets = np.zeros(len(slots) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return offsets, np.concatenate(rows).astype(np.int64), np.concatenate(logits).astype(np.float32)

    def _meant(self, src: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """What the network is given for the numbers `actions` in `src`."""
        return actions

    def _list(self, outputs: np.ndarray, src: np.ndarray, actions: np.ndarray, dst: np.ndarray) -> None:
        """Keep which actions the nodes in `dst` list, by what the policy head says of them."""
        list_likely(outputs, dst, LEAST_SHARE, self._nodes)

    def _root_logits(self, outputs: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Logits [n, A] of the numbers of actions at roots, from what the policy head says of them."""
        return outputs

    def _count(self, predictions: int, start: float) -> None:
        self._counts.predictions += predictions
        self._counts.network_calls += 1
        self._counts.network_seconds += time.perf_counter() - start


class LearnedModelFactory:
    """Makes the models of one network. See `search.model.ModelFactory`."""

    def __init__(self, game: Game, world: WorldFunctions, inner_actions: int, chance_codes: int = 0) -> None:
        """`inner_actions`: the most actions that a node below the root lists. `chance_codes`: M of the network."""
        self._game, self._world = game, world
        self._width = min(game.num_actions, inner_actions)
        self._counts = EvaluationCounts()
        self.traits = learned_traits(game, world.latent_shape, self._width, chance_codes)

    def make_model(self) -> LearnedModel:
        """See `ModelFactory.make_model`."""
        return LearnedModel(self._game, self._world, self.traits, self._width, self._counts)

    def take_counts(self) -> EvaluationCounts:
        """See `ModelFactory.take_counts`."""
        taken = EvaluationCounts(**vars(self._counts))
        for name in vars(taken):
            setattr(self._counts, name, type(getattr(taken, name))())
        return taken

    def weights_changed(self) -> None:
        """Nothing of older weights is kept from one search to the next."""


def learned_traits(game: Game, latent_shape: tuple[int, ...], width: int, chance_codes: int = 0) -> ModelTraits:
    """The traits of learned models of a game whose nodes below the root list `width` actions at most."""
    return ModelTraits(
        name=game.name,
        num_players=game.num_players,
        num_actions=game.num_actions,
        max_chance_outcomes=chance_codes,
        has_codes=chance_codes > 0,
        max_return=math.inf if game.has_rewards else 1.0,
        slot_bytes=4 * math.prod(latent_shape) + 8 * width + 4 * chance_codes + 32,
    )


@kernel
def list_likely(policy_logits: np.ndarray, slots: np.ndarray, least_share: float, nodes: _Nodes) -> None:
    """Keep the likeliest actions of each row of `policy_logits` [n, A] for its slot.

    They are those whose probability is at least `least_share` of the greatest one, in the order of their numbers;
    where that is more than there is room for, the likeliest of them, the first ones of equals.
    """
    width = nodes.actions.shape[1]
    distance = -math.log(least_share)
    for i in range(slots.shape[0]):
        row, slot = policy_logits[i], slots[i]
        threshold = row.max() - distance
        count = 0
        for action in range(row.shape[0]):
            if row[action] >= threshold:
                count += 1
        equals = width  # of the actions at the threshold, so many are kept
        if count > width:
            threshold = np.sort(row)[row.shape[0] - width]
            for action in range(row.shape[0]):
                if row[action] > threshold:
                    equals -= 1
        kept = 0
        for action in range(row.shape[0]):
            is_equal = row[action] == threshold
            if row[action] > threshold or (is_equal and equals > 0):
                equals -= is_equal
                nodes.actions[slot, kept] = action
                nodes.logits[slot, kept] = row[action]
                kept += 1
        nodes.num_actions[slot] = kept


@kernel
def listed(slots: np.ndarray, nodes: _Nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The actions and logits of some slots as compressed rows: offsets, actions, logits."""
    offsets = np.zeros(slots.shape[0] + 1, np.int64)
    for i in range(slots.shape[0]):
        offsets[i + 1] = offsets[i] + nodes.num_actions[slots[i]]
    actions = np.empty(offsets[-1], np.int64)
    logits = np.empty(offsets[-1], np.float32)
    for i in range(slots.shape[0]):
        for k in range(nodes.num_actions[slots[i]]):
            actions[offsets[i] + k] = nodes.actions[slots[i], k]
            logits[offsets[i] + k] = nodes.logits[slots[i], k]
    return offsets, actions, logits
