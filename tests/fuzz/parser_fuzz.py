"""Whatever reads text or files from outside: `python tests/fuzz/parser_fuzz.py NAME|all COUNT [SEED]`.

Good inputs are mutated (bytes flipped, parts cut out, doubled, or taken from another one, odd words and numbers put in)
and given to every reader. It must return, or raise what the command line turns into lines for a person: each of them
short and without a traceback. Run as a script, memory is limited, and a thousand inputs that take ten minutes end
the process with the place where it hangs.
"""

from __future__ import annotations

import faulthandler
import functools
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import games
from games.environments.grid_map import MAPS, parse_map
from games.environments.registry import load_environment
from selfplay.config.reader import load
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.labelled import read_positions
from selfplay.evaluation.openings import read_openings
from selfplay.notation.encoding import decode
from selfplay.notation.forms import form_of
from selfplay.players.kinds import read_player
from selfplay.storage import checkpoint, shards
from selfplay.storage.metrics import read_metrics
from selfplay.storage.tensors import publish_weights, read_weights
from selfplay.tournament.store import Conditions, TournamentFolder
from selfplay.web.pasted import read_position

ROOT = Path(__file__).parents[2]
WORDS = [
    word.encode()
    for word in "0 -1 1e400 nan inf 99999999999999999999 0x1 1_0 true null ~ [] {} () , = : ; @ / .. % # \u2603 \x00 "
    "\n \r \ufeff \t ' \" \\ &a *a !!python/object/apply:os.system !!int << --- ... %s {0} $HOME ; ( ] ) [ } size=3 "
    "rows=100000 board_size=99 simulations=1 {}".split(" ")
]
VERSION = "00000001"
"""Folder of the checkpoint."""
LONGEST_LINE = 1000
"""Characters of a line that a person gets."""
MEMORY = 6_000_000_000
"""Bytes of address space of the script."""
PATIENCE = 600
"""Seconds for a thousand inputs."""


@dataclass(frozen=True)
class Reader:
    """Something that reads what may be wrong."""

    seeds: Callable[[], list[bytes]]
    """Good inputs."""
    read: Callable[[bytes, Path], object]
    """Reads one, in a folder of its own. Raises ValueError (GameError is one) or UserError for a bad one."""


def mutated(seeds: list[bytes], rng: np.random.Generator) -> bytes:
    """A good input after one to four changes."""
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(len(data) + 1))
        stop = min(len(data), place + int(rng.integers(1, 12)))
        kind = rng.integers(8)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << rng.integers(8)
        elif kind == 1:
            del data[place:stop]
        elif kind == 2:
            data[place:place] = data[place:stop] * int(rng.integers(1, 30))
        elif kind in (3, 4):
            data[place:place] = WORDS[rng.integers(len(WORDS))]
        elif kind == 5:
            other = seeds[rng.integers(len(seeds))]
            data[place:] = other[int(rng.integers(len(other) + 1)) :]
        elif kind == 6:
            del data[place:]
        else:
            data[place:stop] = bytes(rng.integers(256, size=stop - place, dtype=np.uint8))
    return bytes(data)


def takes(name: str, data: bytes, folder: Path) -> bool:
    """Whether a reader takes an input. Raises AssertionError where it neither takes nor refuses it as it should."""
    try:
        READERS[name].read(data, folder)
    except (UserError, games.GameError) as error:
        assert "Traceback" not in str(error), (name, data)
        assert all(len(line) <= LONGEST_LINE for line in str(error).splitlines()), (name, data)
        return False
    except Exception as error:
        raise AssertionError(f"{name}: {data!r}") from error
    return True


def fuzz(name: str, count: int, seed: int) -> tuple[int, int]:
    """Give a reader `count` inputs; returns how many it took and how many it refused. Raises AssertionError."""
    rng, seeds = np.random.default_rng([seed, sorted(READERS).index(name)]), READERS[name].seeds()
    with tempfile.TemporaryDirectory() as folder:
        for good in seeds:
            assert takes(name, good, Path(folder)), (name, good)  # or the mutations would show nothing
        taken = sum(takes(name, mutated(seeds, rng), Path(folder)) for _ in range(count))
    return taken, count - taken


