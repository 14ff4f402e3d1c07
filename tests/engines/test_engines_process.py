"""Engines as processes: every way in which one can fail ends in one line, and nothing is left running."""

from __future__ import annotations

import time

import pytest
from engine_helpers import PYTHON, fake_engine
from run_helpers import wait_until

from selfplay.engines.gtp import GtpEngine, GtpRefusal
from selfplay.engines.process import MAX_LINE, EngineError, EngineProcess, split_command
from selfplay.errors import UserError
from selfplay.system.machine import processes_with

LONG, SHORT = 60.0, 0.3


def soon() -> float:
    return time.monotonic() + LONG


def python(code: str) -> str:
    return f'{PYTHON} -S -c "{code}"'


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("", "the command is empty"),
        ("   ", "the command is empty"),
        ("no-such-engine --level 3", "engine 'no-such-engine': there is no such program"),
        ("./", "there is no such program"),
        ("gnugo 'open", "no closing quotation"),
    ],
)
def test_command_lines_that_cannot_work_are_one_line(command, part):
    with pytest.raises(UserError) as caught:
        split_command(command)
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_words_are_split_as_by_a_shell_but_no_shell_runs():
    words = split_command(f"{PYTHON} 'a b' $HOME ; \"c d\"")
    assert words[1:] == ["a b", "$HOME", ";", "c d"]


def test_lines_go_both_ways_in_any_pieces():
    code = "import sys; [print(len(l), flush=True) for l in sys.stdin]"
    process = EngineProcess(python(code))
    for size in (0, 1, 300_000):
        process.send("x" * size, soon())
        assert process.read_line(soon()) == str(size + 1)
    process.close()


def test_an_engine_that_writes_while_it_is_written_to_does_not_block():
    code = "import sys; print('y' * 300000, flush=True); [print(len(l), flush=True) for l in sys.stdin]"
    process = EngineProcess(python(code))
    process.send("x" * 300_000, soon())
    assert len(process.read_line(soon())) == 300_000
    assert process.read_line(soon()) == "300001"
    process.close()


def test_what_is_no_utf8_does_not_matter():
    process = EngineProcess(python("import sys; sys.stdout.buffer.write(bytes([255, 65, 13, 10]))"))
    assert process.read_line(soon()) == "\ufffdA"
    process.close()


def test_an_engine_that_ends_says_why():
    process = EngineProcess(python("import sys; input(); sys.exit('what?\\nno such level')"))
    process.send("hello", soon())
    with pytest.raises(EngineError) as caught:
        process.read_line(soon())
    assert str(caught.value).endswith("ended when asked 'hello': what?; no such level")
    process.close()


def test_writing_to_an_engine_that_has_ended():
    process = EngineProcess(python("pass"))
    with pytest.raises(EngineError, match="ended"):
        for _ in range(100):
            process.send("x" * 65536, soon())
    process.close()


def test_an_engine_that_does_not_read_is_not_waited_for():
    process = EngineProcess(python("import time; time.sleep(600)"))
    with pytest.raises(EngineError, match="in the time allowed"):
        process.send("x" * 10_000_000, time.monotonic() + SHORT)
    process.close()


def test_silence_and_floods_have_an_end():
    process = EngineProcess(fake_engine("gtp", "silent"))
    process.send("genmove black", soon())
    with pytest.raises(EngineError, match="no answer to 'genmove black' in the time allowed"):
        process.read_line(time.monotonic() + SHORT)
    process.close()
    process = EngineProcess(fake_engine("gtp", "flood"))
    process.send("genmove black", soon())
    with pytest.raises(EngineError, match="a line without end"):
        process.read_line(soon())
    assert len(process._unread) < 2 * MAX_LINE
    process.close()


def test_chatter_without_an_answer_has_an_end():
    process = EngineProcess(fake_engine("uci", "chatter"))
    process.send("go", soon())
    deadline = time.monotonic() + SHORT
    with pytest.raises(EngineError, match="in the time allowed"):
        while True:
            process.read_line(deadline)
    process.close()


def test_closing_kills_what_the_engine_started(monkeypatch):
    marker = f"ENGINE_TEST_{time.monotonic_ns()}"
    monkeypatch.setenv(marker, "1")
    process = EngineProcess(fake_engine("gtp", "child"))
    process.send("genmove black", soon())
    wait_until(lambda: len(processes_with(marker)) == 2, "the engine and its child")
    process.close()
    process.close()  # twice is once
    wait_until(lambda: not processes_with(marker), "both are gone")


def test_an_engine_nobody_refers_to_is_killed(monkeypatch):
    marker = f"ENGINE_TEST_{time.monotonic_ns()}"
    monkeypatch.setenv(marker, "1")
    process = EngineProcess(fake_engine("gtp", "moves"))
    assert len(processes_with(marker)) == 1
    del process
    wait_until(lambda: not processes_with(marker), "it is gone")


def test_gtp_answers_and_refusals():
    engine = GtpEngine(fake_engine("gtp", "moves", moves="D4,pass"), LONG)
    assert "set_game" in engine.commands
    assert engine.ask("clear_board") == ""
    assert [engine.ask("genmove black") for _ in range(3)] == ["D4", "pass", "D4"]
    with pytest.raises(GtpRefusal, match="refused 'boardsize 7': unacceptable size"):
        engine.ask("boardsize 7")
    engine.close()


def test_what_speaks_no_gtp_is_not_started():
    with pytest.raises(EngineError, match="which is not GTP"):
        GtpEngine(fake_engine("gtp", "garbage"), LONG)
    with pytest.raises(EngineError, match="ended when asked 'list_commands': no"):
        GtpEngine(python("import sys; sys.exit('no')"), LONG)
