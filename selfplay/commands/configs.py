"""List the settings that come with selfplay, by the names that `train`, `plan`, `bench` and `show-config` take."""

from __future__ import annotations

import argparse

from selfplay.shipped import SETTINGS, first_comment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: all are listed."""


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Print a line for each file: its name and its first comment."""
    files = SETTINGS.files()
    width = max(map(len, files), default=0)
    for name, path in files.items():
        print(f"{name:{width}}  {first_comment(path)}")
    return 0
