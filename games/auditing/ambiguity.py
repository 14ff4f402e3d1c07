"""Audit of a game: play random games and look for observations that do not tell positions apart.

OpenSpiel's observations often leave out whose turn it is or what the move in progress has done so far. A network that
sees the same input for positions with other movers, other legal actions or other outcomes of the same move cannot
learn the right answer for both. The audit shows this with and without the seat planes that every pool appends, beside
the plain figures of the game. Random games on a large board seldom come to the same position twice, so nothing found
there proves little: audit a small board of the game as well, such as `breakthrough(columns=3,rows=4)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from games.base import CHANCE, TERMINAL, Game, StatePool, chance_rounds
from games.registry import load, names

PARALLEL_GAMES = 8
MAX_PLIES = 1000
"""Number of moves after which a random game is abandoned and counted as unfinished."""


@dataclass(frozen=True)
class Ambiguity:
    """Number of distinct observations, and of those that came again with something else that the player should know."""

    observations: int
    other_mover: int
    other_legal: int
    other_outcome: int
    """The same action from the same observation led to another reward, another player to move, or another end."""


@dataclass(frozen=True)
class AuditReport:
    """Figures of a game from random games. Lengths count player moves, of finished games only."""

    game: str
    num_players: int
    num_actions: int
    observation_shape: tuple[int, ...]
    max_game_length: int
    max_chance_outcomes: int
    has_rewards: bool
    zero_sum: bool
    num_symmetries: int
    positions: int
    finished: int
    unfinished: int
    mean_length: float
    longest: int
    mean_branching: float
    max_branching: int
    fits_bytes: bool
    """All observation values were integers in 0..255."""
    max_abs_observation: float
    min_return: float
    max_return: float
    without_seats: Ambiguity
    with_seats: Ambiguity


@dataclass(frozen=True)
class Skipped:
    """A game that was not audited, and why."""

    game: str
    reason: str


class _Sightings:
    """Movers, legal actions and outcomes of moves by observation, each observation kept as a digest."""

    def __init__(self) -> None:
        self._movers: dict[bytes, int] = {}
        self._legal: dict[bytes, bytes] = {}
        self._outcomes: dict[tuple[bytes, int], tuple[float, ...]] = {}
        self._other: tuple[set[bytes], set[bytes], set[bytes]] = (set(), set(), set())

    def add(self, observation: np.ndarray, mover: int, legal: np.ndarray, action: int, outcome: tuple) -> None:
        key = hashlib.blake2b(observation.tobytes(), digest_size=16).digest()
        legal_key = hashlib.blake2b(legal.tobytes(), digest_size=16).digest()
        other_mover, other_legal, other_outcome = self._other
        if self._movers.setdefault(key, mover) != mover:
            other_mover.add(key)
        if self._legal.setdefault(key, legal_key) != legal_key:
            other_legal.add(key)
        if self._outcomes.setdefault((key, action), outcome) != outcome:
            other_outcome.add(key)

    def result(self) -> Ambiguity:
        return Ambiguity(len(self._movers), *map(len, self._other))


class _Tally:
    """Running figures of an audit."""

    def __init__(self, game: Game) -> None:
        self.own_planes = game.observation_shape[0] - game.num_players
        self.without_seats, self.with_seats = _Sightings(), _Sightings()
        self.branching: list[int] = []
        self.lengths: list[int] = []
        self.returns: list[np.ndarray] = []
        self.unfinished = 0
        self.fits_bytes = True
        self.max_abs_observation = 0.0

    def add(self, observation: np.ndarray, mover: int, legal: np.ndarray, action: int, outcome: tuple) -> None:
        own = observation[: self.own_planes]
        self.branching.append(len(legal))
        self.without_seats.add(own, mover, legal, action, outcome)
        self.with_seats.add(observation, mover, legal, action, outcome)
        self.max_abs_observation = max(self.max_abs_observation, float(np.abs(own).max()))
        self.fits_bytes = self.fits_bytes and bool(np.all((own >= 0) & (own <= 255) & (own == np.rint(own))))

    def end(self, length: int, returns: np.ndarray) -> None:
        self.lengths.append(length)
        self.returns.append(returns.copy())


def audit(game: Game, positions: int = 4000, seed: int = 0) -> AuditReport:
    """Play uniformly random games for about `positions` moves of players and report the figures."""
    tally = _Tally(game)
    rng = np.random.default_rng(seed)
    pool = game.new_pool(PARALLEL_GAMES)
    lengths = np.zeros(PARALLEL_GAMES, dtype=np.int64)
    returns = np.zeros((PARALLEL_GAMES, game.num_players))
    pool.reset(np.arange(PARALLEL_GAMES))
    events = chance_rounds(game)
    while len(tally.branching) < positions:
        to_play = pool.to_play(np.arange(PARALLEL_GAMES))
        over = (to_play == TERMINAL) | (lengths >= MAX_PLIES)
        for slot in np.flatnonzero(over):
            if to_play[slot] == TERMINAL:
                tally.end(int(lengths[slot]), returns[slot])
            else:
                tally.unfinished += 1
            returns[slot], lengths[slot] = 0.0, 0
        pool.reset(np.flatnonzero(over))
        waiting = np.flatnonzero(~over & (to_play == CHANCE))
        if len(waiting):
            returns[waiting] += pool.step(waiting, _draw_outcomes(pool, waiting, rng), waiting)[1]
        players = np.flatnonzero(~over & (to_play >= 0))
        if len(players):
            returns[players] += _play(game, pool, players, to_play[players], rng, tally)
            lengths[players] += 1
            events = chance_rounds(game)
        elif len(waiting):
            next(events)
    pool.close()
    tally.unfinished += int(np.count_nonzero(lengths)) if not tally.lengths else 0
    return _report(game, tally)


def audit_all(
    positions: int = 4000, seed: int = 0, progress: Callable[[str], None] | None = None
) -> list[AuditReport | Skipped]:
    """Audit every known game that is supported; the others, and any that fails, are listed with the reason."""
    reports: list[AuditReport | Skipped] = []
    for info in names():
        if not info.supported:
            reports.append(Skipped(info.name, info.reason))
            continue
        if progress is not None:
            progress(info.name)
        try:
            reports.append(audit(load(info.name), positions, seed))
        except Exception as error:  # one broken game must not hide the others
            reports.append(Skipped(info.name, f"failed: {type(error).__name__}: {error}"))
    return reports


def _draw_outcomes(pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    offsets, outcomes, probabilities = pool.chance(slots)
    chosen = np.empty(len(slots), dtype=np.int64)
    for i in range(len(slots)):
        row = slice(offsets[i], offsets[i + 1])
        chosen[i] = rng.choice(outcomes[row], p=probabilities[row] / probabilities[row].sum())
    return chosen


def _play(
    game: Game, pool: StatePool, slots: np.ndarray, movers: np.ndarray, rng: np.random.Generator, tally: _Tally
) -> np.ndarray:
    """Play one random move in each slot and record it in `tally`. Returns the rewards `[B, P]`."""
    observations = np.empty((len(slots), *game.observation_shape), dtype=np.float32)
    pool.observe(slots, observations)
    offsets, flat = pool.legal(slots)
    legal = [flat[offsets[i] : offsets[i + 1]].copy() for i in range(len(slots))]
    actions = np.array([rng.choice(row) for row in legal], dtype=np.int64)
    to_play, rewards = pool.step(slots, actions, slots)
    for i in range(len(slots)):
        outcome = (float(to_play[i]), *rewards[i].tolist())
        tally.add(observations[i], int(movers[i]), legal[i], int(actions[i]), outcome)
    return rewards


def _report(game: Game, tally: _Tally) -> AuditReport:
    returns = np.array(tally.returns) if tally.returns else np.zeros((1, game.num_players))
    return AuditReport(
        game=game.name,
        num_players=game.num_players,
        num_actions=game.num_actions,
        observation_shape=game.observation_shape,
        max_game_length=game.max_game_length,
        max_chance_outcomes=game.max_chance_outcomes,
        has_rewards=game.has_rewards,
        zero_sum=game.zero_sum,
        num_symmetries=len(game.symmetries()),
        positions=len(tally.branching),
        finished=len(tally.lengths),
        unfinished=tally.unfinished,
        mean_length=float(np.mean(tally.lengths)) if tally.lengths else float("nan"),
        longest=max(tally.lengths, default=0),
        mean_branching=float(np.mean(tally.branching)),
        max_branching=max(tally.branching),
        fits_bytes=tally.fits_bytes,
        max_abs_observation=tally.max_abs_observation,
        min_return=float(returns.min()),
        max_return=float(returns.max()),
        without_seats=tally.without_seats.result(),
        with_seats=tally.with_seats.result(),
    )


def format_report(report: AuditReport) -> str:
    """One report as a block of lines."""
    shape = "x".join(map(str, report.observation_shape))
    if len(report.observation_shape) == 3:
        shape += " (planes, rows, columns)"
    values = "integers that fit a byte" if report.fits_bytes else "real numbers"
    chance = f"up to {report.max_chance_outcomes} outcomes" if report.max_chance_outcomes else "none"
    length = f"mean {report.mean_length:.1f}, longest {report.longest}" if report.finished else "no game finished"
    rows = [
        ("players", f"{report.num_players}, {'zero-sum' if report.zero_sum else 'not zero-sum'}"),
        ("actions", f"{report.num_actions}; legal: mean {report.mean_branching:.1f}, most {report.max_branching}"),
        ("observation", f"{shape} with seat planes; {values}, up to {report.max_abs_observation:g}"),
        ("length", f"{length} ({report.finished} random games, {report.unfinished} unfinished), at most "
                   f"{report.max_game_length}"),
        ("chance", chance),
        ("rewards", "on the way" if report.has_rewards else "at the end"),
        ("returns", f"{report.min_return:g} to {report.max_return:g}"),
        ("symmetries", str(report.num_symmetries)),
        ("without seats", _sentence(report.without_seats)),
        ("with seats", _sentence(report.with_seats)),
    ]  # fmt: skip
    return "\n".join([report.game, *(f"  {label:<14} {text}" for label, text in rows)])


def _sentence(found: Ambiguity) -> str:
    return (
        f"of {found.observations} distinct observations, {found.other_mover} seen with another mover, "
        f"{found.other_legal} with other legal actions, {found.other_outcome} with another outcome of a move"
    )


def format_table(reports: list[AuditReport | Skipped]) -> str:
    """Reports as a table, one game a line, and below it the games that were skipped, by reason.

    The last three columns count ambiguous observations, without seat planes > with them.
    """
    titles = ("game", "players", "actions", "observation", "chance", "rewards", "length", "legal", "symm.",
              "other mover", "other legal", "other outcome")  # fmt: skip
    rows = [titles, *(_row(report) for report in reports if isinstance(report, AuditReport))]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *_skipped_lines(reports)])


def _row(report: AuditReport) -> tuple[str, ...]:
    before, after = report.without_seats, report.with_seats
    return (
        report.game,
        str(report.num_players),
        str(report.num_actions),
        "x".join(map(str, report.observation_shape)),
        str(report.max_chance_outcomes or "-"),
        "on the way" if report.has_rewards else "end",
        f"{report.mean_length:.0f}" if report.finished else f">{MAX_PLIES}" if report.unfinished else "?",
        f"{report.mean_branching:.1f}",
        str(report.num_symmetries or "-"),
        f"{before.other_mover} > {after.other_mover}",
        f"{before.other_legal} > {after.other_legal}",
        f"{before.other_outcome} > {after.other_outcome}",
    )


def _skipped_lines(reports: list[AuditReport | Skipped]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for report in reports:
        if isinstance(report, Skipped):
            by_reason.setdefault(report.reason, []).append(report.game)
    if by_reason:
        yield "\nnot audited:"
    for reason, skipped in by_reason.items():
        yield f"  {reason}: {', '.join(skipped)}"
