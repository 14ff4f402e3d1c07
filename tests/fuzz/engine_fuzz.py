"""Input that no program should send to a server: `python tests/fuzz/engine_fuzz.py gtp|uci|usi LINES [SEED]`.

Garbage, NULs, overlong lines, half commands, moves out of turn, and good commands between them. After every line the
position must be one that good commands lead to, and whatever was answered with an error must have changed nothing. Run
as a script, it then sends the same lines to the real command and looks how that ends.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

import games
from selfplay.engines.lines import MAX_LINE, Line, LineQueue, read_lines
from selfplay.engines.uci import UCI, USI, Dialect
from selfplay.players.player import MoveAnalysis
from selfplay.players.thinking import Thought, never, no_report
from selfplay.servers.gtp_server import GtpServer
from selfplay.servers.uci_server import UciServer

GTP_WORDS = (
    "play genmove undo clear_board boardsize komi final_score showboard list_commands known_command name version quit "
    "reg_genmove time_settings time_left final_status_list protocol_version b w black WHITE pass resign alive dead # "
    "analyze lz-analyze kata-analyze kata-genmove_analyze interval maxmoves minmoves ownership true false avoid stop "
    "gg-undo fixed_handicap set_free_handicap loadsgf kgs-time_settings none absolute canadian byoyomi 2 3 300 "
    "A1 D4 J9 K10 I5 T19 e5 9 19 0 -1 7.5 nan inf 1e400 99999999999999 \u2603 \t \x01 ="
).split(" ")
UCI_WORDS = (
    "uci isready ucinewgame position startpos fen moves go stop ponderhit setoption name value Simulations debug on "
    "nodes movetime wtime btime winc movestogo depth mate searchmoves e2e4 e7e5 g1f3 e1g1 a7a8q e2e5 0000 - w b KQkq "
    "4k3/8/8/8/8/8/8/4K2R 8/8 rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR 1 0 -1 99999999999999 x \u2603 \t \x01 ="
).split(" ")
GTP_GOOD = (
    "play b", "play w", "genmove b", "genmove w", "undo", "clear_board", "komi 7.5", "showboard", "final_score",
    "kata-analyze 10", "lz-genmove_analyze b 10", "genmove_analyze w", "set_free_handicap C3 G7 C7", "gg-undo 2",
    "time_settings 60 10 5", "kgs-time_settings byoyomi 30 5 3",
)  # fmt: skip
UCI_GOOD = (
    "position startpos",
    "position startpos moves e2e4 e7e5 g1f3",
    "position startpos moves e2e4 e7e5 g1f3 b8c6",
    "position fen 4k3/8/8/8/8/8/R7/4K3 w - - 99 80 moves a2a3 e8e7",
    "go nodes 1",
    "go movetime 1",
    "isready",
    "setoption name Simulations value 2",
)
USI_WORDS = (
    "usi isready usinewgame position startpos sfen moves go stop ponderhit gameover win setoption name value "
    "Simulations USI_Hash USI_Ponder UCI_Variant minishogi nodes wtime btime byoyomi mate 1e1d 5a5b 2e2d 3e2d P*3c "
    "1e1b+ 0000 - b w "
    "rbsgk/4p/5/P4/KGSBR 4k/5/5/5/K4 1 0 -1 99999999999999 x \u2603 \t \x01 ="
).split(" ")
USI_GOOD = (
    "position startpos",
    "position startpos moves 1e1d 5a5b",
    "position startpos moves 1e1d 5a5b 1d1e",
    "position sfen rbsgk/4p/5/P4/KGSBR b - 1 moves 1e1d",
    "go nodes 1",
    "go btime 0 wtime 0 byoyomi 1",
    "go mate 100",
    "isready",
    "setoption name Simulations value 2",
    "setoption name UCI_Variant value minishogi",
)


class AnyMove:
    """Thinks of a random legal move, at once."""

    name, needs_history = "any", False

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def think(self, pool, history, limits, should_stop=never, report=no_report) -> Thought:
        should_stop()
        legal = pool.legal(np.zeros(1, np.int64))[1].tolist()
        moves = tuple(MoveAnalysis(action, "", 1, 0.0, 1 / len(legal)) for action in legal)
        thought = Thought(int(self._rng.choice(legal)), 0.0, moves, num_simulations=1)
        report(thought)
        return thought

    def close(self) -> None:
        pass


def fuzzed(words: list[str], good: tuple[str, ...], rng: np.random.Generator) -> bytes:
    """One line, without its end."""
    kind = rng.integers(10)
    if kind == 0:
        return bytes(rng.integers(256, size=rng.integers(60), dtype=np.uint8)).replace(b"\n", b"")
    if kind == 1 and rng.integers(50) == 0:
        return b"x" * int(rng.integers(MAX_LINE - 2, 2 * MAX_LINE))
    if kind in (2, 3, 4):
        line = good[rng.integers(len(good))]
        if line.startswith("play"):
            line += f" {'ABCDEFGHJ'[rng.integers(9)]}{rng.integers(1, 10)}"
        return line.encode()
    line = " ".join(words[rng.integers(len(words))] for _ in range(rng.integers(8))).encode()
    if kind == 5 and line:  # one byte is another
        place = int(rng.integers(len(line)))
        line = line[:place] + bytes(rng.integers(256, size=1, dtype=np.uint8)) + line[place + 1 :]
    return line.replace(b"\n", b"") + (b"\0" if kind == 6 else b"")


def gtp_input(count: int, seed: int) -> bytes:
    """Lines for a GTP server, none of them `quit`."""
    rng = np.random.default_rng(seed)
    lines = (fuzzed(GTP_WORDS, GTP_GOOD, rng) for _ in range(count))
    return b"".join(line.replace(b"quit", b"quilt") + b"\n" for line in lines)


def uci_input(count: int, seed: int) -> bytes:
    """Lines for a UCI server, none of them `quit` or a search without end."""
    rng = np.random.default_rng(seed)
    lines = (fuzzed(UCI_WORDS, UCI_GOOD, rng) for _ in range(count))
    return b"".join(line + b"\n" for line in lines)


def usi_input(count: int, seed: int) -> bytes:
    """The same for a USI server of mini shogi."""
    rng = np.random.default_rng(seed)
    lines = (fuzzed(USI_WORDS, USI_GOOD, rng) for _ in range(count))
    return b"".join(line + b"\n" for line in lines)


def read(data: bytes) -> Iterator[Line]:
    """The lines as a server reads them."""
    return read_lines(io.BytesIO(data))


def fuzz_gtp(data: bytes) -> int:
    """Answer all lines, checking after each; how many changed the state."""
    game = games.load("go(board_size=9)")
    server, changes = GtpServer(game, AnyMove(0)), 0
    before = server.state()
    for line in read(data):
        answer = server.answer(line)
        after = server.state()
        assert answer == "" or (answer[0] in "=?" and answer.endswith("\n\n") and answer.count("\n\n") == 1), answer
        assert answer.isascii()
        if answer == "" or answer[0] == "?":
            assert after == before, (line, answer)
        changes += after != before
        before = after
    check_gtp(server)
    assert server.is_running
    return changes


def check_gtp(server: GtpServer) -> None:
    """The server's state is that of a fresh one that was sent its moves."""
    session, state = server.session, server.session.state
    fresh = GtpServer(session.own.game, AnyMove(0))
    for player, action in (*state.stones, *state.moves):
        assert fresh.answer(f"play {'bw'[player]} {session.own.rules.write_move(action)}") == "= \n\n"
    session.own.follow(
        (*state.stones, *state.moves), None, state.komi
    )  # the last thought may have been about the other side
    assert (fresh.session.state.board, fresh.session.own.pool.text(0)) == (state.board, session.own.pool.text(0))


