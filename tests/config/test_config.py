"""Reading settings: file and flags get the same checks, every mistake is one line, YAML text loads back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from selfplay.config import reader, yaml_text
from selfplay.config.schema import settings_of
from selfplay.errors import UserError


@dataclass(frozen=True)
class Search:
    num_simulations: int = field(default=100, metadata={"help": "simulations a move", "min": 1, "max": 10**6})
    rule: str = field(default="puct", metadata={"help": "how to search", "choices": ("puct", "gumbel")})
    reuse: bool = False


@dataclass(frozen=True)
class Learner:
    learning_rate: float = field(default=1e-3, metadata={"help": "of the optimiser", "min": 0, "max": 1})
    offset: float = 0.0
    clip: float | None = None
    steps: int | None = 5
    label: str | None = None


@dataclass(frozen=True)
class Evaluation:
    opponents: tuple[str, ...] = ("random",)
    levels: tuple[int, ...] = field(default=(1, 10), metadata={"min": 1, "max": 1000})


@dataclass(frozen=True)
class Config:
    game: str = field(default="tic_tac_toe", metadata={"help": "what is played"})
    seed: int = field(default=0, metadata={"min": 0})
    search: Search = field(default_factory=Search)
    learner: Learner = field(default_factory=Learner)
    evaluation: Evaluation = field(default_factory=Evaluation)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the text of a config file and return its path, relative so that messages are short."""
    monkeypatch.chdir(tmp_path)

    def write_file(content: str | bytes) -> Path:
        path = Path("x.yaml")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def complaints(path: Path | None = None, overrides: list[str] | None = None, **options) -> list[str]:
    """The lines of the error that loading must raise."""
    with pytest.raises(UserError) as caught:
        reader.load(Config, path, overrides or [], **options)
    return str(caught.value).splitlines()


def test_no_file_and_no_flags_give_the_defaults():
    assert reader.load(Config) == Config()


def test_file_wins_over_defaults_and_flags_win_over_the_file(write):
    path = write("game: hex(board_size=5)\nsearch:\n  num_simulations: 8\n  rule: gumbel\n")
    loaded = reader.load(Config, path, ["--search.num_simulations", "16", "--seed", "3"])
    assert loaded == Config(game="hex(board_size=5)", seed=3, search=Search(num_simulations=16, rule="gumbel"))


def test_an_empty_section_has_the_defaults(write):
    assert reader.load(Config, write("search:\nseed: 1\n")) == Config(seed=1)


@pytest.mark.parametrize(
    ("line", "key", "expected"),
    [
        ("learner: {learning_rate: 1e-3}", "learning_rate", 1e-3),  # a string in YAML 1.1
        ("learner: {learning_rate: 1}", "learning_rate", 1.0),
        ("learner: {offset: -2.5E-3}", "offset", -2.5e-3),
        ("learner: {clip: null}", "clip", None),
        ("learner: {clip: ~}", "clip", None),
        ("learner: {steps: None}", "steps", None),
        ("learner: {steps: 1e6}", "steps", 1_000_000),
        ("learner: {label: yes}", "label", "yes"),
        ("search: {num_simulations: 2.0}", "num_simulations", 2),
        ("search: {num_simulations: 010}", "num_simulations", 10),  # octal in YAML 1.1
        ("search: {reuse: on}", "reuse", True),
        ("search: {reuse: No}", "reuse", False),
        ("evaluation: {opponents: []}", "opponents", ()),
        ("evaluation: {opponents: ['mcts:simulations=10', a b]}", "opponents", ("mcts:simulations=10", "a b")),
        ("evaluation: {levels: [1, 2e2]}", "levels", (1, 200)),
    ],
)
def test_yaml_text_becomes_the_type_of_the_setting(write, line, key, expected):
    section = line.partition(":")[0]
    value = getattr(getattr(reader.load(Config, write(line)), section), key)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize("name", ["2048", "2024-01-01", "on", "1:30", "0x10"])
