"""The command line: finds the command, reads its arguments, and turns every mistake into one line and a status.

A command is a module of `selfplay.commands`, imported only when it is asked for (torch alone takes two seconds):

* `add_arguments(parser)` declares its own arguments;
* `run(args, overrides) -> int` does the work and returns the exit status. `overrides` are the settings given as
  `--section.option value`, for `selfplay.config.reader.load`; empty for commands without settings. What other programs
  read goes to `args.output`, see `selfplay.console.output`.

Exit status: 0 done, 2 bad input, 130 interrupted, 141 the reader of the output went away.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import platform
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from selfplay.console.output import prepare_streams, reserved_output, warn_in_one_line
from selfplay.errors import UserError, did_you_mean, shown
from selfplay.version import LIBRARIES, __version__, version_of

PATH_ERRORS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EROFS}
"""Error numbers of paths that a person gave, which are no fault of the program."""

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141


@dataclass(frozen=True)
class Command:
    """A row of the table of commands."""

    help: str
    takes_settings: bool = False

    usage: str = ""
    """The arguments as `--help` shows them; empty leaves it to argparse."""

    is_for_programs: bool = False
    """Whether other programs read standard output, as they do with `--json`."""

    leaves_threads: bool = False
    """Whether threads may be in the middle of something when it has ended."""


COMMANDS = {
    "train": Command(
        "train a player for a game",
        True,
        "CONFIG [--run-dir DIR] [--plan] [--plan-seconds N] [--restarts N] [--section.option value ...]",
    ),
    "resume": Command("go on with a run", True, "RUN_DIR [--restarts N] [--section.option value ...]"),
    "evaluate": Command("share of labelled positions in which a player keeps the best value"),
    "label": Command("make labelled positions of games that can be solved", is_for_programs=True),
    "match": Command("play two players against each other"),
    "tournament": Command("let players meet and rate them"),
    "rate": Command("rate the checkpoints of a run against fixed players"),
    "report": Command("compare runs: tables and plots with intervals"),
    "verify": Command("check every file of a run"),
    "play": Command("play against a player in the terminal"),
    "serve": Command("play and look at runs in a browser", leaves_threads=True),
    "gtp": Command("let a player play go in other programs, through GTP", is_for_programs=True),
    "uci": Command("let a player play chess in other programs, through UCI", is_for_programs=True),
    "usi": Command("let a player play shogi in other programs, through USI", is_for_programs=True),
    "games": Command("list the games"),
    "audit": Command("check what a game or an environment promises, and what its observations hide"),
    "configs": Command("list the settings that come with selfplay"),
    "show-config": Command("print all settings as YAML", True, "[CONFIG] [--section.option value ...]", True),
    "plan": Command(
        "propose settings for this machine, a game and a budget",
        True,
        "CONFIG [--seconds N] [--section.option value ...]",
    ),
    "bench": Command(
        "measure the speed of this machine",
        True,
        "[CONFIG] [--seconds N] [--json FILE] [--section.option value ...]",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; nothing that a person can mistype ends in a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    if argv is None:
        warn_in_one_line()
    try:
        status = _run(arguments, is_whole_process=argv is None)
        sys.stdout.flush()  # a broken pipe shows here rather than at exit
        if argv is None and any(command.leaves_threads for name, command in COMMANDS.items() if name in arguments[:1]):
            _end_with_threads(status)
        return status
    except UserError as error:
        return _report(error)
    except ValueError as error:
        return _report(error) if _is_game_error(error) else _report_from_outside(error)
    except KeyboardInterrupt:
        print("selfplay: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered cannot be written; without this the interpreter complains about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:  # what is checked before is whether files are there, not whether they can be asked for
        if error.errno not in PATH_ERRORS or not isinstance(error.filename, str | bytes):
            return _report_from_outside(error)
        return _report(UserError(f"{shown(os.fsdecode(error.filename))}: {error.strerror}"))
    except SystemExit as error:
        if "games" not in sys.modules:  # nothing from outside was loaded: the help, or the end of a command
            raise
        return _report_from_outside(error)
    except BaseException as error:  # those of libraries in Rust are no `Exception`
        return _report_from_outside(error)


def _end_with_threads(status: int) -> None:
    """End the process here and now if other threads run: the interpreter's own end would abort it where one of them is
    in the middle of a library in C++."""
    if threading.active_count() > 1:
        sys.stderr.flush()
        os._exit(status)


class _Parser(argparse.ArgumentParser):
    """ArgumentParser whose complaints are `UserError`s."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def _run(arguments: list[str], is_whole_process: bool) -> int:
    if not arguments:
        raise UserError(f"no command given; one of {', '.join(COMMANDS)} (see selfplay --help)")
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help"):
        print(_overview())
        return 0
    if name == "--version":
        print(_versions())
        return 0
    if name not in COMMANDS:
        suggestion = did_you_mean(name, COMMANDS) or f"; one of {', '.join(COMMANDS)}"
        raise UserError(f"unknown command {shown(name)}{suggestion}")
    return _run_command(name, rest, is_whole_process)


