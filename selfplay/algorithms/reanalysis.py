"""Positions of the replay that are searched again with the newest weights, so that what is learned from them is new.

In the flow: before `WorldLearner` learns from a batch, it asks here for the policies and root values of some of its
positions. `muzero` hands in the models of self-play: tree, rule and number of simulations are those of self-play,
without its noise. Only the network has changed, and what it is shown is what the replay has kept.

Source: Schrittwieser et al. 2020, appendix H (MuZero Reanalyze); Ye et al. 2021 (EfficientZero).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32
from torch import Tensor

from games import Game
from games.observed import ObservedPositions
from nets.world_inference import WorldInference
from search import ModelFactory, Search, SearchConfig
from search.perspective import from_players, num_values
from selfplay.replay.positions import Batch
from selfplay.replay.unroll import UnrolledBatch


@dataclass(frozen=True)
class Searched:
    """What searches say of n positions."""

    policy: Float32[np.ndarray, "n A"]  # the policy target, 0 for illegal actions
    root_value: Float32[np.ndarray, "n V"]  # as the network sees it (`search.perspective`)
    sampled_actions: Float32[np.ndarray, "n A_sampled D"]  # what the numbers of real actions stand for


class Reanalysis:
    """Searches of positions that were played long ago, with weights that are loaded before."""

    def __init__(
        self,
        game: Game,
        config: SearchConfig,
        num_trees: int,
        make_world: Callable[[], WorldInference],
        make_models: Callable[[WorldInference], ModelFactory],
    ) -> None:
        """`num_trees`: positions that are searched at once. The network is made when the first weights are loaded."""
        self.game, self._config, self._num_trees = game, replace(config, forced_playouts=0.0), num_trees
        self._make_world, self._make_models = make_world, make_models
        self._world: WorldInference | None = None
        self._search: Search | None = None

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Search with these weights from now on. Raises ValueError for those of another network."""
        if self._world is None or self._search is None:
            self._world = self._make_world()
            self._search = Search(self._make_models(self._world).make_model(), self._config, self._num_trees)
        self._world.load(weights, version)

    def search(self, positions: ObservedPositions, rng: np.random.Generator) -> Searched:
        """Search all positions, some at a time; `rng` draws the seeds of the trees. `load` comes first."""
        assert self._search is not None, "weights are loaded first"
        parts = []
        for start in range(0, positions.capacity, self._num_trees):
            slots = np.arange(start, min(start + self._num_trees, positions.capacity))
            parts.append(self._searched(self._search, positions, slots, rng))
        return Searched(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))

    def _searched(
        self, search: Search, positions: ObservedPositions, slots: np.ndarray, rng: np.random.Generator
    ) -> Searched:
        trees = np.arange(len(slots))
        search.clear(trees)
        search.begin(trees, positions, slots, rng.integers(2**64, size=len(slots), dtype=np.uint64))
        search.run(trees)
        found, values = search.statistics(trees), num_values(self.game)
        return Searched(
            found.dense("policy_target", self.game.num_actions).astype(np.float32),
            from_players(found.root_value, found.to_play, values).astype(np.float32),
            positions.sampled_actions(slots),
        )


def reanalysed(
    reanalysis: Reanalysis,
    sample: UnrolledBatch,
    batch: Batch,
    chosen: Bool[np.ndarray, " B"],
    root_value_share: float,
    rng: np.random.Generator,
) -> UnrolledBatch:
    """The unroll of `batch` in which the `chosen` samples have the policies of new searches, at all depths where there
    is a position, and value targets whose `root_value_share` is what these searches expect.

    Positions of a fast search get a policy too. Behind the end of a game nothing changes.
    """
    following, first = batch.following, np.flatnonzero(chosen)
    assert following is not None and batch.root_value is not None
    if len(first) == 0:
        return sample
    rows, later = np.nonzero(sample.exists & chosen[:, None])
    at = np.concatenate([first, rows]), np.concatenate([np.zeros_like(first), later + 1])

    def there(of_sampled: np.ndarray, of_following: np.ndarray) -> np.ndarray:
        return np.concatenate([of_sampled[first], of_following[rows, later]])

    observation, to_play = there(sample.observation, sample.following), there(batch.to_play, following.to_play)
    found = reanalysis.search(ObservedPositions(reanalysis.game, observation, sample.legal_mask[at], to_play), rng)
    policy_target, policy_mask = sample.policy_target.copy(), sample.policy_mask.copy()
    policy_target[at], policy_mask[at] = found.policy, True
    value_target, sampled_actions = sample.value_target, sample.sampled_actions
    if root_value_share > 0:
        value_target = value_target.copy()
        old = there(batch.root_value, following.root_value)
        value_target[at] += np.float32(root_value_share) * (found.root_value - old)
    if sampled_actions is not None:
        sampled_actions = sampled_actions.copy()
        sampled_actions[at] = found.sampled_actions
    return replace(
        sample,
        policy_target=policy_target,
        policy_mask=policy_mask,
        value_target=value_target,
        sampled_actions=sampled_actions,
    )


def change_of(old: UnrolledBatch, new: UnrolledBatch, chosen: Bool[np.ndarray, " B"]) -> float | None:
    """Half the absolute difference of the policies that were learned from before and of those after, in [0, 1], on
    average over the positions of the `chosen` samples; None where there are none."""
    is_known = old.policy_mask & chosen[:, None]
    if not is_known.any():
        return None
    return float(0.5 * np.abs(new.policy_target - old.policy_target)[is_known].sum(axis=-1).mean())