def test_text_is_never_reinterpreted(write, name):
    assert reader.load(Config, write(f"game: {name}")).game == name


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["--search.num-simulations", "7"], Config(search=Search(num_simulations=7))),
        (["--search.num_simulations=7"], Config(search=Search(num_simulations=7))),
        (["--learner.offset", "-1e-05"], Config(learner=Learner(offset=-1e-5))),
        (["--search.reuse"], Config(search=Search(reuse=True))),
        (["--search.reuse", "True"], Config(search=Search(reuse=True))),
        (["--search.reuse", "--search.no-reuse"], Config()),
        (["--search.reuse=false"], Config()),
        (["--learner.steps", "none"], Config(learner=Learner(steps=None))),
        (["--learner.label=--x=1"], Config(learner=Learner(label="--x=1"))),
        (["--game="], Config(game="")),
        (["--game", "a", "--game", "b"], Config(game="b")),
        (["--evaluation.opponents"], Config(evaluation=Evaluation(opponents=()))),
        (["--evaluation.opponents", "a", "b c", "--seed", "1"], Config(seed=1, evaluation=Evaluation(("a", "b c")))),
    ],
)
def test_flags(tokens, expected):
    assert reader.load(Config, overrides=tokens) == expected


def test_wrong_type_names_file_key_and_value(write):
    path = write("search:\n  num_simulations: abc\n")
    assert complaints(path) == ["x.yaml: search.num_simulations: expected an integer, got 'abc'"]


@pytest.mark.parametrize(
    "line",
    [
        "seed: 1.5",
        "seed: true",
        "seed: 1e-3",
        "seed: 1e400",
        "seed: " + "9" * 5000,
        "seed: [1]",
        "seed:",
        "seed: {a: 1}",
        "seed: [[1]]",
        "game: ~",
        "game: [a]",
        r'game: "a\nb"',
        "search: 5",
        "search: [1]",
        "search: {reuse: 1}",
        "search: {num_simulations: 0}",
        "search: {num_simulations: 1000001}",
        "search: {rule: pact}",
        "learner: {learning_rate: .nan}",
        "learner: {learning_rate: nan}",
        "learner: {offset: .inf}",
        "learner: {offset: -inf}",
        "learner: {offset: 1e999}",
        "learner: {clip: x}",
        "evaluation: {opponents: random}",
        "evaluation: {opponents: [a, [b]]}",
        "evaluation: {opponents: [-a]}",
        "evaluation: {levels: [1, 0]}",
        "evaluation: {levels: [x]}",
        "unknown: 1",
        "search: {search: {rule: puct}}",
        "search: {rule: puct}\nsearch: {rule: gumbel}",
        "seed: 1\nseed: 1",
        "seed: 1\nSeed: 1",
        "search.rule: gumbel\nsearch: {rule: puct}",
        "[a]: 1",
        "? {a: [{b: c}]}\n: 1",
    ],
)
def test_every_bad_value_is_one_short_line_with_file_and_no_traceback(write, line):
    (complaint,) = complaints(write(line))
    assert complaint.startswith("x.yaml: ") and len(complaint) < 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"# only a comment\n",
        b"---\n",
        b"- a\n- b\n",
        b"hello",
        b"seed: \xff\xfe",
        b"seed: 1\n\x00",
        b"seed: [1\n",
        b"seed: 'a\n",
        b"\tseed: 1",
        b"seed: 1\n---\nseed: 2\n",
        b"seed: !!python/object/apply:os.system ['true']\n",
        b"game: !!python/name:os.system\n",
        b"game: !mine x\n",
        b"a: &a [x]\nb: *a\n",
        b"search: &a\n  search: *a\n",
        b"seed: " + b"[" * 100_000,
        b"seed: 1 #" + b" " * yaml_text.MAX_FILE_BYTES,
        b"game: !!binary aGVsbG8=\n",
    ],
)
def test_every_unreadable_file_is_one_line(write, content):
    (complaint,) = complaints(write(content))
    assert complaint.startswith("x.yaml: ") and len(complaint) < 200


def test_missing_file_and_folder_are_one_line(tmp_path):
    assert "No such file" in complaints(tmp_path / "none.yaml")[0]
    assert "directory" in complaints(tmp_path)[0]


def test_unknown_settings_come_with_the_nearest_names(write):
    assert complaints(write("search: {num_simulation: 5}")) == [
        "x.yaml: search.num_simulation: unknown setting; did you mean 'search.num_simulations'?"
    ]
    assert complaints(write("num_simulations: 5"))[0].endswith("did you mean 'search.num_simulations'?")
    assert complaints(overrides=["--learner.learningrate", "1"])[0].endswith("did you mean '--learner.learning_rate'?")


