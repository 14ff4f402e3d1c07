"""How strong engines of others are beside plain MCTS: the ladder by which targets are set, before anything is trained.

    python benchmarks/ladder.py --out runs/ladder.jsonl --games 20
    python benchmarks/ladder.py --out runs/ladder.jsonl --table > ladder.md
    python benchmarks/ladder.py --out runs/ladder.jsonl --only 'go 7x7' --players run:RUN_DIR:simulations=400

Every PLAYER meets every engine of every rung of the table `LADDER`, in `selfplay match`'s manner. Small boards of Go
have a fixed colour, no random opening, and the komi at which that colour just wins with the best play. Each match is a
line of FILE with all its moves. Games that are there already are not played again, so the script may be stopped at any
time, and `--games` may be raised later. A pairing that fails (no such engine, no such game) is reported and left out.

What limits an engine is a number of nodes, never time: a busy machine changes no result.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import machine_header

import games
from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress
from selfplay.errors import UserError
from selfplay.evaluation.match import BOTH, groups_of, play_match
from selfplay.players.kinds import parse_player
from selfplay.stats.intervals import score_interval
from selfplay.storage.files import append_line

GNU_GO = "gtp:gnugo --mode gtp --chinese-rules --capture-all-dead --never-resign --positional-superko --seed {seed}"
"""GNU Go by our rules; without the last options it resigns, plays repetitions, and leaves dead stones on the board."""

PLAYERS = tuple(f"mcts:simulations={number}" for number in (1_000, 10_000, 100_000))


@dataclass(frozen=True)
class Rung:
    """A game, how it is played, and the engines that are met in it."""

    name: str
    game: str
    engines: dict[str, str]
    """PLAYERs by the names that the table has for them; `{seed}` becomes the seed of the match."""
    colour: str = BOTH
    opening_plies: int | None = None


def _gnu_go(name: str, game: str, colour: str = BOTH, opening_plies: int | None = 0) -> Rung:
    engines = {f"GNU Go {level}": f"{GNU_GO}:level={level}" for level in (0, 1, 5, 10)}
    return Rung(name, game, engines, colour, opening_plies)


def _fairy(name: str, game: str, skills: Sequence[int] = (0, 3, 5, 10), nodes: int = 10_000) -> Rung:
    """Fairy-Stockfish. Skill L picks its move at depth 1 + L, so the nodes have to suffice for that depth."""
    engines = {f"skill {skill}": f"uci:fairy-stockfish:skill={skill},nodes={nodes}" for skill in skills}
    return Rung(name, game, {**engines, "full, 1,000 nodes": "uci:fairy-stockfish:nodes=1000"})


LADDER = (
    _gnu_go("Go 5x5, komi 24.5, PLAYER is Black", "go(board_size=5,komi=24.5)", "first"),
    _gnu_go("Go 7x7, komi 8.5, PLAYER is Black", "go(board_size=7,komi=8.5)", "first"),
    _gnu_go("Go 7x7, komi 9.5, PLAYER is White", "go(board_size=7,komi=9.5)", "second"),
    _gnu_go("Go 9x9, komi 7.5", "go(board_size=9,komi=7.5)", opening_plies=2),
    _fairy("Breakthrough 8x8", "breakthrough"),
    _fairy("Gardner chess", "gardner_chess"),
    _fairy("Animal shogi", "animal_shogi"),
    _fairy("Mini shogi", "mini_shogi"),
    Rung("Othello 8x8", "othello", {f"GRhino {n}": f"gtp:gtp-rhino --level={n}" for n in (1, 2, 3)}),
    Rung("Chess", "chess", {f"Stockfish skill {n}": f"uci:stockfish:skill={n},nodes=10000" for n in (0, 3, 5)}),
)


@dataclass(frozen=True)
class Pairing:
    """A player and an engine at a rung."""

    rung: Rung
    player: str
    engine: str
    """As `Rung.engines` names it."""

    @property
    def key(self) -> dict[str, Any]:
        """What tells its lines from those of others."""
        rung = self.rung
        return {
            "game": rung.game,
            "player": self.player,
            "engine": rung.engines[self.engine],
            "colour": rung.colour,
            "opening_plies": rung.opening_plies,
        }


@dataclass
class Played:
    """The games of a pairing that are there."""

    scores: list[float] = dataclasses.field(default_factory=list)
    """Of the player, in groups of an opening."""
    moves: set[tuple[int, ...]] = dataclasses.field(default_factory=set)


def pairings(players: Sequence[str], only: Sequence[str] = (), engines: Sequence[str] = ()) -> list[Pairing]:
    """Player by player, so that the quick ones come first. Raises UserError where `only` names no rung.

    `only` are parts of names of rungs, `engines` names of engines; empty for all.
    """
    rungs = [rung for rung in LADDER if not only or any(text.lower() in rung.name.lower() for text in only)]
    if not rungs:
        raise UserError(f"--only: no rung has that name; the rungs are: {'; '.join(rung.name for rung in LADDER)}")
    found = [Pairing(rung, player, engine) for player in players for rung in rungs for engine in rung.engines]
    found = [pairing for pairing in found if not engines or pairing.engine in engines]
    if not found:
        raise UserError(
            f"--engines: these rungs have {', '.join(sorted({name for rung in rungs for name in rung.engines}))}"
        )
    return found


def read(path: Path, found: Sequence[Pairing]) -> list[Played]:
    """The games of each pairing in a file; lines without an end are passed over. Raises UserError."""
    played = [Played() for _ in found]
    try:
        lines = path.read_text().splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError):
        raise UserError(f"--out: {path} cannot be read") from None
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
        except ValueError:  # the script was killed while it wrote, or there is nothing in the line
            continue
        try:
            key, scores, moves = line["pairing"], line["scores"], [tuple(game) for game in line["moves"]]
        except (TypeError, KeyError):
            raise UserError(f"--out: {path}, line {number}: no match of this script") from None
        for pairing, games_there in zip(found, played):
            if pairing.key == key:
                games_there.scores += scores
                games_there.moves |= set(moves)
    return played


def play(pairing: Pairing, num_games: int, num_before: int, path: Path) -> list[float]:
    """Play games and write them as a line of the file: their scores. Raises UserError, GameError."""
    key = pairing.key
    drawn = np.random.SeedSequence([zlib.crc32(json.dumps(key).encode()), num_before]).generate_state(3)
    seed, *seeds = (int(number) for number in drawn)
    game = games.load(pairing.rung.game)
    players = []
    try:
        for text, own in zip((pairing.player, key["engine"].format(seed=seed % 10**6)), seeds):
            players.append(parse_player(text, game, own))
        began = time.monotonic()
        result = play_match(
            game,
            players[0],
            players[1],
            num_games,
            seed,
            opening_plies=pairing.rung.opening_plies,
            on_progress=show_progress("games"),
            colour=pairing.rung.colour,
        )
    finally:
        for player in players:
            player.close()
    line = {
        "pairing": key,
        "scores": [record.score for record in result.records],
        "moves": [record.moves for record in result.records],
        "seconds": round(time.monotonic() - began, 1),
        "machine": " ".join(machine_header().split("\n")),
    }
    append_line(path, json.dumps(line).encode())
    return line["scores"]


def cell(rung: Rung, played: Played) -> str:
    """A result as the table has it: score, interval, number of games, and of distinct ones where they are fewer."""
    if not played.scores:
        return ""
    low, high = score_interval(groups_of(games.load(rung.game), played.scores, rung.colour))
    score, number, distinct = np.mean(played.scores), len(played.scores), len(played.moves)
    count = f"{number}" if distinct == number else f"{number}, {distinct} distinct"
    return f"{100 * score:.0f} % ({100 * low:.0f} to {100 * high:.0f}; {count})"


def table(found: Sequence[Pairing], played: Sequence[Played]) -> Iterator[str]:
    """Lines of Markdown: a table a rung, an engine a row, a player a column; what was not played is left out."""
    cells = {
        (pairing.rung.name, pairing.engine, pairing.player): cell(pairing.rung, there)
        for pairing, there in zip(found, played)
    }
    players = list(dict.fromkeys(pairing.player for pairing in found))
    for rung in dict.fromkeys(pairing.rung.name for pairing in found):
        engines = list(dict.fromkeys(pairing.engine for pairing in found if pairing.rung.name == rung))
        rows = [[engine, *(cells[rung, engine, player] for player in players)] for engine in engines]
        rows = [row for row in rows if any(row[1:])]
        if rows:
            yield from ("", f"| {rung} | {' | '.join(players)} |", "|---" * (1 + len(players)) + "|")
            yield from (f"| {' | '.join(row)} |" for row in rows)


def run(arguments: argparse.Namespace) -> None:
    """Play what is missing, unless only the table is wanted; then print the table."""
    found = pairings(arguments.players, arguments.only, arguments.engines)
    played = read(arguments.out, found)
    deadline = time.monotonic() + 60 * arguments.minutes if arguments.minutes else None
    failed = set()
    for pairing, there in zip(found, played) if not arguments.table else ():
        while (missing := arguments.games - len(there.scores)) > 0:
            if deadline is not None and time.monotonic() > deadline:
                break
            name = f"{pairing.rung.name}: {pairing.player} against {pairing.engine}"
            try:
                play(pairing, min(missing, arguments.batch), len(there.scores), arguments.out)
            except (UserError, games.GameError) as error:
                if str(error) not in failed:
                    print(f"ladder: {name}: {error}", file=sys.stderr, flush=True)
                failed.add(str(error))
                break
            there.scores, there.moves = vars(read(arguments.out, [pairing])[0]).values()
            print(f"{name}: {cell(pairing.rung, there)}", file=sys.stderr, flush=True)
    print("Score of PLAYER (95 % interval; games)", *table(found, played), sep="\n")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", metavar="FILE.jsonl", type=Path, required=True, help="the matches, read and added to")
    parser.add_argument("--games", metavar="N", type=integer(2, 10**6), default=20, help="games of a pairing (20)")
    parser.add_argument("--batch", metavar="N", type=integer(2, 10**6), default=20, help="games of a line (20)")
    parser.add_argument("--players", metavar="PLAYER", nargs="+", default=PLAYERS, help="mcts of 1,000 to 100,000")
    parser.add_argument("--only", metavar="TEXT", nargs="+", default=(), help="rungs with one of these in their name")
    parser.add_argument("--engines", metavar="NAME", nargs="+", default=(), help="engines by the names of the table")
    parser.add_argument("--minutes", metavar="M", type=float, help="begin no match after so many minutes")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, play nothing")
    arguments = parser.parse_args(words)
    try:
        if arguments.games % 2 or arguments.batch % 2:
            raise UserError("--games, --batch: colours change, so even numbers are needed")
        run(arguments)
    except UserError as error:
        print(f"ladder: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