def text(data: bytes) -> str:
    """As a program gets it from the command line."""
    return data.decode(errors="surrogateescape").replace("\0", "")


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of files."""

    def reading(data: bytes, folder: Path) -> object:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return reading


def configs() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


def shard() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        records = [{"a": rng.normal(size=(n, 2)), "b": np.array(n)} for n in (3, 4)]
        return [shards.write_shard(Path(folder), 0, records, 7).read_bytes()]


def weights() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        publish_weights(path, {"a": torch.ones(2, 3), "b": torch.zeros(4)}, 7)
        return [path.read_bytes()]


@functools.cache
def saved() -> dict[str, bytes]:
    """The files of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        state = checkpoint.Checkpoint(1, {"a": torch.ones(3)}, {"b": torch.ones(2)}, {"steps": 1})
        checkpoint.save(Path(folder), state)
        return {path.name: path.read_bytes() for path in sorted((Path(folder) / VERSION).iterdir())}


def checkpoint_files() -> list[bytes]:
    """The contents of the files, which of them in the first byte."""
    return [bytes([number]) + content for number, content in enumerate(saved().values())]


def read_checkpoint(data: bytes, folder: Path) -> object:
    files = dict(saved())
    if data:
        files[list(files)[data[0] % len(files)]] = data[1:]
    place = folder / "checkpoints" / VERSION
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)
    return checkpoint.load(folder / "checkpoints")


CONDITIONS = Conditions("connect_four", 1)


def tournament_lines() -> list[bytes]:
    game = {"block": "a|b|0", "first": "a", "second": "b", "number": 0, "players": ["a", "b"], "seats": [0, 1]}
    rest = {"opening": [3], "moves": [3, 3, 2], "returns": [1.0, -1.0], "seconds": [0.1, 0.2]}
    return [repr(game | rest).replace("'", '"').encode()]


def read_tournament(data: bytes, folder: Path) -> object:
    (folder / "t").mkdir(exist_ok=True)
    (folder / "t" / "games.jsonl").write_bytes(data)
    tournament = TournamentFolder(folder / "t", CONDITIONS)
    try:
        return tournament.played("ab", 2), tournament.scores(loaded("connect_four"))
    finally:
        tournament.close()


GAMES = [
    "connect_four", "hex(board_size=5)", "openspiel:othello", "go(board_size=5)", "mnk(m=3,n=4,k=3)", "chess", "2048",
    "openspiel:hex(num_cols=4,num_rows=4)", "othello", "connect_four(rows=5,columns=6,x_in_row=3)", "cart_pole", "pig",
]  # fmt: skip
PLAYERS = [
    "random", "mcts:simulations=100", "uniform:simulations=10,c=1.5", "solver", "human", "net:runs/x@3",
    "run:runs/x@12:simulations=64,symmetries=true", "gtp:gnugo --mode gtp:level=1", "uci:stockfish:skill=0,movetime=10",
]  # fmt: skip
ENVIRONMENTS = [
    "CartPole-v1", "grid_world(map=cliff)", "game:tic_tac_toe", "CartPole-v1(sutton_barto_reward=true)",
]  # fmt: skip
FLAGS = [
    "--learner.batch-size 32 --budget.minutes=3", "--game hex(board_size=5) --learner.no-symmetries",
    "--evaluation.opponents random mcts:simulations=5 --seed 3",
]  # fmt: skip
METRICS = [
    b'{"step": 1, "positions": 2, "time_s": 0.5}\n{"step": 2, "positions": 9, "time_s": 1.5, "eval/elo": null}\n'
]
OPENINGS = [b'{"moves": [3, 3, 2]}\n{"moves": [0]}\n', b'{"moves": [], "x": 1}\n']
GRID = "connect_four", "go(board_size=9)", "chess", "tic_tac_toe"
PASTED = [
    b"4 4 3 2", b"[3, 3, 2]", b".......\n.......\n.......\n.......\n...o...\n...x...", b"1. e4 e5 2. Nf3 {good} Nc6",
    b"(;GM[1]SZ[9]KM[7.5];B[ee];W[cc])",
]  # fmt: skip
SGF = [
    b"(;FF[4]GM[1]CA[UTF-8]SZ[9:9]KM[7.5]PB[a \\] b]RE[B+];B[ee]C[x](;W[cc];B[])(;W[dd]AB[aa:cc]))",
    b"(;GaMe[1]SiZe[9];Black[ee]BL[3];White[tt])(;SZ[9]PL[B]HA[0]AE[aa];B[aa])",
    b"\xef\xbb\xbf x (;SZ[9];B[ba];W[ab])",
]
PGN = [
    b'[Event "a \\"b\\""]\r\n[SetUp "0"]\r\n\r\n1. e4! {x} e5 $1 (1... c5 2. Nf3 (2. c3)) 2. Nf3 ; y\r\n% z\r\nNc6 *',
    b"1.e2e4 d7d5 2.exd5 Qd8xd5 3.Nc3 Qa5 4. d4 Bf5 5. Bd2 Nc6 6. Bb5 0-0-0 1/2-1/2", b"e4 -+ e5",
    b'[White "\xe4"]\n1. d4 d5\n\n[FEN "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"]\n1. c4 c5',
]  # fmt: skip


