"""Which runs belong together: those that differ in nothing but seed and name are one group, a seed each.

A group has one game. Groups of several games with the same label are the same method (`Group.label`) on each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.errors import UserError
from selfplay.reports.runs import Run, read_run

LONGEST_LABEL = 48

_GAME_SETTINGS = ("game", "environment")
_NOT_COMPARED = ("name", "seed", *_GAME_SETTINGS)
_NOT_COMPARED_SECTION = "wandb."


@dataclass(frozen=True)
class Group:
    """Runs of one game that a report draws as one."""

    label: str
    game: str
    runs: tuple[Run, ...]


def read_groups(paths: Sequence[str], named: Sequence[str], notes: list[str]) -> list[Group]:
    """Groups in the order given: those with a name (`NAME=RUN,RUN`), then the other runs by their settings.

    Runs without any row yet are left out, with a line in `notes`. Raises UserError for texts that are no group, runs
    that do not exist, are damaged or are given twice, and when nothing is left.
    """
    members = _split_named(named)
    seen: set[Path] = set()
    by_label = {label: _read(texts, seen, notes) for label, texts in members.items()}
    others = _by_settings(_read(paths, seen, notes), set(by_label))
    if not seen:
        raise UserError("report: name at least one run")
    groups = [
        Group(label, game, tuple(run for run in runs if run.game == game))
        for label, runs in (by_label | others).items()
        for game in dict.fromkeys(run.game for run in runs)
    ]
    if not groups:
        raise UserError(f"report: {notes[0]}")
    return groups


def differences(groups: Sequence[Group]) -> dict[str, dict[str, str]]:
    """Settings, the game aside, that are not the same in all runs: by key, the value of each label, or its values."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        runs.setdefault(group.label, []).extend(map(_compared, group.runs))
    keys = _differing([settings for members in runs.values() for settings in members])
    return {
        key: {
            label: ", ".join(dict.fromkeys(value_text(one.get(key)) for one in members))
            for label, members in runs.items()
        }
        for key in keys
    }


def value_text(value: Any) -> str:
    """The text of a setting, as an option of the command line has it."""
    if isinstance(value, tuple):
        return " ".join(map(value_text, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _split_named(named: Sequence[str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for text in named:
        label, equals, runs = text.partition("=")
        texts = [run for run in runs.split(",") if run]
        if not (label and equals and texts and label.isprintable()):
            raise UserError(f"--group: expected NAME=RUN,RUN, got {text[:60]!r}")
        if label in members:
            raise UserError(f"--group: {label} is given twice; name all of its runs at once")
        members[label] = texts
    return members


def _read(paths: Sequence[str], seen: set[Path], notes: list[str]) -> list[Run]:
    runs = []
    for path in paths:
        place = Path(path).resolve()
        if place in seen:
            raise UserError(f"report: {path} is given twice")
        seen.add(place)
        run = read_run(Path(path))
        if run.rows:
            runs.append(run)
        else:
            notes.append(f"{path} has no metrics yet")
    return runs


def _by_settings(runs: Sequence[Run], taken: set[str]) -> dict[str, list[Run]]:
    """Runs by label; those with equal settings, whatever their game, have the same."""
    methods: list[tuple[dict[str, Any], list[Run]]] = []
    for run in runs:
        settings = _compared(run)
        for known, members in methods:
            if known == settings:
                members.append(run)
                break
        else:
            methods.append((settings, [run]))
    labels = _labels([settings for settings, _ in methods], [members for _, members in methods], taken)
    return {label: members for label, (_, members) in zip(labels, methods)}


def _labels(settings: list[dict[str, Any]], members: list[list[Run]], taken: set[str]) -> list[str]:
    """One label a method, the first that tells them apart: the name of its runs, what is different, a folder."""
    names = [{str(run.settings["name"]) for run in runs} for runs in members]
    by_name = [one.pop() if len(one) == 1 else "" for one in names]
    keys = _differing(settings)
    by_difference = [", ".join(f"{key}={value_text(one[key])}" for key in keys) for one in settings]
    by_folder = [Path(runs[0].path).resolve().name for runs in members]
    by_path = [runs[0].path for runs in members]
    for labels in (by_name, by_difference, by_folder):
        short = all(0 < len(label) <= LONGEST_LABEL for label in labels)
        if short and len(set(labels) | taken) == len(labels) + len(taken):
            return labels
    return by_path


def _compared(run: Run) -> dict[str, Any]:
    """The settings that make a run another method; its game makes it another group."""
    return {
        key: value
        for key, value in run.settings.items()
        if key not in _NOT_COMPARED and not key.startswith(_NOT_COMPARED_SECTION)
    }


def _differing(settings: Sequence[dict[str, Any]]) -> list[str]:
    first = settings[0] if settings else {}
    return [key for key in first if any(one.get(key) != first[key] for one in settings)]
