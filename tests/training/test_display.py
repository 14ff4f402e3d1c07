"""What a person sees: lines at a bounded rate without a terminal, one panel on a terminal."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from selfplay.training.display import LiveDisplay, PlainDisplay, Status, duration, make_display

STATUS = Status(
    elapsed_s=203.0,
    budget_fraction=0.226,
    step=1240,
    games=5310,
    positions=150_210,
    version=24,
    seconds_left=697.0,
    simulations_per_second=31_234.2,
    games_per_minute=1560.0,
    policy_loss=1.4321,
    value_loss=0.6125,
)
STATUS_LINE = (
    "3:23  23%  11:37 left  step 1,240  games 5,310  positions 150,210  version 24  "
    "policy loss 1.432  value loss 0.613  simulations/s 31,234  games/min 1,560"
)


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Plain:
    """A plain display with its clock and its lines."""

    def __init__(self) -> None:
        self.stream, self.clock = io.StringIO(), Clock()
        self.display = make_display(self.stream, is_terminal=False, clock=self.clock)

    def lines(self) -> list[str]:
        """What was printed since the last call."""
        lines = self.stream.getvalue().splitlines()
        self.stream.seek(0)
        self.stream.truncate()
        return lines


@pytest.fixture
def plain():
    return Plain()


def terminal(width: int = 100) -> tuple[LiveDisplay, Console]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, _environ={"TERM": "xterm"})
    return LiveDisplay(console), console


def panel(display: LiveDisplay, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(display.render())
    return console.export_text().splitlines()


def test_plain_status_lines_come_at_most_every_ten_seconds(plain):
    for _ in range(100):
        plain.display.update(STATUS)
        plain.clock.now += 0.5
    assert plain.lines() == [STATUS_LINE] * 5


def test_plain_values_that_are_not_known_are_left_out(plain):
    unknown = ("seconds_left", "simulations_per_second", "games_per_minute", "policy_loss", "value_loss")
    plain.display.update(dataclasses.replace(STATUS, **dict.fromkeys(unknown)))
    assert plain.lines() == ["3:23  23%  time left unknown  step 1,240  games 5,310  positions 150,210  version 24"]


def test_plain_evaluations_and_messages_do_not_wait_and_come_once(plain):
    plain.display.update(STATUS)
    plain.lines()
    evaluated = dataclasses.replace(STATUS, evaluation="step 1,200: 0.71 against mcts:simulations=1000")
    plain.display.update(evaluated)
    plain.display.update(evaluated)
    plain.display.message("checkpoint 24")
    plain.display.warning("disk nearly full")
    assert plain.lines() == [
        "evaluation: step 1,200: 0.71 against mcts:simulations=1000",
        "checkpoint 24",
        "warning: disk nearly full",
    ]
    plain.display.update(dataclasses.replace(STATUS, evaluation="step 2,400: 0.85 against mcts:simulations=1000"))
    assert plain.lines() == ["evaluation: step 2,400: 0.85 against mcts:simulations=1000"]


def test_plain_phases_show_at_the_start_and_then_keep_to_the_rate(plain):
    for phase in ("starting", "compiling", "compiling", "playing"):
        plain.display.phase(phase)
    assert plain.lines() == ["starting", "compiling", "playing"]
    plain.clock.now += 100.0
    plain.display.update(STATUS)
    plain.lines()
    for phase in ("learning", "playing") * 20:
        plain.display.phase(phase)
    assert plain.lines() == []
    plain.clock.now += 10.0
    plain.display.phase("evaluating")
    assert plain.lines() == ["evaluating"]


def test_plain_start_and_finish(plain):
    with plain.display as display:
        display.start("run [a]", "15 minutes")
        display.finish([("games", "5,310"), ("score against random", "1.00")], ["selfplay play run:runs/a"])
    assert plain.lines() == [
        "run [a], 15 minutes",
        "  games                 5,310",
        "  score against random  1.00",
        "Next:",
        "  selfplay play run:runs/a",
    ]


def test_every_plain_line_is_flushed():
    class Recorder(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed = len(self.getvalue())

    stream = Recorder()
    display = PlainDisplay(stream, Clock())
    for show in (
        lambda: display.start("run", "1 minute"),
        lambda: display.update(STATUS),
        lambda: display.message("m"),
    ):
        show()
        assert stream.flushed == len(stream.getvalue()) > 0


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_panel_shows_every_figure_at_any_width(width):
    display, _ = terminal(width)
    display.update(dataclasses.replace(STATUS, evaluation="step 1,200: 0.71"))
    display.message("checkpoint 24 [x]")
    lines = panel(display, width)
    text = "\n".join(lines)
    figures = (
        *("3:23", "23%", "11:37 left", "step 1,240", "games 5,310", "positions 150,210", "version 24"),
        *("policy loss 1.432", "value loss 0.613", "simulations/s 31,234", "games/min 1,560"),
        *("step 1,200: 0.71", "checkpoint 24 [x]"),
    )
    for figure in figures:
        assert figure in text
    assert "…" not in text and all(len(line) <= width for line in lines)


def test_the_bar_is_as_full_as_the_budget_is_spent():
    display, _ = terminal()
    fills = []
    for fraction in (0.0, 0.5, 1.0):
        display.update(dataclasses.replace(STATUS, budget_fraction=fraction))
        console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor", record=True)
        console.print(display.render())
        bar = next(line for line in console.export_text(styles=True).splitlines() if "━" in line)
        spent, _, rest = bar.partition("\x1b[38;5;237m") if "\x1b[38;5;237m" in bar else (bar, "", "")
        fills.append(spent.count("━") / (spent.count("━") + rest.count("━")))
    assert fills == pytest.approx([0.0, 0.5, 1.0], abs=0.03)


def test_the_panel_keeps_the_latest_evaluations_and_messages_only():
    display, _ = terminal()
    for i in range(20):
        display.update(dataclasses.replace(STATUS, evaluation=f"evaluated {i}."))
        display.update(dataclasses.replace(STATUS, evaluation=f"evaluated {i}."))
        display.message(f"message {i}.")
    text = "\n".join(panel(display))
    assert [i for i in range(20) if f"evaluated {i}." in text] == [14, 15, 16, 17, 18, 19]
    assert text.count("evaluated") == 6
    assert [i for i in range(20) if f"message {i}." in text] == [17, 18, 19]


def test_a_run_on_a_terminal_shows_its_phase_warnings_results_and_commands():
    display, console = terminal()
    command = "selfplay play run:runs/" + "long-name-" * 12
    with display:
        display.start("run [a]", "15 minutes")
        display.phase("compiling")
        display.warning("disk [b] nearly full")
        display.update(STATUS)
        display.finish([("score", "0.95")], [command])
    text = console.file.getvalue()
    for part in ("run [a]", "compiling", "15 minutes", "disk [b] nearly full", "finished", "score", "0.95", command):
        assert part in text


def test_the_cursor_comes_back_after_an_error():
    display, console = terminal()
    with pytest.raises(KeyboardInterrupt), display:
        display.start("run", "15 minutes")
        assert console.file.getvalue().count("\x1b[?25l") == 1
        raise KeyboardInterrupt
    assert console.file.getvalue().count("\x1b[?25h") == 1
    display.close()


def test_the_display_suits_the_stream(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(make_display(io.StringIO(), True), LiveDisplay)
    assert isinstance(make_display(io.StringIO(), False), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(io.StringIO(), True), PlainDisplay)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3661, "1:01:01"), (-1, "0:00")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
