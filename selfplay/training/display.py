"""What a person sees while a run trains: a live panel on a terminal, plain lines anywhere else.

In the flow: the driver tells one `Display` what happens, as often as it likes; the display decides when to show it.
Nothing here decides or measures anything, and the run's record is `metrics.jsonl`, not this text.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 10.0
"""Time between two status lines where there is no terminal."""

EVALUATIONS_SHOWN = 6
MESSAGES_SHOWN = 3
FIGURE_WIDTH = 24


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    elapsed_s: float  # seconds of training
    budget_fraction: float  # in [0, 1]
    step: int
    games: int
    positions: int
    version: int  # of the weights that play
    seconds_left: float | None = None
    simulations_per_second: float | None = None
    games_per_minute: float | None = None
    policy_loss: float | None = None
    value_loss: float | None = None
    evaluation: str | None = None  # the latest result, naming its step; shown once


class Display(ABC):
    """Shows one run. A context manager, so that the terminal is given back whatever happens."""

    @abstractmethod
    def start(self, title: str, budget_text: str) -> None:
        """The run begins: its name, and when it will stop."""

    @abstractmethod
    def phase(self, text: str) -> None:
        """What the run does now: starting, compiling, playing, learning, evaluating."""

    @abstractmethod
    def update(self, status: Status) -> None:
        """Where the run stands; call it at any rate."""

    @abstractmethod
    def message(self, text: str) -> None:
        """One line worth a glance."""

    @abstractmethod
    def warning(self, text: str) -> None:
        """One line that must stay readable after the run."""

    @abstractmethod
    def finish(self, summary_table: Sequence[tuple[str, str]], next_commands: Sequence[str]) -> None:
        """The run is over: its results as (name, value) rows, and what to type next."""

    def close(self) -> None:  # noqa: B027 (plain lines hold nothing)
        """Give the terminal back; a second call does nothing."""

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_display(stream: TextIO, is_terminal: bool, clock: Callable[[], float] = time.monotonic) -> Display:
    """The live panel if `stream` is a terminal that can redraw, else plain lines."""
    if is_terminal:
        console = Console(file=stream, force_terminal=True)
        if not console.is_dumb_terminal:
            return LiveDisplay(console)
    return PlainDisplay(stream, clock)


class PlainDisplay(Display):
    """Lines for a file, a pipe or a log: a status every `every_s` seconds, and what happens in between."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, every_s: float = PLAIN_SECONDS
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._every_s = every_s
        self._next_s = clock()
        self._phase = ""
        self._has_status = False
        self._evaluation: str | None = None

    def start(self, title: str, budget_text: str) -> None:
        self._line(f"{title}, {budget_text}")

    def phase(self, text: str) -> None:
        # Before the first status a phase is all there is to see; later they alternate too fast for a line each.
        if text != self._phase and (not self._has_status or self._is_due()):
            self._line(text)
        self._phase = text

    def update(self, status: Status) -> None:
        if status.evaluation is not None and status.evaluation != self._evaluation:
            self._evaluation = status.evaluation
            self._line(f"evaluation: {status.evaluation}")
        if self._is_due():
            self._has_status = True
            self._line(status_line(status))

    def message(self, text: str) -> None:
        self._line(text)

    def warning(self, text: str) -> None:
        self._line(f"warning: {text}")

    def finish(self, summary_table: Sequence[tuple[str, str]], next_commands: Sequence[str]) -> None:
        width = max((len(name) for name, _ in summary_table), default=0)
        for name, value in summary_table:
            self._line(f"  {name:<{width}}  {value}")
        if next_commands:
            self._line("Next:")
        for command in next_commands:
            self._line(f"  {command}")

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._next_s:
            return False
        self._next_s = now + self._every_s
        return True

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveDisplay(Display):
    """A panel at the bottom of the terminal, redrawn a few times a second; warnings scroll away above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._title = ""
        self._budget_text = ""
        self._spinner = Spinner("line", text="starting")
        self._status: Status | None = None
        self._evaluations: deque[str] = deque(maxlen=EVALUATIONS_SHOWN)
        self._messages: deque[str] = deque(maxlen=MESSAGES_SHOWN)
        self._live: Live | None = None

    def start(self, title: str, budget_text: str) -> None:
        self._title, self._budget_text = title, budget_text
        # Redrawing needs no call of ours: the spinner turns while the driver waits for a compiler.
        self._live = Live(get_renderable=self.render, console=self._console, refresh_per_second=4)
        self._live.start()

    def phase(self, text: str) -> None:
        self._spinner.update(text=Text(text))

    def update(self, status: Status) -> None:
        self._status = status
        evaluation = status.evaluation
        if evaluation is not None and (not self._evaluations or evaluation != self._evaluations[-1]):
            self._evaluations.append(evaluation)

    def message(self, text: str) -> None:
        self._messages.append(text)

    def warning(self, text: str) -> None:
        self._console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)

    def finish(self, summary_table: Sequence[tuple[str, str]], next_commands: Sequence[str]) -> None:
        self.phase("finished")
        self.close()
        table = Table.grid(padding=(0, 2))
        for name, value in summary_table:
            table.add_row(Text(f"  {name}"), Text(value, style="bold"))
        self._console.print(table)
        if next_commands:
            self._console.print("Next:")
        for command in next_commands:  # never wrapped, so that it can be copied
            self._console.print(Text(f"  {command}", style="cyan"), soft_wrap=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """The panel as it stands."""
        parts: list[RenderableType] = [self._heading()]
        if self._status is not None:
            parts.append(_figure_columns(self._status))
        parts += [Text.assemble(("evaluation  ", "dim"), line) for line in self._evaluations]
        parts += [Text(line, style="dim") for line in self._messages]
        return Panel(Group(*parts), title=Text(self._title, style="bold"), title_align="left", border_style="blue")

    def _heading(self) -> RenderableType:
        fraction = self._status.budget_fraction if self._status else 0.0
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(width=14, no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        progress = _progress(self._status) if self._status else self._budget_text
        grid.add_row(self._spinner, ProgressBar(total=1.0, completed=fraction), Text(progress))
        return grid


def status_line(status: Status) -> str:
    """One line for a log."""
    parts = [_progress(status)]
    parts += [f"{name} {value}" for name, value in _figures(status) if value is not None]
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """`m:ss` or `h:mm:ss`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _progress(status: Status) -> str:
    left = "time left unknown" if status.seconds_left is None else f"{duration(status.seconds_left)} left"
    return f"{duration(status.elapsed_s)}  {status.budget_fraction:.0%}  {left}"


def _figures(status: Status) -> list[tuple[str, str | None]]:
    """Eight named figures; None for what is not known yet."""
    figures: list[tuple[str, float | None, str]] = [
        ("step", status.step, ",d"),
        ("games", status.games, ",d"),
        ("positions", status.positions, ",d"),
        ("version", status.version, "d"),
        ("policy loss", status.policy_loss, ".3f"),
        ("value loss", status.value_loss, ".3f"),
        ("simulations/s", status.simulations_per_second, ",.0f"),
        ("games/min", status.games_per_minute, ",.0f"),
    ]
    return [(name, None if value is None else format(value, form)) for name, value, form in figures]


def _figure_columns(status: Status) -> Columns:
    """As many figures side by side as the terminal has room for, each in its place whatever its value."""
    cells = [Text.assemble((f"{name} ", "dim"), value or "-") for name, value in _figures(status)]
    return Columns(cells, width=FIGURE_WIDTH, padding=(0, 0))
