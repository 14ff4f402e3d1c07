"""From a YAML file and command-line flags to one checked config object.

The first thing that every command with settings does, before anything is created. Values of the file and of the flags
become the same text under dotted keys, are checked by the same rules (`selfplay.config.schema`), and are parsed once,
by tyro: this is the only module that knows it. All problems are reported together, one line each.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from selfplay.config.schema import FALSE_WORDS, TRUE_WORDS, Raw, Setting, flatten, settings_of, shown
from selfplay.config.yaml_text import dump, read_settings
from selfplay.errors import UserError, did_you_mean

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
        path: the YAML file, or None for the defaults.
        overrides: `--section.option value` tokens; dashes and underscores are the same, `--section.flag` and
            `--section.no-flag` stand for true and false, a list takes all values up to the next option.
        fixed: values by dotted key (`flatten` gives them) that win over the defaults and must not be given another
            value by file or flags.

    Raises:
        UserError: every problem found, one line each: unknown keys, wrong types, values out of range.
    """
    settings = settings_of(config_class)
    fixed = fixed or {}
    problems: list[str] = []
    given: list[tuple[str, str, Raw]] = []  # where it stands, key, text
    if path is not None:
        given += [(f"{path}: {key}", key, raw) for key, raw in read_settings(Path(path), settings, problems)]
    given += _read_flags(settings, overrides, problems)
    values = dict(fixed)
    for origin, key, raw in given:
        try:
            values[key] = settings[key].parse(raw)
            if key in fixed and fixed[key] != values[key]:
                raise ValueError(f"cannot be changed here, it is {shown(fixed[key])}")
        except ValueError as error:
            problems.append(f"{origin}: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return _parse_with_tyro(config_class, list(_tokens(settings, values)))


def check(config: Any) -> None:
    """Check a config object that was built in Python as `load` checks text.

    Raises:
        UserError: every problem found, one line each.
    """
    problems = []
    values = flatten(config)
    for key, setting in settings_of(type(config)).items():
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
    settings = settings_of(config_class)
    own: list[str] = []
    overrides: list[str] = []
    for group in _groups(settings, arguments):
        option = group[0].partition("=")[0]
        is_override = option.startswith("--") and ("." in option or _key(option) in settings)
        (overrides if is_override else own).extend(group)
    return own, overrides


def given_keys(config_class: type, overrides: Sequence[str]) -> list[str]:
    """The settings that flags name, by dotted key; those that do not exist are left out (`load` reports them)."""
    return [key for _, key, _ in _read_flags(settings_of(config_class), overrides, [])]


def option_names(config_class: type) -> list[str]:
    """The settings as options of the command line."""
    return [f"--{key}" for key in settings_of(config_class)]


def help_text(config_class: type) -> str:
    """The settings with their help, types and defaults, as tyro prints them."""
    import tyro

    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        tyro.cli(config_class, prog="", description="", args=["--help"], use_underscores=True)
    return output.getvalue().partition("\n")[2]  # without tyro's line of usage


def _read_flags(
    settings: Mapping[str, Setting], overrides: Sequence[str], problems: list[str]
) -> list[tuple[str, str, Raw]]:
    given: list[tuple[str, str, Raw]] = []
    for first, *values in _groups(settings, overrides):
        option, equals, text = first.partition("=")
        values = [text] if equals else values
        key, negated = _key(option), _key_without_no(option)
        if not option.startswith("--"):
            problems.append(f"{_named(option)}: unexpected argument; settings are given as --section.option value")
        elif key in settings and settings[key].many:
            given.append((option, key, values))
        elif key in settings and settings[key].kind is bool:
            given.append((option, key, values[0] if values else "true"))
        elif key in settings:
            given.append((option, key, values[0] if values else None))
        elif negated in settings and settings[negated].kind is bool and not values:
            given.append((option, negated, "false"))
        else:
            suggestion = did_you_mean(option, (f"--{known}" for known in settings))
            problems.append(f"{_named(option)}: unknown setting{suggestion}")
    return given


def _groups(settings: Mapping[str, Setting], arguments: Sequence[str]) -> Iterator[list[str]]:
    """Cut arguments into options with the values that belong to them; any other argument stands alone."""
    position = 0
    while position < len(arguments):
        num_values = _num_values(settings, arguments[position], arguments[position + 1 :])
        yield list(arguments[position : position + 1 + num_values])
        position += 1 + num_values


def _num_values(settings: Mapping[str, Setting], option: str, following: Sequence[str]) -> int:
    """How many of the arguments after an option are its values."""
    if not option.startswith("--") or "=" in option:
        return 0
    available = next((i for i, text in enumerate(following) if text.startswith("--")), len(following))
    setting = settings.get(_key(option))
    if setting is None:
        is_misspelt = "." in option and _key_without_no(option) not in settings
        return min(available, 1) if is_misspelt else 0
    if setting.many:
        return available
    if setting.kind is bool:
        return int(available > 0 and following[0].lower() in TRUE_WORDS | FALSE_WORDS)
    return min(available, 1)


def _named(option: str) -> str:
    """An argument as a message begins with it: as it is where that is short and on one line."""
    return option if option.isprintable() and shown(option) == repr(option) else shown(option)


def _key(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _key_without_no(option: str) -> str:
    """The key of the flag that `--section.no-flag` turns off."""
    section, dot, name = _key(option).rpartition(".")
    return f"{section}{dot}{name.removeprefix('no_')}"


def _tokens(settings: Mapping[str, Setting], values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if settings[key].many:
            yield from (f"--{key}", *map(str, value))
        else:
            yield f"--{key}={value}"  # one token, so that a text may begin with dashes


def _parse_with_tyro(config_class: type[ConfigT], tokens: list[str]) -> ConfigT:
    import tyro  # a tenth of a second that commands without settings need not wait for

    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return tyro.cli(config_class, args=tokens, config=(tyro.conf.FlagConversionOff,))
    except SystemExit:  # `load` has checked every value, so this is a condition of the config class itself
        raise UserError(f"settings: {' '.join(output.getvalue().split())}") from None
