"""Whether ratings and sequential tests are as sure as they say: tournaments between players whose strength is known.

    python benchmarks/planted_truth.py

Plays no game: results are drawn from the expected scores of planted Elo and a share of draws. Matches: how often the
95 % interval of one result holds the truth. Ratings: round robins of six players; how often the intervals of the
differences to the anchor, and of all pairs, do. The sequential test: matches at both of its hypotheses; how often it
decides wrongly, and after how many games.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import numpy as np

from selfplay.commands.arguments import integer
from selfplay.stats.intervals import expected_score, score_interval, wilson_interval
from selfplay.stats.ratings import PairResult, rate
from selfplay.stats.sprt import Sprt, log_ratio

ELO = {"a": 0.0, "b": 90.0, "c": 150.0, "d": 240.0, "e": 330.0, "f": 420.0}
"""The anchor first."""

DRAWS = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Share of drawn games, where the strengths allow as many."""

MATCHES = ((100, 0.0), (100, 70.0), (100, 200.0), (400, 0.0), (400, 70.0), (400, 200.0))
"""Games and Elo."""

GAMES = 40
"""Of each pair."""

SPRT_PAIRS = 16
"""Openings between two looks at the test."""

MOST_PAIRS = 40_000

LOOKS = 128
"""Looks that are computed at once."""


def chances(elo: float, draws: float) -> list[float]:
    """Of win, draw and loss for a player `elo` points ahead: as many draws as there can be, at most `draws`."""
    score = expected_score(elo)
    draws = min(draws, 2 * score, 2 * (1 - score))
    return [score - draws / 2, draws, max(0.0, 1 - score - draws / 2)]


def drawn_results(rng: np.random.Generator, draws: float) -> list[PairResult]:
    """One round robin."""
    return [
        PairResult(first, second, *rng.multinomial(GAMES, chances(ELO[first] - ELO[second], draws)))
        for first, second in itertools.combinations(ELO, 2)
    ]


def coverage(tournaments: int, draws: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """How many intervals to the anchor, and of all pairs, hold the truth, each with the number of all."""
    held = [0, 0]
    for _ in range(tournaments):
        ratings = rate(drawn_results(rng, draws), "a")
        for player, elo in list(ELO.items())[1:]:
            rating = ratings.rating(player)
            held[0] += rating.low <= elo <= rating.high
        for first, second in itertools.combinations(ELO, 2):
            _, low, high = ratings.difference(first, second)
            held[1] += low <= ELO[first] - ELO[second] <= high
    pairs = len(ELO) * (len(ELO) - 1) // 2
    return held[0], tournaments * (len(ELO) - 1), held[1], tournaments * pairs


def match_coverage(matches: int, games: int, elo: float, draws: float, rng: np.random.Generator) -> int:
    """How many intervals of matches of independent games hold the truth."""
    results, counts = np.unique(rng.multinomial(games, chances(elo, draws), size=matches), axis=0, return_counts=True)
    score, held = expected_score(elo), 0
    for (wins, drawn, losses), count in zip(results.tolist(), counts.tolist()):
        low, high = score_interval([1.0] * wins + [0.5] * drawn + [0.0] * losses)
        held += count * (low <= score <= high)
    return held


def decide(sprt: Sprt, elo: float, draws: float, correlation: float, rng: np.random.Generator) -> tuple[str, int]:
    """The verdict of one match and its games. Both games of an opening have the same result for its better side with
    the probability `correlation`, as lopsided openings bring about."""
    score = expected_score(elo)
    games = rng.choice([1.0, 0.5, 0.0], size=(MOST_PAIRS, 2), p=chances(elo, draws))
    lopsided = rng.random(MOST_PAIRS) < correlation
    games[lopsided] = np.where(rng.random((lopsided.sum(), 1)) < 2 * (score - 0.5), [1.0, 1.0], [1.0, 0.0])
    results = np.rint(2 * games.sum(axis=1)).astype(int)
    counts = np.cumsum(np.eye(5, dtype=int)[results], axis=0)[SPRT_PAIRS - 1 :: SPRT_PAIRS]
    low, high = sprt.bounds
    for start in range(0, len(counts), LOOKS):
        ratios = log_ratio(sprt, counts[start : start + LOOKS])
        decided = np.flatnonzero((ratios <= low) | (ratios >= high))
        if len(decided):
            first = decided[0]
            return "H1" if ratios[first] >= high else "H0", 2 * SPRT_PAIRS * (start + int(first) + 1)
    return "", 2 * MOST_PAIRS


def main() -> int:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tournaments", metavar="N", type=integer(1, 10**6), default=1000, help="(1000)")
    parser.add_argument("--matches", metavar="N", type=integer(1, 10**6), default=5000, help="of each kind (5000)")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of everything random (0)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print(f"{arguments.matches} matches of each kind: share of intervals that hold the truth")
    print("| games | Elo |" + "".join(f" {draws:.0%} drawn |" for draws in DRAWS) + "\n|---|---|" + "---|" * len(DRAWS))
    for games, elo in MATCHES:
        cells = ""
        for draws in DRAWS:
            is_possible = chances(elo, draws)[1] == draws
            held = match_coverage(arguments.matches, games, elo, draws, rng) / arguments.matches if is_possible else 0.0
            cells += f" {held:.1%} |" if is_possible else " |"
        print(f"| {games} | {elo:+g} |{cells}", flush=True)
    print(f"\n{arguments.tournaments} round robins of {len(ELO)} players, {GAMES} games a pair")
    print("| draws | intervals to the anchor that hold the truth | of all pairs |\n|---|---|---|")
    for draws in DRAWS:
        held, total, pairs_held, pairs = coverage(arguments.tournaments, draws, rng)
        print(f"| {draws:.0%} | {held / total:.1%} of {total} | {pairs_held / pairs:.1%} of {pairs} |", flush=True)
    sprt = Sprt(elo0=0.0, elo1=20.0)
    print(f"\n{arguments.matches} matches with the test elo0=0, elo1=20, alpha=beta=0.05")
    print("| truth | draws | lopsided openings | wrong verdicts (95 %) | games on average |\n|---|---|---|---|---|")
    for elo, right in ((sprt.elo0, "H0"), (sprt.elo1, "H1")):
        for draws, correlation in ((0.0, 0.0), (0.5, 0.0), (0.2, 0.5)):
            matches = [decide(sprt, elo, draws, correlation, rng) for _ in range(arguments.matches)]
            wrong = sum(verdict != right for verdict, _ in matches)
            low, high = wilson_interval(wrong, len(matches))
            games = np.mean([count for _, count in matches])
            share = f"{wrong / len(matches):.1%} ({low:.1%} to {high:.1%})"
            print(f"| {elo:+g} | {draws:.0%} | {correlation:.0%} | {share} | {games:,.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
