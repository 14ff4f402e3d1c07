"""Options of the players that are engines: `gtp:COMMAND:level=1,seconds=2`, `uci:COMMAND:skill=0,nodes=1000`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _option(default: Any, help: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"help": help, "min": low, "max": high})


def _timeout_option() -> Any:
    return _option(60.0, "seconds that an answer may take, beyond the time given for a move", 0.1, 86_400)


@dataclass(frozen=True)
class GtpOptions:
    """Options of `gtp`."""

    level: int | None = _option(None, "strength, by the command `level` (GNU Go: 0 to 10)", 0, 1000)
    seconds: int | None = _option(None, "time for a move, by the command `time_settings`", 1, 86_400)
    timeout: float = _timeout_option()


@dataclass(frozen=True)
class UciOptions:
    """Options of `uci` and `usi`. With none of `nodes`, `depth` and `movetime`, a move gets `movetime=100`."""

    skill: int | None = _option(None, "the engine's `Skill Level` (Stockfish: 0 to 20)", -20, 100)
    elo: int | None = _option(None, "the engine's `UCI_Elo`, with `UCI_LimitStrength`", 0, 10_000)
    nodes: int | None = _option(None, "nodes a move", 1, 10**12)
    depth: int | None = _option(None, "plies that are searched", 1, 1000)
    movetime: int | None = _option(None, "milliseconds a move", 1, 86_400_000)
    threads: int | None = _option(None, "the engine's `Threads`", 1, 1024)
    hash: int | None = _option(None, "the engine's `Hash` (`USI_Hash`), in megabytes", 1, 1_000_000)
    timeout: float = _timeout_option()