def fuzz_usi(data: bytes) -> int:
    """`fuzz_uci` for mini shogi."""
    return fuzz_uci(data, "mini_shogi", USI)


def fuzz_uci(data: bytes, game: str = "chess", dialect: Dialect = UCI) -> int:
    """Answer all lines, checking after each; how many changed the state."""
    lines = LineQueue(io.BytesIO())
    server, changes = UciServer(games.load(game), lambda: AnyMove(0), lines, io.StringIO(), dialect), 0
    server.answer("isready")
    before = server.state()
    for line in read(data):
        server._out = out = io.StringIO()
        server.answer(line)
        after, said = server.state(), out.getvalue()
        assert said.isascii() and (not said or said.endswith("\n"))
        words = line.split() if isinstance(line, str) else []
        if words[:2] == ["go", "mate"] and dialect is USI:
            assert said == "checkmate notimplemented\n"
        elif words[:1] == ["go"]:
            assert said.splitlines()[-1].startswith("bestmove "), said
        elif said.startswith("info string"):
            assert after == before, (line, said)
        if words[:1] not in (["position"], [dialect.new_game], ["setoption"]):
            assert after == before, (line, said)
        changes += after != before
        before = after
    server._position.legal_actions()
    assert server.is_running
    return changes


def main() -> None:
    protocol, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    table = {"gtp": (gtp_input, fuzz_gtp), "uci": (uci_input, fuzz_uci), "usi": (usi_input, fuzz_usi)}
    make, fuzz = table[protocol]
    data = make(count, seed)
    print(f"{protocol}: {count} lines, {len(data)} bytes, {fuzz(data)} changes of state")
    more = {"gtp": ["--game", "go(board_size=9)"], "uci": [], "usi": ["--game", "mini_shogi"]}
    arguments = [protocol, "random", *more[protocol]]
    command = [sys.executable, "-m", "selfplay", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=3600, check=False)
    print(f"the command: status {done.returncode}, {len(done.stdout)} bytes of answers")
    print(done.stderr.decode(errors="replace")[-2000:])
    assert done.returncode == 0 and not done.stderr


if __name__ == "__main__":
    main()
