"""The W&B mirror passes rows on, and no failure of W&B reaches the caller."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crashing import largest_file
from mirrors import open_mirror
from no_wandb import forget_wandb

from selfplay import cli
from selfplay.training import tracking
from selfplay.training.tracking import NullTracker, Tracker, have_credentials, mode_within
from selfplay.training.wandb_run import WandbRun

ROOT = Path(__file__).parents[2]

# A stand-in for the package: writes down what it is asked for, and fails where FAKE_WANDB says.
FAKE_WANDB = """
import json, os, time

BEHAVIOUR = os.environ["FAKE_WANDB"]

def record(name, *arguments):
    with open(os.environ["FAKE_WANDB_CALLS"], "a") as file:
        file.write(json.dumps([name, *arguments]) + "\\n")
    if BEHAVIOUR == f"raise in {name}":
        raise RuntimeError("broken\\non purpose")
    if BEHAVIOUR == f"hang in {name}":
        time.sleep(3600)
    if BEHAVIOUR == f"die in {name}":
        os._exit(77)

if "FAKE_WANDB_FIFO" in os.environ:
    held_open = open(os.environ["FAKE_WANDB_FIFO"], "w")
record("import")

class Settings(dict):
    def __init__(self, **settings):
        super().__init__(settings)

class Summary:
    def update(self, values):
        record("summary", values)

class Run:
    url, dir, summary = "https://wandb.test/run", "/w/offline-run/files", Summary()
    def define_metric(self, name, step_metric=None):
        record("define_metric", name, step_metric)
    def log(self, row):
        record("log", row)
    starting_step = int(os.environ.get("FAKE_WANDB_STEPS", 0))
    def finish(self, exit_code):
        record("finish", exit_code)
        if BEHAVIOUR == "do not finish":
            raise TimeoutError()

def init(**arguments):
    record("init " + arguments["mode"], arguments)
    return Run()

def teardown():
    record("teardown")
"""


class Fake:
    """Opens trackers over the stand-in, and reads back what it was asked for and what the person was told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._monkeypatch = monkeypatch
        (folder / "package").mkdir()
        (folder / "package" / "wandb.py").write_text(FAKE_WANDB)
        monkeypatch.setenv("PYTHONPATH", str(folder / "package"))
        monkeypatch.setenv("FAKE_WANDB_CALLS", str(folder / "calls"))

    def open(self, behaviour: str = "", mode: str = "offline", **options) -> Tracker:
        self._monkeypatch.setenv("FAKE_WANDB", behaviour)
        return open_mirror(self.folder, self.warnings.append, {"seed": 1}, mode=mode, project="project", **options)

    def calls(self, name: str = "") -> list:
        lines = (self.folder / "calls").read_text().splitlines()
        return [call for call in map(json.loads, lines) if call[0].startswith(name)]


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """No credentials and no settings of W&B from outside."""
    forget_wandb(monkeypatch, tmp_path)


@pytest.fixture
def fake(clean, tmp_path, monkeypatch):
    return Fake(tmp_path, monkeypatch)


def test_rows_arrive_in_order_with_names_for_wandb(fake):
    tracker = fake.open()
    for step in range(3):
        tracker.log({"step": step, "positions": 7, "time_s": 1.5, "train/loss": float("nan"), "eval/elo": 0.5})
    tracker.summary({"score": 0.9})
    tracker.finish()
    tracker.finish()
    expected = [{"train/step": i, "train/positions": 7, "time/train": 1.5, "eval/elo": 0.5} for i in range(3)]
    assert [call[1] for call in fake.calls("log")] == expected
    assert [call[0] for call in fake.calls()][-2:] == ["summary", "finish"]
    assert fake.warnings == []
    assert tracker.where == "wandb sync /w/offline-run"


def test_axes_are_defined_before_the_first_row(fake):
    tracker = fake.open()
    tracker.log({"step": 1})
    tracker.finish()
    names = [call[0] for call in fake.calls()]
    assert "define_metric" not in names[names.index("log") :]
    axes = {call[1]: call[2] for call in fake.calls("define_metric")}
    assert axes == {
        "train/step": None,
        "train/positions": None,
        "train/*": "train/step",
        "eval/*": "train/step",
        "time/*": "train/step",
        "selfplay/*": "train/positions",
    }