def test_out_of_range_shows_the_range(write):
    assert complaints(write("search: {num_simulations: 0, rule: x}")) == [
        "x.yaml: search.num_simulations: 0 is out of range; expected from 1 to 1000000",
        "x.yaml: search.rule: expected one of puct, gumbel, got 'x'",
    ]


def test_all_problems_of_file_and_flags_are_reported_together(write):
    path = write("seed: x\nserch: 1\nsearch: {rule: no}\n")
    lines = complaints(path, ["--seed", "y", "--search.foo", "1", "--learner.offset"])
    assert [line.rpartition(":")[0].split(":")[0] for line in lines if line.startswith("x.yaml")] == ["x.yaml"] * 3
    assert {line.split(":")[0] for line in lines} == {"x.yaml", "--seed", "--search.foo", "--learner.offset"}
    assert len(lines) == 6


@pytest.mark.parametrize(
    "tokens",
    [
        ["stray"],
        ["--seed"],
        ["--learner.label"],
        ["--learner.steps", "--seed", "1"],
        ["--seed", "--search.reuse"],
        ["--search.no-rule"],
        ["--no.such"],
        ["--"],
        ["-s", "1"],
    ],
)
def test_malformed_flags_are_reported(tokens):
    assert complaints(overrides=tokens)


def test_fixed_settings_hold_and_refuse_another_value(write):
    fixed = reader.flatten(Config(seed=9, learner=Learner(clip=None, steps=2)))
    del fixed["search.num_simulations"]
    assert reader.load(Config, None, ["--search.num_simulations", "5", "--seed", "9"], fixed) == Config(
        seed=9, search=Search(num_simulations=5), learner=Learner(steps=2)
    )
    assert complaints(None, ["--seed", "8"], fixed=fixed) == ["--seed: cannot be changed here, it is 9"]


@dataclass(frozen=True)
class Renamed(Config):
    renamed: ClassVar[dict[str, str]] = {
        "search.simulations": "search.num_simulations",
        "fit.rate": "learner.learning_rate",
    }


def test_a_name_of_before_is_read_with_one_line_of_warning(write, capsys):
    path = write("search: {simulations: 8}\nfit: {rate: 0.5}\n")
    for _ in range(2):  # a command may read a file several times
        loaded = reader.load(Renamed, path, ["--search.simulations", "16"])
        assert loaded == Renamed(search=Search(num_simulations=16), learner=Learner(learning_rate=0.5))
    assert capsys.readouterr().err.splitlines() == [
        "selfplay: x.yaml: search.simulations: this setting is called search.num_simulations now",
        "selfplay: x.yaml: fit.rate: this setting is called learner.learning_rate now",
        "selfplay: --search.simulations: this setting is called search.num_simulations now",
    ]
    assert "simulations: 16\n" in reader.dump(loaded) and "fit:" not in reader.dump(loaded)
    assert reader.split_overrides(Renamed, ["--fit.rate", "1", "x"]) == (["x"], ["--fit.rate", "1"])
    assert reader.given_keys(Renamed, ["--fit.rate=1"]) == ["learner.learning_rate"]


def test_a_name_of_before_gets_the_checks_of_the_setting_and_no_second_value(write):
    path = write("search: {simulations: 0, num_simulations: 5}\nfit: {rates: 1}\n")
    with pytest.raises(UserError) as caught:
        reader.load(Renamed, path)
    assert str(caught.value).splitlines() == [
        "x.yaml: search.num_simulations: given twice",
        "x.yaml: fit.rates: unknown setting",
        "x.yaml: search.simulations: 0 is out of range; expected from 1 to 1000000",
    ]


def test_every_name_of_before_is_that_of_no_setting_and_stands_for_one():
    from selfplay.config.run import Config as RealConfig

    settings = settings_of(RealConfig)
    assert not set(RealConfig.renamed) & set(settings) and set(RealConfig.renamed.values()) <= set(settings)


def test_a_condition_between_settings_stays_one_clear_line():
    @dataclass(frozen=True)
    class Pair:
        low: int = 1
        high: int = 2

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise UserError("low must not be above high")

    with pytest.raises(UserError, match="^low must not be above high$"):
        reader.load(Pair, overrides=["--low", "3"])


