"""Named places where a test can stop the program, so that each gap between two system calls is hit on purpose.

A kill at a random time rarely lands between a write and its rename. The code calls `failpoint(NAME)` at each such gap;
nothing happens unless the environment variable `SELFPLAY_FAILPOINT` names it when the process starts:

    SELFPLAY_FAILPOINT=checkpoint.before_rename:kill     SIGKILL to the process itself
    SELFPLAY_FAILPOINT=checkpoint.before_rename:raise    raise `FailpointReached`
    SELFPLAY_FAILPOINT=checkpoint.before_rename:kill:3   the third time that the place is reached

Places: `checkpoint.*`, `shard.*`, `replay.*`, `weights.*` and `publish.*` (any other file), each with `after_open`,
`mid_write`, `before_fsync` and `before_rename`; and `checkpoint.before_manifest`, `checkpoint.after_rename`,
`checkpoint.during_prune`, `shard.before_manifest`, `shard.during_trim`, `replay.before_manifest`,
`replay.before_remove`.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

VARIABLE = "SELFPLAY_FAILPOINT"


class FailpointReached(RuntimeError):
    """Raised by an armed failpoint whose action is `raise`."""


@dataclass
class _Armed:
    name: str
    action: str
    remaining: int  # visits until it fires


_armed: _Armed | None = None


def arm(text: str) -> None:
    """Arm `NAME:kill`, `NAME:raise` or `NAME:ACTION:COUNT`; the empty string disarms. Replaces what was armed."""
    global _armed
    if not text:
        _armed = None
        return
    name, _, rest = text.partition(":")
    action, _, count = rest.partition(":")
    if action not in ("kill", "raise") or not (count or "1").isdigit():
        raise ValueError(f"{VARIABLE}: {text!r} is not NAME:kill, NAME:raise or NAME:ACTION:COUNT")
    _armed = _Armed(name, action, int(count or "1"))


def failpoint(name: str) -> None:
    """Stop here if this place is armed; otherwise do nothing."""
    if _armed is None or _armed.name != name:
        return
    _armed.remaining -= 1
    if _armed.remaining != 0:
        return
    if _armed.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise FailpointReached(name)


arm(os.environ.get(VARIABLE, ""))
