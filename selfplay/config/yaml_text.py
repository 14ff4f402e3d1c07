"""Settings as YAML text: reading a file into dotted keys, and writing a config object.

Nothing is built from YAML tags: the file is composed into nodes only, scalars stay text, and the type of the setting
decides what they mean (`selfplay.config.schema`). So `1e-3` is a number (YAML 1.1 reads a string), `2048` can be the
name of a game, and `on` can be text.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from selfplay.config.schema import Raw, Setting, settings_of
from selfplay.errors import UserError, did_you_mean, shown

MAX_FILE_BYTES = 1_000_000

_COMMENT_WIDTH = 100
_TAG = "tag:yaml.org,2002:"
_NULL_TAG = f"{_TAG}null"
_PLAIN_TAGS = {
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "merge", "value", "seq", "map")
}


def read_settings(path: Path, names: Mapping[str, Setting], problems: list[str]) -> list[tuple[str, Raw]]:
    """The `(dotted key, text)` pairs of a YAML file, in its order; `names` are the settings by the keys they may have.

    Unknown or repeated keys and values that are no settings are appended to `problems`, one line each. A file that
    is no readable YAML mapping raises `UserError`.
    """
    root = _compose(path, _file_text(path))
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path}: expected a mapping of settings, one 'name: value' a line")
    sections = {key[:end] for key in names for end, character in enumerate(key) if character == "."}
    pairs: list[tuple[str, Raw]] = []
    seen: set[str] = set()
    for key, node in _leaves(root, sections, ""):
        setting = names.get(key)
        name = setting.key if setting else key
        try:
            if name in seen:
                raise ValueError("given twice")
            seen.add(name)
            if key in sections:
                raise ValueError(f"expected a section with settings, got {shown(_raw(node))}")
            if not setting:
                raise ValueError(f"unknown setting{did_you_mean(key, (known.key for known in names.values()))}")
            pairs.append((key, _raw(node)))
        except ValueError as error:
            problems.append(f"{path}: {key}: {error}")
    return pairs


def dump(config: Any, comments: bool = False) -> str:
    """YAML that reads back to an equal config; with `comments`, help and range stand above each setting."""
    config_class: type = type(config)
    return "\n".join(_dump_lines(config, settings_of(config_class), "", comments)) + "\n"


def value_text(value: Any) -> str:
    """The value of a setting as YAML on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else str(yaml.safe_dump(value, default_style='"', width=2**31)).strip()
    return str(yaml.safe_dump(value)).splitlines()[0]


def _file_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise UserError(f"{path}: larger than {MAX_FILE_BYTES} bytes; this is no file of settings")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, which grow without bound when nested, and without tags: settings need neither."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        start = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=start)
        node = super().compose_node(parent, index)
        if node.tag not in _PLAIN_TAGS:
            raise yaml.MarkedYAMLError(problem=f"the tag {shown(node.tag)} is not allowed", problem_mark=start)
        return node


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: {line}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid settings: nested too deeply") from None


def _leaves(mapping: yaml.MappingNode, sections: set[str], prefix: str) -> Iterator[tuple[str, yaml.Node]]:
    """Dotted keys with their nodes; a section is entered, an empty one (null) has no settings."""
    seen: set[str] = set()
    for name_node, node in mapping.value:
        name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "(a key that is no text)"
        key = prefix + name
        if key in sections and key not in seen and isinstance(node, yaml.MappingNode):
            yield from _leaves(node, sections, f"{key}.")
        elif key not in sections or key in seen or node.tag != _NULL_TAG:
            yield key, node
        seen.add(key)


def _raw(node: yaml.Node) -> Raw:
    """A node as text. Raises `ValueError` for what no setting can be."""
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL_TAG else str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(child, yaml.ScalarNode) for child in node.value):
        return [str(child.value) for child in node.value]
    raise ValueError("expected a single value or a list of them, got a nested structure")


def _dump_lines(config: Any, settings: Mapping[str, Setting], prefix: str, comments: bool) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for field in dataclasses.fields(config):
        key, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            if comments and not prefix:
                yield ""
            yield f"{indent}{field.name}:"
            yield from _dump_lines(value, settings, f"{key}.", comments)
            continue
        if comments:
            margin = f"{indent}# "
            yield from textwrap.wrap(
                settings[key].explained, _COMMENT_WIDTH, initial_indent=margin, subsequent_indent=margin
            )
        yield f"{indent}{field.name}: {value_text(value)}"


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text, without quotes, as itself: alone, and in a list, where commas end it."""
    try:
        return bool(yaml.safe_load(f"a: {text}") == {"a": text} and yaml.safe_load(f"[{text}]") == [text])
    except (yaml.YAMLError, ValueError):
        return False
