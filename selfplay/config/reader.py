"""From a YAML file and command-line flags to one checked config object.

The first thing that every command with settings does, before anything is created. Values of the file and of the flags
become text under dotted keys and are checked by the same rules (`selfplay.config.schema`). All problems are reported
together, one line each. Names that settings once had are read with one line of warning.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from selfplay.config.schema import BOOL_WORDS, Raw, Setting, flatten, names_of, settings_of, with_values
from selfplay.config.yaml_text import dump, read_settings, value_text
from selfplay.errors import UserError, did_you_mean, shown
from selfplay.shipped import SETTINGS

__all__ = ["check", "dump", "flatten", "given_keys", "help_text", "load", "option_names", "split_overrides"]

ConfigT = TypeVar("ConfigT")


def load(
    config_class: type[ConfigT],
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    fixed: Mapping[str, Any] | None = None,
) -> ConfigT:
    """A config object from a YAML file (defaults where it is silent) and flags, which win over the file.

    Args:
        config_class: a config class as `selfplay.config.schema` describes it.
        path: the YAML file, the name of a shipped one (`selfplay configs`), or None for the defaults.
        overrides: `--section.option value` tokens; dashes and underscores are the same, `--section.flag` and
            `--section.no-flag` stand for true and false, a list takes all values up to the next option.
        fixed: values by dotted key (`flatten` gives them) that win over the defaults and must not be given another
            value by file or flags.

    Raises:
        UserError: every problem found, one line each: unknown keys, wrong types, values out of range.
    """
    names = names_of(config_class)
    fixed = fixed or {}
    problems: list[str] = []
    given: list[tuple[str, str, Raw]] = []  # where it stands, its name there, text
    if path is not None:
        given += [(f"{path}: {name}", name, raw) for name, raw in read_settings(SETTINGS.find(path), names, problems)]
    for tokens, name, raw in _arguments(names, overrides):
        option = tokens[0].partition("=")[0]
        if name and raw is None and names[name].optional:  # null has to be said
            problems.append(f"{option}: expected {names[name].expected}, got nothing")
        elif name:
            given.append((option, name, raw))
        else:
            problems.append(_no_setting(names, option))
    values = dict(fixed)
    for origin, name, raw in given:
        key = names[name].key
        try:
            values[key] = names[name].parse(raw)
            if key in fixed and fixed[key] != values[key]:
                raise ValueError(f"cannot be changed here, it is {shown(fixed[key])}")
        except ValueError as error:
            problems.append(f"{origin}: {error}")
        if key != name:
            _warn(f"{origin}: this setting is called {key} now")
    if problems:
        raise UserError("\n".join(problems))
    return with_values(config_class(), values)


def check(config: Any) -> None:
    """Check a config object that was built in Python as `load` checks text.

    Raises:
        UserError: every problem found, one line each.
    """
    problems = []
    values = flatten(config)
    config_class: type = type(config)
    for key, setting in settings_of(config_class).items():
        try:
            setting.check(values[key])
        except ValueError as error:
            problems.append(f"{key}: {error}")
    if problems:
        raise UserError("\n".join(problems))


def split_overrides(config_class: type, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide the arguments of a command into its own and the overrides that `load` takes.

    Overrides are options that name a setting, and any other option with a dot in its name, which `load` reports.
    """
    own: list[str] = []
    overrides: list[str] = []
    for tokens, name, _ in _arguments(names_of(config_class), arguments):
        is_override = name or (tokens[0].startswith("--") and "." in tokens[0].partition("=")[0])
        (overrides if is_override else own).extend(tokens)
    return own, overrides


def given_keys(config_class: type, overrides: Sequence[str]) -> list[str]:
    """The settings that flags name, by dotted key; those that do not exist are left out (`load` reports them)."""
    names = names_of(config_class)
    return [names[name].key for _, name, _ in _arguments(names, overrides) if name]


def option_names(config_class: type) -> list[str]:
    """The settings as options of the command line."""
    return [f"--{key}" for key in settings_of(config_class)]


def help_text(config_class: type) -> str:
    """The settings with their help, ranges and defaults, by section."""
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    sections: dict[str, Any] = {}
    defaults = flatten(config_class())
    for key, setting in settings_of(config_class).items():
        section = key.rpartition(".")[0]
        if section not in sections:
            sections[section] = parser.add_argument_group(section or "settings of a run")
        text = f"{setting.explained} (default: {value_text(defaults[key])})"
        kind = setting.kind.__name__.upper()
        metavar = f"[{kind}]" if setting.is_switch else f"{kind} ..." if setting.many else kind
        sections[section].add_argument(f"--{key}", metavar=metavar, help=text.replace("%", "%%"))
    return parser.format_help()


def _no_setting(names: Mapping[str, Setting], option: str) -> str:
    """One line about an argument that names no setting."""
    shown_option = option if option.isprintable() and shown(option) == repr(option) else shown(option)
    if not option.startswith("--"):
        return f"{shown_option}: unexpected argument; settings are given as --section.option value"
    return f"{shown_option}: unknown setting{did_you_mean(option, (f'--{known.key}' for known in names.values()))}"


def _arguments(names: Mapping[str, Setting], tokens: Sequence[str]) -> Iterator[tuple[Sequence[str], str, Raw]]:
    """Cut a command line into options with their values; any other token stands alone.

    Yields the tokens, the name of the setting (empty where they name none), and its value as text.
    """
    start = 0
    while start < len(tokens):
        option, equals, text = tokens[start].partition("=")
        name = option[2:].replace("-", "_") if option.startswith("--") else ""
        positive = re.sub(r"(^|\.)no_([^.]*)$", r"\1\2", name)
        is_negated = name not in names and not equals and positive in names and names[positive].is_switch
        name = positive if is_negated else name
        setting = names.get(name)
        stop = start + 1 + (0 if equals or is_negated else _num_values(setting, name, tokens[start + 1 :]))
        values = [text] if equals else list(tokens[start + 1 : stop])
        if not values and setting and setting.is_switch:
            values = ["false" if is_negated else "true"]
        raw = values if setting and setting.many else values[0] if values else None
        yield tokens[start:stop], name if setting else "", raw
        start = stop


def _num_values(setting: Setting | None, name: str, following: Sequence[str]) -> int:
    """Number of the tokens after an option that are its values; one after an unknown option with a dot."""
    if setting is None and "." not in name:
        return 0
    if setting and setting.is_switch:
        return int(len(following) > 0 and following[0].lower() in BOOL_WORDS)
    available = next((i for i, text in enumerate(following) if text.startswith("--")), len(following))
    return available if setting and setting.many else min(available, 1)


@functools.cache
def _warn(text: str) -> None:
    """Say something on standard error, once in a process: a file of settings is often read several times."""
    print(f"selfplay: {text}", file=sys.stderr)