def test_a_resumed_run_keeps_its_id(fake):
    first = fake.open()
    first.finish()
    assert first.run_id
    second = fake.open(known=WandbRun(first.run_id))
    second.finish()
    inits = [call[1] for call in fake.calls("init")]
    assert [init["id"] for init in inits] == [first.run_id, first.run_id] == [second.run_id] * 2
    assert all(init["resume"] == "allow" and init["config"] == {"seed": 1} for init in inits)


@pytest.mark.parametrize(
    "behaviour", ["raise in import", "raise in init offline", "raise in log", "raise in summary", "raise in finish"]
)
def test_an_error_of_wandb_is_one_warning(fake, behaviour):
    tracker = fake.open(behaviour)
    for step in range(3):
        tracker.log({"step": step})
    tracker.summary({"score": 1.0})
    tracker.finish()
    tracker.log({"step": 4})
    assert fake.warnings == ["W&B failed (RuntimeError: broken); its mirror is off, metrics.jsonl goes on"]


def test_the_death_of_its_process_is_one_warning(fake):
    tracker = fake.open("die in log")
    tracker.log({"step": 1})
    tracker.finish()
    assert fake.warnings == ["W&B's process ended with status 77; its mirror is off, metrics.jsonl goes on"]


@pytest.mark.parametrize(
    ("behaviour", "rest"),
    [
        ("hang in init offline", ""),
        ("hang in log", "; `wandb sync /w/offline-run` sends what is left"),
        ("hang in finish", "; `wandb sync /w/offline-run` sends what is left"),
    ],
)
def test_a_wandb_that_hangs_is_ended(fake, monkeypatch, behaviour, rest):
    monkeypatch.setattr(tracking, "_GRACE_SECONDS", 0.2)
    tracker = fake.open(behaviour, finish_seconds=0.1)
    tracker.log({"step": 1})
    while rest and tracker.where is None:
        os.sched_yield()
    tracker.finish()
    assert fake.warnings == [f"W&B did not finish in time; metrics.jsonl is complete{rest}"]


def test_uploads_at_the_end_have_a_bound_and_a_line_says_how_to_send_the_rest(fake):
    tracker = fake.open("do not finish", finish_seconds=3.0)
    tracker.log({"step": 1})
    tracker.finish(tracking.STOPPED)
    assert fake.calls("finish") == [["finish", 255]]
    assert fake.warnings == [
        "W&B: not all of 1 rows and of the files was uploaded within 3 s; "
        "`wandb sync /w/offline-run` sends what is left"
    ]


class Record:
    """A `metrics.jsonl` that grows, and the mirror of it in the stand-in."""

    def __init__(self, fake: Fake) -> None:
        self.fake, self.path, self.lines = fake, fake.folder / "metrics.jsonl", 0
        (fake.folder / "wandb").mkdir()
        (fake.folder / "wandb" / "mirrored_rows").write_text("0\n")

    def start(self, behaviour: str = "", **options) -> Tracker:
        return self.fake.open(behaviour, record=self.path, lines=self.lines, **options)

    def write(self, tracker: Tracker | None = None) -> None:
        row = {"step": self.lines, "text": "x" * 50_000}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.lines += 1
        if tracker is not None:
            tracker.log(row, self.lines - 1)

    def steps(self) -> list[int]:
        """What W&B has been given, in order."""
        return [call[1]["train/step"] for call in self.fake.calls("log")]


def test_rows_from_a_time_without_wandb_are_filled_in_from_the_record(fake):
    record = Record(fake)
    first = record.start()
    record.write(first)
    first.finish()
    for _ in range(3):  # with W&B off, or dead
        record.write()
    second = record.start()
    record.write(second)
    second.finish()
    third = record.start()
    third.finish()
    assert record.steps() == [0, 1, 2, 3, 4]
    assert fake.warnings == []


def test_rows_that_a_server_did_not_get_are_filled_in_from_the_record(fake, monkeypatch):
    record = Record(fake)
    for _ in range(4):
        record.write()
    (fake.folder / "wandb" / "mirrored_rows").write_text("4\n")  # all were passed on, but two have arrived
    monkeypatch.setenv("FAKE_WANDB_STEPS", "2")
    record.start(mode="online").finish()
    assert record.steps() == [2, 3]


def test_rows_that_found_no_room_are_filled_in_from_the_record(fake, monkeypatch):
    monkeypatch.setattr(tracking, "QUEUE_ROWS", 2)
    record = Record(fake)
    tracker = record.start()
    for _ in range(30):
        record.write(tracker)
    assert tracker._dropped
    tracker.finish()
    assert record.steps() == list(range(30))
    assert fake.warnings == []


