"""Games of runs and tournaments, move by move. Everything is read, nothing is changed, a run may be going on."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from games import Game, GameError
from selfplay.errors import UserError
from selfplay.experience.record_faults import game_of, record_of_game
from selfplay.experience.records import GameRecord, TargetRecord
from selfplay.storage.files import storage_errors
from selfplay.storage.shards import read_shard, shard_ids
from selfplay.web.library import Library, Run, Tournament
from selfplay.web.refusals import NOT_FOUND, Refused
from selfplay.web.retrace import Noted, Retraced, retrace
from selfplay.web.table import Table
from selfplay.web.thinking import finite

MAX_FILE = 256 << 20
"""Largest number of bytes of a file of games."""

BLUNDER = 0.5
"""Fall of the value that makes a move a blunder; the page has the same number."""

PAGE = 100
"""Number of games of a list that are sent at once."""

MAX_SHARDS = 2_000
"""Largest number of shards of a run that are listed, the newest."""

KEPT = 8
"""Number of shards, tournaments and games that stay in memory."""

T = TypeVar("T")


@dataclass(frozen=True)
class FinishedGame:
    """A finished game to be stepped through."""

    game: Game
    title: str
    players: tuple[str, ...]
    """Names by seat; empty where all seats are the same."""
    moves: tuple[int, ...]
    opening: int = 0
    notes: dict[int, Noted] = field(default_factory=dict)
    complaint: str = ""


class Browser:
    """Reads games; safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def shards(self, index: int) -> list[int]:
        """Ids of the shards of a run, the newest first; none on an environment, whose episodes have no board."""
        run = self._library.run(index)
        return [] if run.config.environment else shard_ids(run.folder.games)[::-1][:MAX_SHARDS]

    def shard(self, index: int, shard_id: int) -> list[dict[str, Any]]:
        """The games of a shard: their searched moves, the first player's outcome, the version that played, and the
        plies of blunders."""
        run = self._library.run(index)
        return [
            {
                "number": number,
                "length": len(record),
                "outcome": _outcome(record, run.game.num_players),
                "version": int(record.version[-1]),
                "blunders": blunders(record),
            }
            for number, record in enumerate(self._records(run, shard_id))
        ]

    def newest_positions(self, game: Game, most: int) -> list[RecordedPosition]:
        """Searched positions of the newest games of self-play that the runs of this game have on disk, at most `most`.

        Games that were recorded with targets are passed over: their openings are not known.
        """
        found: list[RecordedPosition] = []
        index = self._library.newest_run(game.rules)
        run = None if index is None else self._library.run(index)
        if run is None or run.config.environment:
            return found
        for shard_id in shard_ids(run.folder.games)[::-1]:
            for number, record in reversed(list(enumerate(self._records(run, shard_id)))):
                if record.observation.shape[1:] != game.observation_shape or not isinstance(record, GameRecord):
                    continue
                opening, *turns = record.history()
                moves = list(opening)
                for turn in turns:
                    title = f"shard {shard_id}, game {number}, move {len(moves) + 1}"
                    found.append(RecordedPosition(title, tuple(moves)))
                    moves += turn
                    if len(found) >= most:
                        return found
        return found

    def tournament(self, index: int, start: int) -> dict[str, Any]:
        """A page of the games of a tournament."""
        lines = self._tournament(self._library.tournament(index))
        shown = [
            {
                "number": number,
                "players": line["players"],
                "length": len(line["moves"]),
                "returns": [finite(value) for value in line["returns"]],
                "forfeit": line["forfeit"],
            }
            for number, line in enumerate(lines[start : start + PAGE], start)
        ]
        return {"games": shown, "total": len(lines), "page": PAGE}

    def self_play_game(self, index: int, shard_id: int, number: int) -> FinishedGame:
        """A game of a shard, with the recorded search of every position."""
        run = self._library.run(index)

        def load() -> FinishedGame:
            records = self._records(run, shard_id)
            if not 0 <= number < len(records):
                raise Refused(f"shard {shard_id} has {len(records)} games", NOT_FOUND)
            game = game_of(records[number].observation, run.games)
            found: Retraced = retrace(game, records[number], run.config.actors.opening_plies)
            title = f"{run.name}, shard {shard_id}, game {number}"
            return FinishedGame(game, title, (), found.moves, found.opening, found.notes, found.complaint)

        return self._keep(("game", index, shard_id, number), load)

    def tournament_game(self, index: int, number: int) -> FinishedGame:
        """A game of a tournament."""
        tournament = self._library.tournament(index)
        lines = self._tournament(tournament)
        if not 0 <= number < len(lines):
            raise Refused(f"the tournament has {len(lines)} games", NOT_FOUND)
        line = lines[number]
        title = f"{tournament.name}, game {number}"
        return FinishedGame(
            tournament.game, title, tuple(line["players"]), tuple(line["moves"]), complaint=line["forfeit"]
        )

    def _records(self, run: Run, shard_id: int) -> list[GameRecord | TargetRecord]:
        folder = run.folder.games
        if run.config.environment:
            raise Refused(f"{run.name} was trained on {run.config.environment}: its episodes have no board", NOT_FOUND)
        if shard_id not in shard_ids(folder):
            raise Refused(f"{run.name} has no shard {shard_id}", NOT_FOUND)
        return self._keep(("shard", str(folder), shard_id), lambda: _read_shard(folder, shard_id, run.games))

    def _tournament(self, tournament: Tournament) -> list[dict[str, Any]]:
        path = tournament.path / "games.jsonl"
        if not path.is_file():
            return []
        with storage_errors(path):
            status = path.stat()
        if status.st_size > MAX_FILE:
            raise UserError(f"{path} is larger than {MAX_FILE:,} bytes")
        key = ("tournament", str(path), status.st_size, status.st_mtime_ns)
        return self._keep(key, lambda: _read_tournament(path))

    def _keep(self, key: tuple[Any, ...], load: Callable[[], T]) -> T:
        """The result of `load`, kept for the next time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]  # type: ignore[no-any-return]
        value = load()  # two requests may load the same; that is better than all others waiting
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value


@dataclass(frozen=True)
class RecordedPosition:
    """A position of a game of self-play, where a player is to move."""

    title: str
    """Where it is, in words."""
    history: tuple[int, ...]
    """Moves and chance outcomes from the start to it."""


def blunders(record: GameRecord | TargetRecord) -> list[int]:
    """The plies of moves after which the search's value for who made them was lower by BLUNDER or more.

    In games of two players, where no chance came between; records with targets do not have the values of both.
    """
    if not isinstance(record, GameRecord) or record.root_value.shape[1] != 2:
        return []
    made = np.arange(len(record) - 1)
    mover = record.to_play[:-1]
    fall = record.root_value[made, mover] - record.root_value[made + 1, mover]
    plies = len(record.opening) + made + np.cumsum(record.chance_count)[:-1] - record.chance_count[:-1]
    return [int(ply) for ply in plies[(fall >= BLUNDER) & (record.chance_count[:-1] == 0)]]


def _outcome(record: GameRecord | TargetRecord, num_players: int) -> float | None:
    """The return of the first player; None where the record does not have it.

    A record with targets speaks for who moved first in it.
    """
    if isinstance(record, GameRecord):
        return finite(record.reward[:, 0].sum() + record.judge_reward[0])
    mover, outcome = int(record.to_play[0]), finite(record.outcome[0].ravel()[0])
    if mover == 0 or outcome is None:
        return outcome
    return -outcome if num_players == 2 else None


def position_of(replay: FinishedGame, ply: int | None) -> dict[str, Any]:
    """A replay at one ply: position, all moves, what was recorded. Raises Refused for a ply that it does not have.

    None stands for the last ply that can be followed.
    """
    whole, complaint = _whole(replay)
    ply = whole.ply if ply is None else ply
    if not 0 <= ply <= len(replay.moves):
        raise Refused(f"ply: the game has {len(replay.moves)} moves", NOT_FOUND)
    if ply > whole.ply:
        raise Refused(f"ply: the game can be followed for {whole.ply} moves only", NOT_FOUND)
    table = Table(replay.game, whole.history[:ply])
    noted = replay.notes.get(ply)
    notes = [
        {"ply": at, "player": entry.player, "value": finite(entry.value)} for at, entry in sorted(replay.notes.items())
    ]
    return table.as_json() | {
        "title": replay.title,
        "players": list(replay.players),
        "moves": [[event.player, event.text] for event in whole.events],
        "actions": whole.history,
        "result": whole.result(),
        "opening": replay.opening,
        "values": notes,
        "noted": None if noted is None else _noted_as_json(noted),
        "complaint": complaint,
    }


def _whole(replay: FinishedGame) -> tuple[Table, str]:
    """The game to its end, or to its first illegal move with a complaint."""
    table = Table(replay.game)
    for number, move in enumerate(replay.moves, 1):
        try:
            table.play(move)
        except GameError as error:
            return table, f"move {number}: {error}"
    return table, replay.complaint


def _noted_as_json(noted: Noted) -> dict[str, Any]:
    policy = [[action, round(share, 5)] for action, share in noted.policy]
    return {"value": finite(noted.value), "policy": policy, "action": noted.action, "version": noted.version}


def _read_shard(folder: Path, shard_id: int, games: Sequence[Game]) -> list[GameRecord | TargetRecord]:
    path = folder / f"{shard_id:08d}.npz"
    with storage_errors(path):
        if path.stat().st_size > MAX_FILE:
            raise UserError(f"{path} is larger than {MAX_FILE:,} bytes")
    try:
        return [record_of_game(row, *games) for row in read_shard(folder, shard_id)]
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _read_tournament(path: Path) -> list[dict[str, Any]]:
    """The lines that are games; what a kill tore apart is passed over."""
    with storage_errors(path):
        data = path.read_bytes()
    lines = []
    for line in data.splitlines():
        try:
            record = json.loads(line)
            names, moves, returns = record["players"], record["moves"], record["returns"]
            if all(isinstance(name, str) for name in names) and all(type(move) is int for move in moves):
                forfeit = str(record.get("forfeit", ""))
                lines.append(
                    {
                        "players": names,
                        "moves": moves,
                        "returns": [float(value) for value in returns],
                        "forfeit": forfeit,
                    }
                )
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return lines
