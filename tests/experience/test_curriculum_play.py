"""Which games begin, and when what plays them comes and goes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfplay.experience.curriculum_play import CurriculumPlay, divided
from selfplay.experience.figures import SelfPlayCounts

SIZE = 12


class FakePlay:
    """Games that are over after a fixed number of calls each; a record is the number of its kind of game."""

    def __init__(self, log: list[Any], kind: int, length: int) -> None:
        self.log, self.kind, self.length = log, kind, length
        self.running: list[int] = []  # calls that each game has left
        self.counts, self.version, self.dropped_in_a_row = SelfPlayCounts(), -1, 0

    @property
    def done(self) -> bool:
        return not self.running

    def begin(self, count: int) -> None:
        self.log += [self.kind] * count
        self.running += [self.length] * count

    def collect(self) -> list[int]:
        self.counts.positions += len(self.running)
        left = [calls - 1 for calls in self.running]
        self.running = [calls for calls in left if calls]
        return [self.kind] * left.count(0)

    def weights_changed(self, version: int) -> None:
        self.version = version

    def take_counts(self) -> SelfPlayCounts:
        counts, self.counts = self.counts, SelfPlayCounts()
        return counts


def make(log: list[int], endless: bool, lengths: tuple[int, ...] = (9, 4, 2)) -> CurriculumPlay:
    """Three games: number 2 alone until 0.25, then number 1 in a third of the games until 0.75, then number 0 alone."""

    def shares(progress: float) -> np.ndarray:
        rows = [[0, 0, 1], [2 / 3, 1 / 3, 0], [2 / 3, 1 / 3, 0], [1, 0, 0], [1, 0, 0]]
        return np.array(rows[int(4 * progress)], np.float64)

    makers: list[Any] = [lambda _, kind=kind: FakePlay(log, kind, lengths[kind]) for kind in range(3)]
    return CurriculumPlay(makers, shares, SIZE, np.random.default_rng(0), endless)


def test_games_begin_by_the_shares_of_their_stage_and_no_game_is_broken_off() -> None:
    began: list[int] = []
    ended: list[Any] = []
    play, positions = make(began, endless=True), 0
    calls = 2000
    for call in range(calls):
        play.progress_changed(call / calls)
        if call == 500:
            first = len(began)
            assert set(began) == {2} and set(play.plays) == {2}
        if call == 1500:
            second = len(began)
            assert set(play.plays) == {0, 1}, "what plays the first game is given up when its games are over"
        ended += play.collect()
        under_way = sum(len(one.running) for one in play.plays.values())
        assert under_way == len(began) - len(ended), "every game that has begun comes to its end"
        positions += SIZE
        assert play.counts.positions == positions
        if call % 100 == 0:
            assert play.take_counts().positions == positions
            positions = 0
    share = Counter(began[first:second])
    assert share[2] == 0 and share[1] / (second - first) == pytest.approx(1 / 3, abs=0.05)  # 5 deviations
    assert set(began[second:]) == {0} and not play.done and set(play.plays) == {0}


def test_a_round_plays_the_games_that_it_began_with() -> None:
    began: list[int] = []
    play, ended = make(began, endless=False), []
    play.progress_changed(0.5)
    play.weights_changed(7)
    assert not play.done and began == [], "nothing begins before it is known how much of the budget is spent"
    while not play.done:
        ended += play.collect()
        assert all(one.version == 7 for one in play.plays.values())
        play.progress_changed(1.0)
    assert sorted(ended) == sorted(began) and Counter(ended) == {0: 8, 1: 4}


def test_what_was_dropped_in_a_row_is_handed_on() -> None:
    seen: list[tuple[int, int]] = []

    def maker(kind: int, dropped: int) -> Any:
        seen.append((kind, dropped))
        return FakePlay([], kind, 3)

    makers: list[Any] = [lambda dropped, kind=kind: maker(kind, dropped) for kind in range(2)]
    play = CurriculumPlay(makers, lambda _: np.array([0.5, 0.5]), 4, np.random.default_rng(0), False, dropped=[3, 8])
    play.collect()
    assert seen == [(0, 3), (1, 8)] and play.dropped_in_a_row == [0, 0]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), st.integers(1, 50), st.integers(0, 2**32))
def test_shares_are_rounded_up_or_down(parts: list[int], count: int, seed: int) -> None:
    shares = np.array(parts) / sum(parts)
    got = divided(shares, count, np.random.default_rng(seed))
    assert got.sum() == count and (np.abs(got - shares * count) < 1 + 1e-9).all()
    assert (got[shares == 0] == 0).all()


def test_shares_are_right_on_average() -> None:
    shares, rng = np.array([0.13, 0.0, 0.6, 0.27]), np.random.default_rng(0)
    for count in (1, 3):
        got = np.mean([divided(shares, count, rng) for _ in range(4000)], axis=0)
        np.testing.assert_allclose(got, shares * count, atol=0.03)