def test_a_damaged_row_of_the_record_is_passed_over(fake):
    record = Record(fake)
    record.write()
    with record.path.open("a") as file:
        file.write("{damaged\n[1]\n")
    record.lines += 2
    record.write()
    record.start().finish()
    assert record.steps() == [0, 3]
    assert fake.warnings == []


def test_a_later_start_has_the_goal_of_the_last_evaluation_in_its_summary(fake):
    record = Record(fake)
    record.path.write_text('{"step": 1, "eval/goal": 0.5}\n{"step": 2, "eval/goal": 0.75}\n{"step": 3}\n')
    record.lines = 3
    record.start().finish()
    assert fake.calls("summary") == [["summary", {"eval/goal": 0.75}]]


def test_what_wandb_cannot_hold_is_turned_into_text(fake, monkeypatch):
    monkeypatch.setenv("FAKE_WANDB", "")
    values = {
        "seed": 2**63 - 1, "exact": 2**53, "clip": math.inf, "path": Path("a"), "text": "\udc80",
        3: (math.nan, True, None),
    }  # fmt: skip
    open_mirror(fake.folder, fake.warnings.append, values).finish()
    (init,) = [call[1] for call in fake.calls("init")]
    assert init["config"] == {
        "seed": "9223372036854775807", "exact": 2**53, "clip": "inf", "path": "a", "text": "\\udc80",
        "3": ["nan", True, None],
    }  # fmt: skip
    assert fake.warnings == []


def test_rows_that_a_slow_wandb_cannot_take_are_dropped_and_counted(fake, monkeypatch):
    monkeypatch.setattr(tracking, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "QUEUE_ROWS", 2)
    tracker = fake.open("hang in log", finish_seconds=0.1)
    for step in range(50):
        tracker.log({"step": step, "text": "x" * 50_000})  # more than the pipe holds
    tracker.finish()
    told = " ".join(fake.warnings)
    assert "did not finish in time" in told
    assert "rows are missing there; metrics.jsonl is complete" in told


def test_an_unreachable_server_gives_an_offline_run_with_one_warning(fake):
    tracker = fake.open("raise in init online", mode="online")
    tracker.log({"step": 1})
    tracker.finish()
    names = [call[0] for call in fake.calls()]
    assert [name for name in names if name != "define_metric"] == [
        "import", "init online", "teardown", "init offline", "log", "finish",
    ]  # fmt: skip
    assert len({call[1]["id"] for call in fake.calls("init")}) == 1
    assert fake.warnings == ["W&B cannot be reached (RuntimeError: broken); writing an offline run instead"]