def test_check_finds_what_python_code_got_wrong():
    reader.check(Config())
    wrong = Config(seed="1", search=Search(num_simulations=0), learner=Learner(offset=float("nan")))  # type: ignore
    wrong = dataclasses.replace(wrong, evaluation=Evaluation(opponents=["a"]))  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        reader.check(wrong)
    keys = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert keys == ["seed", "search.num_simulations", "learner.offset", "evaluation.opponents"]


@pytest.mark.parametrize("number", [np.float32(0.5), np.int64(1), np.bool_(True)])
def test_numbers_of_numpy_are_refused_for_no_file_can_hold_them(number):
    with pytest.raises(UserError, match=r"^learner.learning_rate: expected a number, got np\."):
        reader.check(Config(learner=Learner(learning_rate=number)))


def test_a_setting_of_unsupported_type_is_a_mistake_of_the_class():
    bad = dataclasses.make_dataclass("Bad", [("values", dict[str, int], field(default_factory=dict))], frozen=True)
    with pytest.raises(TypeError, match="values"):
        settings_of(bad)


def test_overrides_are_told_apart_from_a_commands_own_arguments():
    own, overrides = reader.split_overrides(
        Config,
        ["--search.reuse", "a.yaml", "--run-dir", "d", "--seed", "3", "--evaluation.opponents", "x", "y"]
        + ["--json", "--no.such", "1", "--search.no-reuse", "last"],
    )
    assert own == ["a.yaml", "--run-dir", "d", "--json", "last"]
    assert overrides == ["--search.reuse", "--seed", "3", "--evaluation.opponents", "x", "y", "--no.such", "1"] + [
        "--search.no-reuse"
    ]


def test_help_shows_every_setting_with_help_and_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = reader.help_text(Config)
    for key, setting in settings_of(Config).items():
        assert f"--{key}" in text and setting.help in text
    assert "(default: 100)" in text
    assert "simulations a move; from 1 to 1000000 (default: 100)" in text
    assert "how to search; one of puct, gumbel (default: puct)" in text


texts = st.text(st.characters(codec="utf-8"), max_size=12).filter(str.isprintable)
optional_texts = texts.filter(lambda text: text.lower() not in ("none", "null"))
floats = st.floats(allow_nan=False, allow_infinity=False)
configs = st.builds(
    Config,
    game=texts,
    seed=st.integers(0, 2**80),
    search=st.builds(Search, st.integers(1, 10**6), st.sampled_from(["puct", "gumbel"]), st.booleans()),
    learner=st.builds(
        Learner, st.floats(0, 1), floats, st.none() | floats, st.none() | st.integers(), st.none() | optional_texts
    ),
    evaluation=st.builds(
        Evaluation,
        st.lists(texts.filter(lambda text: not text.startswith("-")), max_size=3).map(tuple),
        st.lists(st.integers(1, 1000), max_size=3).map(tuple),
    ),
)


@given(original=configs, comments=st.booleans())
def test_dumped_yaml_loads_back_to_an_equal_config(tmp_path_factory, original, comments):
    path = tmp_path_factory.getbasetemp() / "round_trip.yaml"
    path.write_text(reader.dump(original, comments), encoding="utf-8", newline="")
    assert reader.load(Config, path) == original


@given(configs)
def test_any_other_yaml_reader_sees_the_same_values(original):
    nested = yaml.safe_load(reader.dump(original))
    lists = {key: list(value) for key, value in nested["evaluation"].items()}
    assert {**nested, "evaluation": {key: tuple(value) for key, value in lists.items()}} == dataclasses.asdict(original)


def test_comments_show_help_and_range():
    text = reader.dump(Config(), comments=True)
    assert "  # simulations a move; from 1 to 1000000\n  num_simulations: 100\n" in text
    assert "  # how to search; one of puct, gumbel\n  rule: puct\n" in text


SHIPPED = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


def test_the_shipped_defaults_are_valid_explained_and_survive_a_file(tmp_path):
    from selfplay.config.run import Config as RealConfig

    reader.check(RealConfig())
    assert [key for key, setting in settings_of(RealConfig).items() if not setting.help] == []
    path = tmp_path / "config.yaml"
    path.write_text(reader.dump(RealConfig(), comments=True), encoding="utf-8")
    assert reader.load(RealConfig, path) == RealConfig()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_config_loads_and_names_a_game(path):
    import games
    from selfplay.config.run import Config as RealConfig

    assert games.load(reader.load(RealConfig, path).game).num_actions > 0
