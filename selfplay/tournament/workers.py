"""Blocks of games played by several processes, none of which can take the tournament down.

A player that raises an error or chooses an illegal move loses that game (`selfplay.evaluation.match`). One that takes
its whole process down loses the game as well: the block is played again game by game, and where the process dies once
more, the player that was thinking has lost. A process that says nothing for `SILENT_SECONDS` counts as dead.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

import numpy as np

import games
from games import Game, GameError
from selfplay.errors import UserError
from selfplay.evaluation.match import MatchGame, TableSetup, forfeit, play_tables, seat, seatings
from selfplay.evaluation.openings import Opening
from selfplay.players.player import Player
from selfplay.system.child_process import become_child
from selfplay.tournament.players import make_players
from selfplay.tournament.schedule import Block
from selfplay.tournament.store import Conditions

SILENT_SECONDS = 3600.0
"""Seconds of silence after which a process counts as dead. A block takes less; engines have limits of their own."""

LUCK = 0
"""Second number of the seeds of chance, beside `players.PLAYERS` and `tournament.OPENINGS`."""


@dataclass
class _Task:
    """A block to be played."""

    block: Block
    one_by_one: bool = False
    games: list[MatchGame] = field(default_factory=list)
    """The finished games of the block, where they are played one by one."""


def play_blocks(
    conditions: Conditions, openings: Sequence[Opening], blocks: Iterable[Block], processes: int
) -> Generator[tuple[Block, list[MatchGame]], None, None]:
    """Play the blocks in `processes`, or in this one if that is 0; yields each with its games when it is done.

    The processes end with the iteration. Raises UserError where a player cannot be made.
    """
    if processes == 0:
        game = games.load(conditions.game)
        for block in blocks:
            with _seated(game, conditions, block) as players:
                tables = _tables(game, conditions, openings, block)
                yield block, play_tables(game, players, tables, conditions.max_plies, forfeits=True)
        return
    waiting = deque(_Task(block) for block in blocks)
    workers: list[_Worker] = []
    group_size = len(seatings(games.load(conditions.game).num_players))
    try:
        while waiting or any(worker.task for worker in workers):
            while waiting and sum(worker.task is not None for worker in workers) < processes:
                idle = next((worker for worker in workers if worker.task is None), None)
                if idle is None:
                    workers.append(idle := _Worker(conditions, openings))
                idle.give(waiting.popleft())
            wait([worker.connection for worker in workers if worker.task is not None], timeout=1.0)
            for worker in [worker for worker in workers if worker.task is not None]:
                task = worker.receive()
                if worker.is_lost():
                    workers.remove(worker)
                    task = worker.give_up()
                    if len(task.games) < task.block.num_groups * group_size:
                        waiting.appendleft(task)
                        continue
                if task is not None:
                    yield task.block, task.games
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """The driver's side of one process."""

    def __init__(self, conditions: Conditions, openings: Sequence[Opening]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(theirs, conditions, list(openings)), name="games", daemon=True
        )
        self._process.start()
        theirs.close()
        self._is_gone = False
        self._heard = 0.0
        self._thinking: MatchGame | None = None
        self.task: _Task | None = None

    def give(self, task: _Task) -> None:
        """Send the process a block to play. It must have none."""
        self.task, self._heard, self._thinking = task, time.monotonic(), None
        try:
            self.connection.send((task.block, task.one_by_one, len(task.games)))
        except OSError:
            self._is_gone = True

    def receive(self) -> _Task | None:
        """Read what has come; the task if it is done. Raises UserError where the process cannot go on."""
        assert self.task is not None
        try:
            while self.connection.poll():
                kind, content = self.connection.recv()
                self._heard = time.monotonic()
                if kind == "failed":
                    raise UserError(content)
                if kind == "thinking":
                    self._thinking = content
                elif kind == "games":
                    self.task.games += content
                    self._thinking = None
                else:
                    task, self.task = self.task, None
                    return task
        except (EOFError, OSError):
            self._is_gone = True
        return None

    def is_lost(self) -> bool:
        """Whether the process is dead, or silent, in the middle of a block."""
        return self.task is not None and (self._is_gone or time.monotonic() - self._heard > SILENT_SECONDS)

    def give_up(self) -> _Task:
        """End the process. Returns its task, to be played game by game, without a game that took the process down."""
        assert self.task is not None
        self.close()
        task = self.task
        if task.one_by_one:
            if self._thinking is None:
                block = task.block
                raise UserError(f"the process of {block.first} and {block.second} ended before the first move, twice")
            task.games.append(self._thinking)
        task.one_by_one = True
        return task

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        self._process.kill()
        self._process.join()


def _main(connection: Connection, conditions: Conditions, openings: list[Opening]) -> None:
    """Entry point of a process: plays what comes."""
    become_child()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends this process
    try:
        game = games.load(conditions.game)
        while True:
            block, one_by_one, finished = connection.recv()
            _play(connection, game, conditions, openings, block, one_by_one, finished)
            connection.send(("done", None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the driver is gone
    except (UserError, GameError) as error:
        connection.send(("failed", str(error)))


def _play(
    connection: Connection,
    game: Game,
    conditions: Conditions,
    openings: list[Opening],
    block: Block,
    one_by_one: bool,
    finished: int,
) -> None:
    """Play a block and send its games, all together, or one by one those after the first `finished`."""
    tables = _tables(game, conditions, openings, block)
    with _seated(game, conditions, block) as players:
        if not one_by_one:
            connection.send(("games", play_tables(game, players, tables, conditions.max_plies, forfeits=True)))
            return
        for table in tables[finished:]:

            def say(which: int, moves: list[list[int]], table: TableSetup = table) -> None:
                reason = f"{players[which].name}: took its process down"
                connection.send(("thinking", forfeit(table, moves[0], which, reason)))

            connection.send(("games", play_tables(game, players, [table], conditions.max_plies, True, on_thinking=say)))


def _tables(game: Game, conditions: Conditions, openings: Sequence[Opening], block: Block) -> list[TableSetup]:
    return [
        table
        for number in range(block.first_opening, block.first_opening + block.num_groups)
        for table in seat(game, openings[number], np.random.SeedSequence((conditions.seed, LUCK, number)))
    ]


@contextmanager
def _seated(game: Game, conditions: Conditions, block: Block) -> Iterator[tuple[Player, Player]]:
    """The players of a block, closed at its end."""
    players = make_players(game, conditions.seed, block)
    try:
        yield players
    finally:
        for player in players:
            player.close()
