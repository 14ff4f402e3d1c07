"""The folder of a tournament: the conditions of its games, and every game that was finished.

    DIR/
        tournament.json   conditions, names of players and who they are, sealed; a folder with this file is a tournament
        games.jsonl       one game a line, whole blocks at a time, with who its players are
        tournament.lock   held while it is played
        report.html       and its plots as PNG, after every run

Games are appended and synced when their block ends. A block counts as played when all of its games are there; the lines
of one that a kill tore apart are passed over, and the block is played again. Players and games may be added to a
tournament later: a block's games depend on its players and openings, not on who else plays.

A player keeps the name that it had when it joined, and is known again by its identity (`selfplay.tournament.players`):
a run may be moved, and named by another path.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from games import Game
from selfplay.errors import UserError, shown
from selfplay.evaluation.match import MatchGame, score_comparisons, seatings
from selfplay.evaluation.openings import Opening
from selfplay.storage.files import append_line, publish, seal, storage_errors, sweep_temporaries, unseal
from selfplay.storage.locks import FolderLock
from selfplay.tournament.players import Entrant, as_joined, is_recorded_as
from selfplay.tournament.schedule import Block

VERSION = 1
"""Version of the format of the files."""


@dataclass(frozen=True)
class Conditions:
    """The conditions that every game of a folder has in common."""

    game: str
    seed: int
    opening_plies: int | None = None
    openings: tuple[Opening, ...] = ()
    """Openings that were given; empty: they are drawn at random."""
    max_plies: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are after a round through JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


@dataclass(frozen=True)
class Kept:
    """The games of a block that are on disk."""

    first: str
    second: str
    games: tuple[MatchGame, ...]


class TournamentFolder:
    """A folder that is locked for playing."""

    def __init__(self, path: Path, conditions: Conditions) -> None:
        """Begin in `path`, or go on with what is there.

        Raises UserError for a folder of games under other conditions, for damaged settings, and where another process
        plays.
        """
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        self.path, self.conditions = path, conditions
        self._lock = FolderLock(path / "tournament.lock")
        try:
            sweep_temporaries(path)
            self._aliases = dict[str, str]()  # names of one player: all but the first by the first
            self._names, self._identities = self._read(conditions) if self._settings.exists() else ({}, {})
        except BaseException:
            self.close()
            raise

    @property
    def _settings(self) -> Path:
        return self.path / "tournament.json"

    @property
    def games(self) -> Path:
        """The file of games, one a line."""
        return self.path / "games.jsonl"

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()

    def as_joined(self, text: str, entrant: Entrant) -> Entrant:
        """The player of `text`, now `entrant`: as it was when the text joined, see `players.as_joined`."""
        recorded = self._names.get(text)
        return entrant if recorded is None else as_joined(text, entrant, recorded, self._identities.get(recorded))

    def recognise(self, entrants: Sequence[Entrant]) -> tuple[str, ...]:
        """The names of the players in this folder: as when they joined, whatever path names them now.

        Games that one player has under several names count as its own from now on, under the name that has most.
        """
        known = self._recorded()
        names = []
        for entrant in entrants:
            same = [name for name in known if self._is(entrant, name)]
            name = max(same, key=lambda one: known[one], default=entrant.name)
            if not same and name in known:
                name = f"{name} #{blake2b(entrant.identity.encode(), digest_size=4).hexdigest()}"
            self._aliases |= {other: name for other in same if other != name}
            self._identities[name] = entrant.identity
            names.append(name)
        return tuple(names)

    def _is(self, entrant: Entrant, recorded: str) -> bool:
        identity = self._identities.get(recorded)
        return identity == entrant.identity if identity is not None else is_recorded_as(entrant, recorded, self.path)

    def _recorded(self) -> dict[str, int]:
        """The games of every name; learns the identities that they were kept with."""
        known = dict.fromkeys(self._names.values(), 0)
        for line in self._read_lines():
            names, identities = (line.get("first"), line.get("second")), line.get("identities")
            for name, identity in zip(names, identities if isinstance(identities, list) else (None, None)):
                if isinstance(name, str):
                    known[name] = known.get(name, 0) + 1
                    if isinstance(identity, str):
                        self._identities.setdefault(name, identity)
        return known

    def enter(self, names: Mapping[str, str]) -> None:
        """Let these players, by their texts, be called so from now on."""
        if not names.items() <= self._names.items():
            self._names |= names
            players = {name: self._identities[name] for name in self._names.values() if name in self._identities}
            settings = {"version": VERSION, "conditions": self.conditions.to_json(), "names": self._names}
            publish(self._settings, seal(settings | {"players": players}) + b"\n")

    def add(self, block: Block, games: Sequence[MatchGame]) -> None:
        """Keep the games of a block; they are on disk afterwards."""
        names = block.names
        identities = [self._identities.get(name) for name in names]
        lines = []
        for number, game in enumerate(games):
            seats = [names[who] for who in game.seats]
            place = {"block": block.key, "first": names[0], "second": names[1], "number": number}
            record = {**place, "players": seats, "identities": identities, **dataclasses.asdict(game)}
            lines.append(json.dumps(record).encode())
        append_line(self.games, b"\n".join(lines))

    def played(self, names: Collection[str], group_size: int) -> dict[str, Kept]:
        """The games of every block between players of `names` that is there, by the block's key; `group_size` games
        have the same opening."""
        kept: dict[str, Kept] = {}
        for (key, first, second), block_games in self._blocks(group_size):
            if first in names and second in names and (key not in kept or len(kept[key].games) <= len(block_games)):
                kept[key] = Kept(first, second, block_games)
        return kept

    def scores(self, game: Game) -> dict[tuple[str, str], list[float]]:
        """The scores of the first of each pair in all games that are there."""
        by_block: dict[tuple[str, str, str], list[float]] = {}
        for block, block_games in self._blocks(len(seatings(game.num_players))):
            if block not in by_block or len(by_block[block]) <= len(block_games):
                by_block[block] = [one.score for one in score_comparisons(game, list(block_games))]
        by_pair: dict[tuple[str, str], list[float]] = {}
        for (_, first, second), scores in by_block.items():
            by_pair.setdefault((first, second), []).extend(scores)
        return by_pair

    def _blocks(self, group_size: int) -> Iterator[tuple[tuple[str, str, str], tuple[MatchGame, ...]]]:
        """(key, first, second) of every block with its games, by the names that `recognise` has chosen.

        Of a block that is there twice, the later counts, unless it has fewer games.

        A folder of many players is never in memory as a whole. What a kill tore apart is passed over.
        """
        for block, lines in itertools.groupby(self._lines(), key=operator.itemgetter(0)):
            by_number = {number: game for _, number, game in lines}
            if set(by_number) == set(range(len(by_number))) and len(by_number) % group_size == 0:
                key, *names = block
                first, second = (self._aliases.get(name, name) for name in names)
                if [first, second] != names:
                    key = f"{first} {second} {key.rpartition(' ')[2]}"
                yield (key, first, second), tuple(by_number[number] for number in range(len(by_number)))

    def _lines(self) -> Iterator[tuple[tuple[str, str, str], int, MatchGame]]:
        """Block, number and game of every line that has one."""
        for record in self._read_lines():
            try:
                fields = {field.name: record[field.name] for field in dataclasses.fields(MatchGame)}
                lists = {name: tuple(fields[name]) for name in ("moves", "seats", "returns")}
                block = str(record["block"]), str(record["first"]), str(record["second"])
                number, game = record["number"], MatchGame(**fields | lists)
            except (KeyError, TypeError):
                continue
            if isinstance(number, int):
                yield block, number, game

    def _read_lines(self) -> Iterator[dict[str, Any]]:
        """The lines that are JSON objects; what a kill tore apart is passed over."""
        if not self.games.exists():
            return
        with self.games.open("rb") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict):
                    yield record

    def _read(self, conditions: Conditions) -> tuple[dict[str, str], dict[str, str]]:
        """The names of the players so far by their texts, and their identities by their names."""
        kept = unseal(self._settings.read_bytes())
        if kept is None or kept.get("version") != VERSION:
            raise UserError(f"{self._settings} is damaged or of another version; name another folder")
        for what, value in conditions.to_json().items():
            if value != kept["conditions"][what]:
                raise UserError(
                    f"{self.path} holds another tournament: its {what} is {shown(kept['conditions'][what])}, not"
                    f" {shown(value)}; name another folder"
                )
        return kept["names"], kept.get("players", {})
