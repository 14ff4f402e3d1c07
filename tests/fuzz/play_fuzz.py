"""Input that nobody should type at the terminal game: `python tests/fuzz/play_fuzz.py LINES [SEED]`.

Garbage, NULs, overlong lines, half words, commands, moves of other positions, and good moves between them. Only a legal
move or `undo` may change the game, and each as it should. Run as a script, it then sends the same lines to the real
command, game after game, and looks how that ends.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import games
from selfplay.drawings.boards import look_at
from selfplay.players.human import MAX_LINE, Terminal, TerminalGame, place_name
from selfplay.players.kinds import parse_player

GAMES = ("connect_four", "tic_tac_toe", "go(board_size=5)", "chess", "2048", "pig")
"""Moves as columns, as points and as text; chance; one player."""

WORDS = (
    "moves board hint undo help resign quit exit q Moves UNDO x3 o3 X0 x(1,1) B A1 b a1 PASS e4 e2e4 Nf3 O-O up roll "
    "0 1 2 3 4 5 6 -1 07 +3 3.0 1e0 0x3 99999999999999 \u0663 \u2603 \U0001f4a5 nan "
    "None True ' [ ] % {} \\ \t \x01 \x1b[2J ="
).split(" ")
ENDINGS = (b"quit", b"exit", b"q", b"resign")


def fuzzed(rng: np.random.Generator, moves: Sequence[str]) -> bytes:
    """One line, without its end; `moves` are texts and numbers of moves that are now and then legal."""
    kind = rng.integers(12)
    if kind == 0:
        return bytes(rng.integers(256, size=rng.integers(60), dtype=np.uint8)).replace(b"\n", b"")
    if kind == 1 and rng.integers(50) == 0:
        return b"x" * int(rng.integers(MAX_LINE - 2, 3 * MAX_LINE))
    if kind in (2, 3, 4):
        return str(rng.choice(moves)).encode()
    line = " ".join(WORDS[rng.integers(len(WORDS))] for _ in range(rng.integers(1 if kind == 5 else 4))).encode()
    if kind in (6, 7):
        line = WORDS[rng.integers(len(WORDS))].encode()
    if kind == 8 and line:  # one byte is another
        place = int(rng.integers(len(line)))
        line = line[:place] + bytes(rng.integers(256, size=1, dtype=np.uint8)) + line[place + 1 :]
    return line.replace(b"\n", b"") + (b"\0" if kind == 9 else b"")


def typed_moves(game: games.Game) -> list[str]:
    """Texts and numbers of the moves of a random game."""
    rng, pool, place = np.random.default_rng(0), game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(place)
    found: list[str] = []
    for _ in range(30):
        to_play = pool.to_play(place)[0]
        if to_play == games.TERMINAL:
            break
        if to_play == games.CHANCE:
            action = int(rng.choice(pool.chance(place)[1]))
        else:
            legal = pool.legal(place)[1].tolist()
            action = int(rng.choice(legal))
            found += [text for move in legal for text in (pool.action_text(0, move), str(move))]
        pool.step(place, np.array([action]), place)
    return found


def play_input(name: str, count: int, seed: int) -> list[bytes]:
    """Lines for a game, with their ends."""
    rng, moves = np.random.default_rng(seed), typed_moves(games.load(name))
    return [fuzzed(rng, moves) + b"\n" for _ in range(count)]


class Keyboard(io.TextIOWrapper):
    """Typed lines, decoded as the command decodes them; says when the game asks for the next one."""

    referee: Referee | None = None
    at_end = False

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8", errors="replace")

    def readline(self, size: int = -1, /) -> str:
        line = super().readline(size)
        self.at_end = not line
        if self.referee is not None:
            self.referee.typed(line)
        return line


class Referee:
    """Compares the game before and after each line."""

    def __init__(self, session: TerminalGame) -> None:
        self.changes = 0
        self._session = session
        self._line = ""
        self._before: State | None = None

    def typed(self, line: str) -> None:
        """All lines before `line` have been dealt with."""
        self.check()
        self._line = line

    def check(self) -> None:
        """What has happened since the last line was typed is what it stands for."""
        before, after, line = self._before, read_state(self._session), self._line.strip()
        self._before = after
        if before is None or after == before:
            return
        self.changes += 1
        if line == "undo":
            assert len(after.history) < len(before.history), line
            assert after.history == before.history[: len(after.history)], line
        else:
            following = len(before.history)
            assert after.history[:following] == before.history, line
            names = before.legal[after.history[following]]  # fails where the move was not legal
            assert line.lower() in names, (line, names)


@dataclass(frozen=True)
class State:
    """All that a line might change."""

    history: list[int]
    legal: dict[int, set[str]]
    """Moves of the person, each with its names in small letters; empty at the end of the game."""
    board: str
    returns: list[float]


def read_state(session: TerminalGame) -> State:
    """The state of a game in which the person is to move, or which is over."""
    pool = session.pool
    view = look_at(pool, 0)
    moves = view.legal if view.to_play == session.seat else ()
    legal = {action: {text.lower(), str(action), place_name(view, action)} for action, text in moves}
    return State(list(session.history), legal, pool.text(0), session.returns.tolist())


def check_history(session: TerminalGame) -> None:
    """The position is that of a fresh game with the same moves."""
    pool, slot = session.game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(slot)
    returns = np.zeros(session.game.num_players)
    for action in session.history:
        is_chance = pool.to_play(slot)[0] == games.CHANCE
        assert action in (pool.chance(slot) if is_chance else pool.legal(slot))[1]
        returns += pool.step(slot, np.array([action]), slot)[1][0]
    assert (pool.text(0), returns.tolist()) == (session.pool.text(0), session.returns.tolist())


def fuzz_play(name: str, lines: Sequence[bytes], seed: int) -> tuple[int, int]:
    """Type all lines, into a new game after each that ends: how many changed a game, and how many games there were."""
    game, keyboard = games.load(name), Keyboard(b"".join(lines))
    changes = count = 0
    while not keyboard.at_end:
        rng, screen = np.random.default_rng([seed, count]), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        player = parse_player(("random", "mcts:simulations=2")[count % 2], game, seed)
        session = TerminalGame(game, player, count % game.num_players, Terminal(keyboard, screen), rng)
        keyboard.referee = Referee(session)
        session.run()
        keyboard.referee.check()
        check_history(session)
        screen.seek(0)
        assert "Traceback" not in screen.read()
        changes, count = changes + keyboard.referee.changes, count + 1
    return changes, count


def play_command(lines: Sequence[bytes], seed: int) -> int:
    """Send all lines to the command, which ends with its game and is then started again; how many games there were."""
    command = [sys.executable, "-m", "selfplay", "play", "random", "--game", "go(board_size=19)", "--seed", str(seed)]
    start = count = 0
    while start < len(lines):
        data = b"".join(lines[start:])
        done = subprocess.run(command, input=data, capture_output=True, timeout=3600, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")[-2000:]
        start, count = start + done.stdout.count(b"your move> "), count + 1
    return count


def main() -> None:
    num_lines, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for number, name in enumerate(GAMES):
        lines = play_input(name, -(-num_lines // len(GAMES)), seed + number)
        size = sum(map(len, lines))
        changes, count = fuzz_play(name, lines, seed)
        print(f"{name}: {len(lines)} lines, {size} bytes, {changes} changes in {count} games", flush=True)
    lines = [line for line in play_input("go(board_size=19)", num_lines, seed) if line.strip() not in ENDINGS]
    print(f"the command: {len(lines)} lines, {play_command(lines, seed)} games, each ended with status 0")


if __name__ == "__main__":
    main()
