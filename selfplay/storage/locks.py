"""One process at a time in a folder.

The lock is an `flock`, which the kernel frees when its holder dies, `kill -9` included, so no stale lock is ever left
to remove by hand. Children do not inherit it when they are spawned (the file is closed on exec); a *forked* child would
keep it held after its parent's death, which is one reason why this project only spawns.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import datetime
from pathlib import Path

from selfplay.errors import UserError
from selfplay.storage.files import storage_errors


class FolderLock:
    """Held from construction to `close`, or to the end of the process."""

    def __init__(self, file: Path) -> None:
        """Lock the folder of `file`, which says who holds it and is never removed.

        Raises `UserError` that names the holder when another process has the lock.
        """
        with storage_errors(file):
            lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(os.pread(lock, 4096, 0))
                os.close(lock)
                raise UserError(f"{file.parent} is in use by {holder}; stop it first or name another folder") from None
            except OSError:
                os.close(lock)
                raise
            started = datetime.now().astimezone().isoformat(timespec="seconds")
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(owner).encode(), 0)
        self._descriptor = lock

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


def last_holder(file: Path) -> int | None:
    """Process id of who holds the lock, or held it last; None where nobody has or the file does not say."""
    try:
        return int(json.loads(file.read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _holder(data: bytes) -> str:
    try:
        owner = json.loads(data)
        return f"process {owner['pid']} on {owner['host']}, started {owner['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
