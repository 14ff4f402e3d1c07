"""Settings of a run that goes on: which cannot change, and which count for new games only.

In the flow: `selfplay.training.train.resume` compares the settings of the run with those it is given. All others count
from the first step of the resumed run on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from operator import attrgetter

import games
from games.environments.registry import load_environment
from selfplay.config.curriculum import read_stages
from selfplay.config.run import Config
from selfplay.config.schema import flatten
from selfplay.errors import UserError
from selfplay.storage.run_folder import RunFolder
from selfplay.training.evaluator import RATINGS

FIXED = (
    "game", "environment", "algorithm", "net", "muzero.dynamics_blocks", "muzero.support", "muzero.chance_codes",
    "muzero.sampled_actions", "seed", "init", "name", "learner.optimizer",
)  # fmt: skip
"""Settings and sections that cannot change in a run that has started."""

INSTEAD = {
    "name": "it is part of the folder's name; rename the folder",
    "muzero.consistency_weight": "at 0 the network has fewer layers than above it; start a new run for it",
    "muzero.sampled_actions": "stored games have as many in each position; start a new run for it",
    "curriculum": "the games on disk are of its games, of which none may go or come; start a new run with init",
    "learner.optimizer": "what one optimiser has gathered is of no use to another; start a new run for it",
}
"""What to do, where it is not to start a new run."""

WITH_GAMES = (
    "actors.temperature", "actors.temperature_plies", "actors.final_temperature", "actors.opening_plies",
    "actors.opening_moves", "actors.full_search_share", "actors.fast_simulations", "actors.resign_value",
    "actors.resign_plies", "actors.resign_wrong_share", "actors.symmetries", "actors.max_plies",
    "replay.max_policy_lag", "muzero.inner_actions", "muzero.uniform_share", "curriculum",
)  # fmt: skip
"""Settings that a stored game keeps as they were when it was played: its moves, and which of them may be learned from.
Those of the search are too, but for its cache and its discount."""

WITH_TARGETS = (
    "search.discount", "learner.td_steps", "learner.root_value_share", "learner.policy_surprise",
    "actors.resign_weight",
)  # fmt: skip
"""Settings of the targets and weights, which are made when a stored game enters the replay. Games that an older version
recorded with their targets keep these."""


def in_words_of(old: Config, new: Config) -> Config:
    """`new`, in which the game and the environment of the run are spelled as in `old`: as text, `go(komi=7.5)` is not
    `go`. Raises GameError for one that cannot be loaded."""
    if new.game != old.game and games.load(new.game).name == games.load(old.game).name:
        new = replace(new, game=old.game)
    named, before = new.environment, old.environment
    if named and before and named != before and load_environment(named).name == load_environment(before).name:
        new = replace(new, environment=before)
    return new


def _stage_games(config: Config) -> set[str]:
    return {games.load(stage.game).name for stage in read_stages(config.curriculum)}


def refuse_fixed(folder: RunFolder, old: Config, new: Config) -> None:
    """Raise UserError where settings differ that cannot change in this run."""
    changed = [name for name in FIXED if attrgetter(name)(new) != attrgetter(name)(old)]
    if (new.muzero.consistency_weight > 0) != (old.muzero.consistency_weight > 0):
        changed.append("muzero.consistency_weight")
    if new.curriculum != old.curriculum and _stage_games(new) != _stage_games(old):
        changed.append("curriculum")
    for name in changed:
        instead = INSTEAD.get(name, "start a new run for it")
        raise UserError(f"{folder.path}: {name} cannot change in a run that has started; {instead}")
    plies, ratings = old.evaluation.max_plies, folder.path / RATINGS
    if new.evaluation.max_plies != plies and ratings.is_dir():
        raise UserError(
            f"evaluation.max_plies: the matches in {ratings} were played with {plies}, as all games of a rating "
            "are; move that folder away to play with another"
        )


def only_new_games(old: Config, new: Config) -> list[str]:
    """The settings that differ and that stored games keep, by dotted key."""
    searches = {key for key in flatten(new) if key.startswith("search.")} - {"search.cache_megabytes"}
    return _changed(old, new, searches.union(WITH_GAMES).difference(WITH_TARGETS))


def changed_targets(old: Config, new: Config) -> list[str]:
    """The settings of targets and weights that differ, by dotted key."""
    return _changed(old, new, WITH_TARGETS)


def _changed(old: Config, new: Config, keys: Collection[str]) -> list[str]:
    before = flatten(old)
    return [key for key, value in flatten(new).items() if key in keys and value != before[key]]
