"""The audit finds observations that hide the mover or the legal moves, and survives a game that fails."""

from __future__ import annotations

import importlib

import pytest

import games

audit_module = importlib.import_module("games.auditing.ambiguity")


@pytest.mark.parametrize("name", ["pig", "oware", "breakthrough(columns=3,rows=4)"])
def test_seat_planes_settle_who_moves(name: str) -> None:
    report = games.audit(games.load(name), positions=3000)
    assert report.without_seats.other_mover > 0
    assert report.with_seats.other_mover == 0
    assert report.with_seats.observations > report.without_seats.observations


def test_quoridor_hides_how_many_walls_are_left() -> None:
    report = games.audit(games.load("quoridor(board_size=5,wall_count=2)"), positions=3000)
    assert report.with_seats.other_legal > 0


def test_figures_of_tic_tac_toe() -> None:
    report = games.audit(games.load("tic_tac_toe"), positions=3000)
    assert (report.num_players, report.num_actions, report.observation_shape) == (2, 9, (5, 3, 3))
    assert report.positions >= 3000 and report.unfinished == 0
    assert 7.4 < report.mean_length < 7.9 and report.longest == 9  # random games last 7.66 moves on average
    assert report.max_branching == 9 and (report.min_return, report.max_return) == (-1.0, 1.0)
    assert report.fits_bytes and report.max_abs_observation == 1.0
    found = report.without_seats  # the number of stones says whose turn it is
    assert (found.other_mover, found.other_legal, found.other_outcome) == (0, 0, 0)
    assert found.observations <= 4520  # positions in which a player moves
    assert report == games.audit(games.load("tic_tac_toe"), positions=3000)
    assert report != games.audit(games.load("tic_tac_toe"), positions=3000, seed=1)


def test_games_that_are_too_long_are_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "MAX_PLIES", 5)
    report = games.audit(games.load("othello"), positions=200)
    assert report.finished == 0 and report.unfinished > 0
    assert "no game finished" in games.format_report(report)
    assert ">5" in games.format_table([report])


def test_audit_all_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [games.GameInfo("catch"), games.GameInfo("broken"), games.GameInfo("poker", "imperfect information")]
    monkeypatch.setattr(audit_module, "names", lambda: names)
    started: list[str] = []
    reports = games.audit_all(positions=50, progress=started.append)
    assert started == ["catch", "broken"]
    assert [type(report) for report in reports] == [games.AuditReport, games.Skipped, games.Skipped]
    table = games.format_table(reports).splitlines()
    assert table[0].split()[:3] == ["game", "players", "actions"]
    assert table[1].startswith("catch ") and "11x5" in table[1]
    assert any("unknown game 'broken'" in line for line in table)
    assert "  imperfect information: poker" in table


def test_a_report_says_everything_in_a_block() -> None:
    text = games.format_report(games.audit(games.load("2048"), positions=100))
    assert text.startswith("2048\n")
    for part in ("1, not zero-sum", "5x4 with seat planes", "up to 33 outcomes", "on the way", "with seats"):
        assert part in text