def _run_command(name: str, arguments: list[str], is_whole_process: bool) -> int:
    command = COMMANDS[name]
    module = importlib.import_module(f"selfplay.commands.{name.replace('-', '_')}")
    prog = f"selfplay {name}"
    usage = f"{prog} {command.usage}" if command.usage else None
    parser = _Parser(prog, usage=usage, description=module.__doc__, allow_abbrev=False, add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="show this help and exit")
    module.add_arguments(parser)
    if "-h" in arguments or "--help" in arguments:
        print(parser.format_help())
        if command.takes_settings:
            print(_settings_help())
        return 0
    overrides: list[str] = []
    if command.takes_settings:
        arguments, overrides = _split(arguments)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        _refuse(unknown[0], parser, command)
    args.program = main  # for commands that start it again in a process of its own
    if not command.is_for_programs and getattr(args, "json", None) is not True:  # `bench --json FILE` prints a table
        args.output = sys.stdout
        return int(module.run(args, overrides))
    with reserved_output(lasting=is_whole_process) as args.output:
        return int(module.run(args, overrides))


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    from selfplay.config import reader
    from selfplay.config.run import Config

    return reader.split_overrides(Config, arguments)


def _settings_help() -> str:
    from selfplay.config import reader
    from selfplay.config.run import Config

    return reader.help_text(Config)


def _refuse(argument: str, parser: argparse.ArgumentParser, command: Command) -> NoReturn:
    """Complain about an unknown argument, with the nearest option."""
    if not argument.startswith("-"):
        parser.error(f"unexpected argument {argument!r}")
    known = re.findall(r"--[\w-]+", parser.format_help())
    if command.takes_settings:
        from selfplay.config import reader
        from selfplay.config.run import Config

        known += reader.option_names(Config)
    option = argument.partition("=")[0]
    parser.error(f"unknown option {option!r}{did_you_mean(option, dict.fromkeys(known))}")


def _versions() -> str:
    rows = [
        ("selfplay", __version__),
        ("Python", platform.python_version()),
        *((name, version_of(name)) for name in LIBRARIES),
    ]
    return "\n".join(f"{name} {version}" for name, version in rows)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    rows = "\n".join(f"  {name:{width}}{command.help}" for name, command in COMMANDS.items())
    return f"usage: selfplay COMMAND ...\n\n{rows}\n\nselfplay COMMAND --help says more about a command."


def _is_game_error(error: ValueError) -> bool:
    from games import GameError  # only now: most runs do not fail, and help should not wait for the games

    return isinstance(error, GameError)


def _report_from_outside(error: BaseException) -> int:
    """One line for an error of a game or an environment that other people wrote; raises those of this program again."""
    from selfplay.system.failures import told  # only now: it loads torch

    try:
        with told("a game or an environment", None):
            raise error
    except UserError as told_error:
        return _report(told_error)


def _report(error: Exception) -> int:
    for line in str(error).splitlines():
        print(f"selfplay: error: {line}", file=sys.stderr)
    return BAD_INPUT
