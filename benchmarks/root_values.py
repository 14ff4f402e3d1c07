"""How well a search foresees the true value of a position, by what is taken for its value.

    python benchmarks/root_values.py run:RUN_DIR:simulations=32 --positions FILE.jsonl

Searches every labelled position and compares with its exact value, for the player to move and in [-1, 1]: the network's
value, the plain mean of the simulations, the value that Gumbel's improved policy expects with unvisited moves worth
v_mix (Danihelka et al. 2022), and `RootStatistics.root_value`, which self-play learns from. Proven roots are left out:
there nothing has to be guessed. Without `--hard`, `selfplay label` gives positions that are not chosen by their value.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_report import machine_header

from games import GameError
from search import RootStatistics
from selfplay.commands.arguments import integer
from selfplay.errors import UserError
from selfplay.evaluation.labelled import read_positions
from selfplay.players.kinds import read_player
from selfplay.players.search import SearchPlayer


def estimates(found: RootStatistics) -> dict[str, float]:
    """What the search of one position says it is worth to the player to move, in four ways."""
    mover = found.to_play[0]
    raw, visits, q = found.raw_value[0, mover], found.visit_counts[0], np.nan_to_num(found.q_values[0])
    prior = np.where(visits > 0, found.prior[0], 0.0)
    mixed = (raw + visits.sum() * (prior @ q) / prior.sum()) / (1 + visits.sum())
    return {
        "network": raw,
        "plain mean": (raw + visits @ q) / (1 + visits.sum()),
        "improved policy": found.policy_target[0] @ np.where(visits > 0, q, mixed),
        "root_value": found.root_value[0, mover],
    }


def run(arguments: argparse.Namespace) -> None:
    """Search every position and print a row an estimate."""
    positions = read_positions(arguments.positions)
    player = read_player(arguments.player).make_player(positions.game, arguments.seed)
    tree = np.zeros(1, np.int64)
    errors: list[list[float]] = []
    try:
        if not isinstance(player, SearchPlayer):
            raise UserError(f"{arguments.player} does not search; expected run:RUN_DIR:simulations=N")
        for i, value in enumerate(positions.values):
            search = player.begin(positions.pool, i)
            search.run(tree)
            found = search.statistics(tree)
            if not found.exact[0]:
                said = estimates(found)
                errors.append([one - value for one in said.values()])
    finally:
        player.close()
    if not errors:
        raise UserError(f"{arguments.positions}: the search proves every position")
    print(f"{machine_header()}\n{player.name}, {len(errors)} of {len(positions.values)} positions, the others proven\n")
    print("| taken for the value | mean error | mean absolute error | mean squared error |\n|---|---|---|---|")
    for name, error in zip(said, np.array(errors).T, strict=True):
        print(f"| {name} | {error.mean():+.3f} | {abs(error).mean():.3f} | {(error**2).mean():.3f} |")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("player", metavar="PLAYER", help="run:RUN_DIR:simulations=N")
    parser.add_argument("--positions", metavar="FILE.jsonl", type=Path, required=True, help="labelled positions")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of the player (0)")
    try:
        run(parser.parse_args(words))
    except (UserError, GameError) as error:
        print(f"root_values: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
