"""The time of a player of go, as GTP and KGS count it, and how much of it a move may take.

GTP 2, section 4.2 (`time_settings`, `time_left`); the document of kgsGtp for `kgs-time_settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from selfplay.players.thinking import SAFETY, move_seconds

MOVES_A_POINT = 0.4
"""Moves that a player is expected to make for each empty point."""

LEAST_MOVES_TO_GO = 8
"""Moves that the main time has to last for, however full the board is."""


@dataclass(frozen=True)
class TimeControl:
    """The times of both players at the start of a game."""

    main: float
    """Seconds without a number of moves."""
    overtime: float = 0.0
    """Seconds that come when the main time is spent, again and again; 0 for none."""
    moves: int = 0
    """Moves that each overtime is for (Canadian); with `is_byo_yomi` the number of periods, one of which is lost by a
    move that takes longer."""
    is_byo_yomi: bool = False


@dataclass(frozen=True)
class Clock:
    """What a player has left."""

    seconds: float
    moves: int = 0
    """0 in the main time; in overtime as `TimeControl.moves`, of those that are left."""


def first_clock(control: TimeControl | None) -> Clock | None:
    """The clock of a player at the start of a game; None for no limit."""
    if control is None:
        return None
    return Clock(control.main) if control.main > 0 or not control.moves else Clock(control.overtime, control.moves)


def seconds_for_move(control: TimeControl | None, clock: Clock | None, num_empty: int) -> float | None:
    """Seconds that a move may take with `num_empty` empty points on the board; None for no limit.

    In the main time it is a share by the moves to come, or an overtime's where that is more: it comes again.
    """
    if clock is None:
        return None
    is_byo_yomi = control is not None and control.is_byo_yomi
    if clock.moves:
        return SAFETY * clock.seconds if is_byo_yomi else move_seconds(clock.seconds, moves_to_go=clock.moves)
    share = move_seconds(clock.seconds, moves_to_go=max(LEAST_MOVES_TO_GO, round(MOVES_A_POINT * num_empty)))
    if control is None or not control.moves:
        return share
    return max(share, SAFETY * control.overtime / (1 if is_byo_yomi else control.moves))


def after_move(control: TimeControl | None, clock: Clock, seconds: float) -> Clock:
    """The clock after a move that took so long, for controllers that do not send `time_left`."""
    left = max(0.0, clock.seconds - seconds)
    if not clock.moves:
        has_overtime = left == 0.0 and control is not None and control.moves > 0
        return Clock(control.overtime, control.moves) if has_overtime and control else replace(clock, seconds=left)
    if control is not None and (control.is_byo_yomi or clock.moves == 1):
        return Clock(control.overtime, clock.moves if control.is_byo_yomi else control.moves)
    return Clock(left, max(1, clock.moves - 1))