def read_pasted(data: bytes, folder: Path) -> object:
    """As the first of several games that takes it."""
    refusal: UserError | None = None
    for name in GRID:
        try:
            return read_position(loaded(name), data.decode(errors="replace"))
        except UserError as error:
            refusal = error
    assert refusal is not None
    raise refusal


def file_of(name: str) -> Callable[[bytes, Path], object]:
    """A reader of files with games of `name`."""

    def reading(data: bytes, folder: Path) -> object:
        form = form_of(loaded(name))
        assert form is not None
        return form.read(loaded(name), decode(data))

    return reading


@functools.cache
def loaded(name: str) -> games.Game:
    return games.load(name)


READERS = {
    "config": Reader(configs, in_file("c.yaml", lambda path: load(Config, path))),
    "flags": Reader(
        lambda: [flags.encode() for flags in FLAGS], lambda data, _: load(Config, None, text(data).split(" "))
    ),
    "player": Reader(lambda: [player.encode() for player in PLAYERS], lambda data, _: read_player(text(data))),
    "game": Reader(lambda: [game.encode() for game in GAMES], lambda data, _: games.load(text(data))),
    "environment": Reader(
        lambda: [name.encode() for name in ENVIRONMENTS], lambda data, _: load_environment(text(data))
    ),
    "map": Reader(lambda: [m.encode() for m in MAPS.values()], lambda data, _: parse_map("m", text(data))),
    "positions": Reader(
        lambda: (ROOT / "benchmarks" / "data" / "connect_four_positions.jsonl").read_bytes().splitlines()[:5],
        in_file("p.jsonl", read_positions),
    ),
    "openings": Reader(lambda: OPENINGS, in_file("o.jsonl", lambda path: read_openings(path, loaded("connect_four")))),
    "metrics": Reader(lambda: METRICS, in_file("m.jsonl", lambda path: list(read_metrics(path)))),
    "shard": Reader(shard, in_file("00000000.npz", lambda path: shards.read_shard(path.parent, 0))),
    "weights": Reader(weights, in_file("w.safetensors", read_weights)),
    "checkpoint": Reader(checkpoint_files, read_checkpoint),
    "tournament": Reader(tournament_lines, read_tournament),
    "pasted": Reader(lambda: PASTED + SGF[:1] + PGN[:2], read_pasted),
    "sgf": Reader(lambda: SGF, file_of("go(board_size=9)")),
    "pgn": Reader(lambda: PGN, file_of("chess")),
}


def main() -> None:
    """Fuzz one reader or all of them, and say what they did."""
    name, count, *seed = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for reader in sorted(READERS) if name == "all" else [name]:
        taken = refused = 0
        for block in range(0, int(count), 1000):
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            more = fuzz(reader, min(1000, int(count) - block), int(seed[0] if seed else 0) * 10**6 + block)
            taken, refused = taken + more[0], refused + more[1]
        faulthandler.cancel_dump_traceback_later()
        print(f"{reader}: {taken} taken, {refused} refused", flush=True)


if __name__ == "__main__":
    main()
