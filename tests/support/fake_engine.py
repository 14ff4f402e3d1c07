"""An engine for tests, run as `python fake_engine.py PROTOCOL BEHAVIOUR [LOG] [MOVES]`: it answers, or misbehaves.

GTP and UCI alike. LOG is a file that gets every line it was sent, after `start` for each start. Behaviours other than
`moves`, which plays MOVES (comma-separated) in turn, again and again:

* `ends` stops at a request for a move, `ends-once` only in its first life; `silent` answers it never
* `garbage` answers nothing in the protocol; `flood` writes without end; `child` starts a process and falls silent
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import cycle

protocol, behaviour, log, moves = (sys.argv[1:] + ["", "", "", ""])[:4]
playing = cycle(moves.split(",") if moves else ["pass"])
OPTIONS = "option name Skill Level type spin default 20 min 0 max 20\noption name Hash type spin default 16 min 1 max 9"
if variants := os.environ.get("FAKE_VARIANTS"):  # e.g. "chess gardner"
    OPTIONS += f"\noption name UCI_Variant type combo default chess {' '.join(f'var {v}' for v in variants.split())}"


def note(text: str) -> int:
    """Keep a line in the log; how many starts it has."""
    if not log:
        return 1
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    with open(log, encoding="utf-8") as file:
        return file.read().split("\n").count("start")


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def misbehave(starts: int) -> None:
    """What this engine does instead of a move, if anything."""
    if behaviour == "ends" or (behaviour == "ends-once" and starts == 1):
        sys.exit("out of cheese")
    if behaviour == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if behaviour in ("silent", "child"):
        time.sleep(600)
    while behaviour == "flood":
        say("x" * 65536)
    while behaviour == "chatter":
        say("info string still thinking\n")


def answer_gtp(words: list[str], starts: int) -> str:
    if words[0] == "list_commands":
        return "= boardsize\nclear_board\nkomi\nplay\ngenmove\nset_game\nlevel\n\n"
    if words[0] == "boardsize" and words[1] == "7":
        return "? unacceptable size\n\n"
    if words[0] == "play" and words[2] == "pass":
        return "? syntax error\n\n"
    if words[0] == "genmove":
        misbehave(starts)
        return f"= {next(playing)}\n\n"
    return "=\n\n"


def answer_uci(words: list[str], starts: int) -> str:
    if words[0] in ("uci", "usi"):
        return f"id name fake\n{OPTIONS}\n{words[0]}ok\n"
    if words[0] == "isready":
        return "readyok\n"
    if words[0] == "go":
        misbehave(starts)
        return f"info depth 1 score cp 0\nbestmove {next(playing)} ponder a7a6\n"
    return ""


def main() -> None:
    starts = note("start")
    if behaviour == "garbage":
        say("hello, I speak nothing\n" * 3)
    for line in sys.stdin:
        note(line.rstrip("\n"))
        words = line.split()
        if not words or behaviour == "garbage":
            continue
        if words[0] == "quit":
            return
        say(answer_gtp(words, starts) if protocol == "gtp" else answer_uci(words, starts))


main()
