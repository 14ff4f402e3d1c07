"""What is wrong with settings on this machine: one line for each bad regime that the model foresees.

In the flow: `selfplay plan` prints these for its own proposal (where settings that were given leave no better one) and
for the budget itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from selfplay.planning.model import takes_turns
from selfplay.planning.rules import FEWEST_GAMES, REFERENCE_POSITIONS, SAMPLES_PER_WEIGHT, Plan

MOST_REUSE = 8.0
"""Samples a position above which the network learns the replay by heart (KataGo: about 4)."""

LEAST_BUSY = 0.5
"""A learner that works for a smaller share of its time is starved."""

MOST_WAITING = 0.1
"""Largest share of their time that actors may wait."""

LONG_SHARE = 0.1
"""Largest share of the budget for one game, for compiling, and for the positions before the first step."""

MEMORY_SHARE = 0.9
"""Largest share of the free memory."""

FEW_POSITIONS = 1 / 3
"""Share of REFERENCE_POSITIONS below which a budget is short for the game."""


def warnings_of(plan: Plan) -> list[str]:
    """The warnings, each one line."""
    return [*_balance(plan), *_budget(plan), *_memory(plan)]


def _balance(plan: Plan) -> Iterator[str]:
    """Warnings of actors or a learner that wait for each other."""
    config, measured, p = plan.config, plan.measured, plan.prediction
    reuse = config.replay.sample_reuse
    turns = takes_turns(config, measured)
    if not turns and p.learner_busy < LEAST_BUSY:
        yield (
            f"the learner waits {1 - p.learner_busy:.0%} of its time for positions (replay.sample_reuse {reuse:g}); "
            "a larger network or fewer simulations would use it"
        )
    if not turns and p.actors_busy < 1 - MOST_WAITING:
        yield (
            f"the actors wait {1 - p.actors_busy:.0%} of their time for the learner; "
            "lower replay.sample_reuse, a smaller network or more learner.threads"
        )
    if reuse > MOST_REUSE:
        yield f"every position is sampled {reuse:g} times; above {MOST_REUSE:g} the network learns them by heart"
    busy = config.actors.num_actors + config.learner.threads
    if not turns and busy > measured.cores:
        yield f"{config.actors.num_actors} actors and {config.learner.threads} threads share {measured.cores} cores"


def _budget(plan: Plan) -> Iterator[str]:
    """Warnings of a budget that is too short."""
    config, measured, p = plan.config, plan.measured, plan.prediction
    seconds = 60 * config.budget.minutes
    if p.game_seconds > LONG_SHARE * seconds:
        yield (
            f"a game takes {p.game_seconds:.0f} s, {p.game_seconds / seconds:.0%} of the budget: nothing is learned "
            "before the first have ended, and those under way at the end are lost; fewer actors.games_per_actor"
        )
    if measured.compile_seconds > LONG_SHARE * seconds:
        yield (
            f"compiling took {measured.compile_seconds:.0f} s, {measured.compile_seconds / seconds:.0%} of the budget; "
            "it is done now, but it is a cost of the first run on any other machine"
        )
    kept = p.positions * measured.learned_share
    if kept < config.replay.min_positions:
        yield f"replay.min_positions is {config.replay.min_positions:,}, more than the budget gives: nothing is learned"
    elif config.replay.min_positions > LONG_SHARE * kept:
        share = config.replay.min_positions / kept
        yield f"learning starts only after {share:.0%} of the positions: lower replay.min_positions"
    if p.samples_per_weight < SAMPLES_PER_WEIGHT:
        yield (
            f"{p.samples_per_weight:.1f} samples for each weight of {plan.chosen.name}, fewer than "
            f"{SAMPLES_PER_WEIGHT:g}: a smaller network or a longer budget would learn more"
        )
    enough = FEW_POSITIONS * REFERENCE_POSITIONS * measured.squares
    if p.positions < enough:
        yield f"{p.positions:,.0f} positions are few for a game of this size (about {enough:,.0f}); a longer budget"
    window_games = p.window / (measured.game_length * measured.learned_share)
    if window_games < FEWEST_GAMES:
        yield f"the learner samples from {window_games:.0f} games only, fewer than {FEWEST_GAMES}"


def _memory(plan: Plan) -> Iterator[str]:
    measured, p = plan.measured, plan.prediction
    room = MEMORY_SHARE * measured.memory
    if p.actor_memory + p.learner_memory > room:
        yield (
            f"memory: actors with their trees need {p.actor_memory / 1e9:.1f} GB, the learner with its replay "
            f"{p.learner_memory / 1e9:.1f} GB, and {measured.memory / 1e9:.1f} GB are free; "
            "fewer actors.games_per_actor, smaller replay.capacity"
        )
