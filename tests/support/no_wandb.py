"""An environment that says nothing of W&B."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def forget_wandb(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Remove all variables of W&B, and credentials."""
    for name in [name for name in os.environ if name.startswith("WANDB_") or name == "NETRC"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