@pytest.mark.parametrize("behaviour", ["", "hang in log"])
def test_nothing_is_left_when_the_driver_is_killed(fake, monkeypatch, behaviour):
    fifo = fake.folder / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # at end of file once no process holds the other end
    program = f"""
import os, signal
from pathlib import Path
from selfplay.config.run import WandbConfig
from selfplay.training.tracking import MirroredRun, open_tracker

run = MirroredRun("n", Path({str(fake.folder)!r}), {{}})
tracker = open_tracker(WandbConfig(mode="offline", finish_seconds=0.1), run, print)
tracker.log({{"step": 1}})
while tracker.where is None:
    os.sched_yield()
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "FAKE_WANDB": behaviour, "FAKE_WANDB_FIFO": str(fifo)}
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    driver = subprocess.run([sys.executable, "-c", program], env=environment, timeout=60)
    assert driver.returncode == -signal.SIGKILL
    assert select.select([reader], [], [], 30.0)[0] == [reader]
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert [call[0] for call in fake.calls("finish")] == (["finish"] if behaviour == "" else [])


def test_auto_is_online_with_credentials_and_offline_without(fake, monkeypatch):
    fake.open(mode="auto").finish()
    monkeypatch.setenv("WANDB_API_KEY", "key")
    fake.open(mode="auto").finish()
    monkeypatch.setenv("WANDB_MODE", "offline")
    fake.open(mode="auto").finish()
    assert [call[0] for call in fake.calls("init")] == ["init offline", "init online", "init offline"]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(fake.open(mode="auto"), NullTracker)


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [("WANDB_MODE", text, "offline") for text in ("offline", "dryrun", "OFFLINE", " offline ")]
    + [("WANDB_MODE", text, "disabled") for text in ("disabled", "Disabled", "no such mode")]
    + [("WANDB_DISABLED", text, "disabled") for text in ("true", "True", "1", "yes", "y", "on", "t", "any")]
    + [("WANDB_MODE", text, "online") for text in ("", "online", "run", "shared")]
    + [("WANDB_DISABLED", text, "online") for text in ("", "false", "False", "0", "no", "n", "off", "f")],
)
def test_settings_do_not_allow_more_than_the_environment(name, text, allowed):
    assert mode_within({name: text}, "online") == allowed
    assert mode_within({name: text, "WANDB_API_KEY": "key"}, "auto") == allowed
    assert mode_within({name: text}, "offline") == ("disabled" if allowed == "disabled" else "offline")
    assert mode_within({name: text}, "disabled") == "disabled"


def test_an_unknown_mode_in_the_environment_is_said_and_disables():
    said = []
    assert mode_within({"WANDB_MODE": "of"}, "online", said.append) == "disabled"
    assert said == ["WANDB_MODE=of is none of online, run, shared, offline, dryrun, disabled: the W&B mirror is off"]
    assert mode_within({"WANDB_MODE": "online"}, "auto") == "online"  # without credentials, but asked for


def test_a_mode_that_w_and_b_would_refuse_does_not_reach_it(fake, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "OFFLINE")
    fake.open(mode="online").finish()
    assert [call[0] for call in fake.calls("init")] == ["init offline"]


def test_credentials_are_an_api_key_or_a_line_of_netrc_for_the_host(clean, tmp_path):
    home = {"HOME": str(tmp_path)}
    assert not have_credentials({})
    assert not have_credentials(home)
    assert have_credentials({"WANDB_API_KEY": "key"})
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password key\n")
    assert have_credentials(home)
    assert not have_credentials({**home, "WANDB_BASE_URL": "https://wandb.example.org"})
    (tmp_path / ".netrc").write_text("machine machine machine\n")
    assert not have_credentials(home)


def test_disabled_starts_nothing_and_other_modes_are_refused(fake):
    tracker = fake.open(mode="disabled")
    tracker.log({"step": 1})
    tracker.finish()
    assert not (fake.folder / "calls").exists() and tracker.run_id is None
    with pytest.raises(ValueError, match="wandb.mode: 'on' is none of auto, offline, online, disabled"):
        fake.open(mode="on")


def test_a_process_that_cannot_start_is_a_warning(fake, monkeypatch):
    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert isinstance(fake.open(), NullTracker)
    assert fake.warnings == ["W&B mirror cannot start (Resource temporarily unavailable); metrics.jsonl goes on"]


def test_the_real_package_writes_an_offline_run_into_the_run_folder(clean, tmp_path):
    warnings: list[str] = []
    tracker = open_mirror(tmp_path, warnings.append, {"seed": 1})
    tracker.log({"step": 1, "positions": 2, "time_s": 3.0, "train/policy_loss": 0.25})
    tracker.finish()
    assert warnings == []
    (file,) = tmp_path.glob(f"wandb/offline-run-*/run-{tracker.run_id}.wandb")
    assert tracker.where == f"wandb sync {file.parent}"
    content = file.read_bytes()
    assert b"train/policy_loss" in content and b"train/step" in content


def test_a_full_disk_is_one_warning(clean, tmp_path):
    """No file may grow beyond 2 KB from the start of its process on: W&B's own service ends of it."""
    warnings: list[str] = []
    with largest_file(2000):
        tracker = open_mirror(tmp_path, warnings.append, {"seed": 1}, finish_seconds=1.0)
    for step in range(100):
        tracker.log({"step": step, "text": "x" * 1000})
    tracker.finish()
    assert (
        len(warnings) == 1
        and warnings[0].startswith("W&B")
        and warnings[0].endswith(("metrics.jsonl is complete", "metrics.jsonl goes on"))
    )


def test_a_tournament_is_not_logged_where_the_environment_says_no(clean, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail, and be said
    monkeypatch.setenv("WANDB_DISABLED", "true")
    arguments = ["tournament", "random", "random:seed=7", "--game", "tic_tac_toe", "--games", "2", "--processes", "1"]
    assert cli.main([*arguments, "--out", "met", "--wandb", "project", "--json"]) == 0
    said = capsys.readouterr()
    json.loads(said.out)
    assert "selfplay: WANDB_MODE or WANDB_DISABLED turns W&B off; the tournament is in met\n" in said.err
    assert "W&B failed" not in said.err
