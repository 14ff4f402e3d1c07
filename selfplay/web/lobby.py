"""All games under way on the page, a bounded number, and who takes a seat when one begins."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from games import Game
from selfplay.web.opponents import Opponents, Seat
from selfplay.web.refusals import NOT_FOUND, Refused
from selfplay.web.sessions import Session
from selfplay.web.table import Table
from selfplay.web.thinking import ThinkingThread

MAX_SESSIONS = 32
"""Largest number of games; the one that was not used for the longest time makes room for a new one."""


class Lobby:
    """The games by their ids; safe to use from several threads."""

    def __init__(self, thread: ThinkingThread, opponents: Opponents, seed: int) -> None:
        self._thread, self._opponents = thread, opponents
        self._seeds = np.random.SeedSequence(seed)
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, table: Table, seats: Sequence[Seat]) -> Session:
        """A new game."""
        with self._lock:
            seed = int(self._seeds.spawn(1)[0].generate_state(1)[0])
        session = Session(table, seats, self._thread, self._opponents, seed)
        with self._lock:
            self._sessions[session.id] = session
            dropped = [self._sessions.popitem(last=False)[1] for _ in range(len(self._sessions) - MAX_SESSIONS)]
        for old in dropped:
            old.close()
        return session

    def get(self, session_id: str) -> Session:
        """Raises Refused where there is no such game."""
        with self._lock:
            if session_id not in self._sessions:
                raise Refused("there is no such game; start a new one", NOT_FOUND)
            self._sessions.move_to_end(session_id)
            return self._sessions[session_id]

    def close(self) -> None:
        """End the thinking in all games."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.close()


def read_seats(values: Sequence[object], game: Game, opponents: Opponents) -> list[Seat]:
    """One seat a player. Raises Refused."""
    if len(values) != game.num_players:
        raise Refused(f"seats: {game.name} has {game.num_players} players, not {len(values)}")
    return [opponents.read(value, game) for value in values]
