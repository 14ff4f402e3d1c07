"""Game strings: what loads, under which name, and what is refused with one clear line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from games_helpers import observations, play_to_decision, slots

import games
from games import registry
from games.native.connect_four import ConnectFour, ConnectFourPool
from games.native.pool import NativePool
from games.python_pool import PoolState

UNKNOWN = [
    ("conect_four", "unknown game 'conect_four': did you mean connect_four?"),
    ("tic-tac-toe", "did you mean tic_tac_toe"),
    ("no_such_thing_at_all", "selfplay games"),
    ("", "malformed game"),
    ("hex(", "malformed game"),
    ("hex(board_size=5", "malformed game"),
    ("hex(board_size)", "is not key=value"),
    ("hex(board_size=5,board_size=6)", "is given twice"),
    ("hex(bord_size=5)", "unknown parameter 'bord_size'; it has: board_size"),
    ("hex(board_size=five)", "board_size=five is not of type int"),
    ("hex(board_size=5.5)", "not of type int"),
    ("hex(swap=maybe)", "not of type bool"),
    ("go(komi=nan)", "not of type float"),
    ("go(komi=inf)", "out of range"),
    ("openspiel:nothing", "unknown game 'nothing'"),
    ("no_such_module:hex", "cannot import the module"),
    ("kuhn_poker", "imperfect information"),
    ("goofspiel", "simultaneously"),
    ("stones_and_gems", "draws its chance inside its moves"),
    ("efg_game", "cannot be built from its defaults"),
]
ABSURD = [
    ("hex(board_size=100000)", "hex(board_size=100000): 100000 rows of 100000 columns are more than 1024 cells"),
    ("openspiel:hex(board_size=100000)", "hex(board_size=100000) cannot be used"),
    ("hex(board_size=99999999999)", "out of range"),
    ("hex(board_size=-1)", "must be at least 2"),
    ("hex(num_cols=1)", "must be at least 2"),
    ("openspiel:hex(board_size=-1)", "cannot be used"),
    ("openspiel:hex(num_cols=1)", "has a position without a legal move"),
    ("go(board_size=1000)", "go: board_size must be from 2 to 19, not 1000"),
    ("openspiel:go(board_size=1000)", "cannot be used"),
    ("go(komi=7.3)", "komi must be a whole or a half number of at most 361 points, not 7.3"),
    ("go(handicap=1)", "handicap must be from 2 to 9 on 9x9, not 1"),
    ("go(board_size=5,handicap=2)", "handicap must be left out on 5x5, not 2"),
    ("go(komi_spread=-1)", "komi_spread must be from 0 to 20, not -1"),
    ("go(pass_after=163)", "pass_after must be at most 162"),
    (
        "go(board_size=5,max_game_length=60)",
        "only OpenSpiel's version has max_game_length; write openspiel:go(board_size=5,max_game_length=60)",
    ),
    ("openspiel:connect_four(rows=1000000)", "empty or too large"),
    ("yacht(num_dice=10)", "takes too much time or memory"),
    ("openspiel:connect_four(rows=0)", "cannot be used"),
    ("connect_four(rows=1000000)", "more than 1024 cells"),
    ("connect_four(rows=0)", "must be at least 1"),
    ("amazons(board_size=3)", "cannot be used"),
    ("breakthrough(columns=1)", "rows and columns must be at least 2"),
    ("breakthrough(rows=1000)", "1000 rows of 8 columns are more than 1024 cells"),
    ("breakthrough(rows=200,columns=200)", "200 rows of 200 columns are more than"),
    ("openspiel:hex(num_cols=3,num_rows=5,plain_obs_tensor=True)", "not square"),
    (
        "hex(board_size=4,plain_obs_tensor=True,swap=True)",
        "plain_obs_tensor and swap; write openspiel:hex(board_size=4,plain_obs_tensor=True,swap=True)",
    ),
    ("othello(board_size=6)", "unknown parameter 'board_size'; it has: none"),
]


@pytest.mark.parametrize(("text", "complaint"), UNKNOWN + ABSURD)
def test_bad_game_strings_are_one_clear_line(text: str, complaint: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(games.GameError) as caught:
        games.load(text)
    assert complaint in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 250
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "name", "rules"),
    [
        ("hex", "hex", "hex"),
        (" hex( board_size = 5 ) ", "hex(board_size=5)", "hex(board_size=5)"),
        ("hex(board_size=11)", "hex", "hex"),
        ("hex(num_rows=5,num_cols=5,board_size=5)", "hex(board_size=5)", "hex(board_size=5)"),
        ("hex(board_size=5,num_cols=11)", "hex(board_size=5,num_cols=11)", "hex(board_size=5,num_cols=11)"),
        ("hex(num_cols=5,num_rows=5)", "hex(num_cols=5,num_rows=5)", "hex(num_cols=5,num_rows=5)"),
        (
            "openspiel:hex(board_size=4,plain_obs_tensor=true)",
            "openspiel:hex(board_size=4,plain_obs_tensor=True)",
            "hex(board_size=4)",
        ),
        ("go(komi=6,board_size=9)", "go(komi=6.0)", "go(board_size=9,komi=6.0,superko=positional)"),
        ("go(pass_after=13)", "go", "go(board_size=9,superko=positional)"),
        ("go(pass_after=0)", "go(pass_after=0)", "go(board_size=9,superko=positional)"),
        ("openspiel:go(komi=6,board_size=9)", "openspiel:go(board_size=9,komi=6.0)", "go(board_size=9,komi=6.0)"),
        ("openspiel:go(komi=7.5,max_game_length=722)", "openspiel:go", "go"),
        ("nim(pile_sizes=3;4)", "nim(pile_sizes=3;4)", "nim(pile_sizes=3;4)"),
        ("connect_four(rows=6,columns=5)", "connect_four(columns=5)", "connect_four(columns=5)"),
        ("connect_four(egocentric_obs_tensor=True)", "connect_four(egocentric_obs_tensor=True)", "connect_four"),
        ("openspiel:connect_four(rows=6)", "openspiel:connect_four", "connect_four"),
        ("openspiel:hex(num_cols=5,num_rows=5)", "openspiel:hex(num_cols=5,num_rows=5)", "hex(num_cols=5,num_rows=5)"),
        ("openspiel:hex", "openspiel:hex", "hex"),
        ("breakthrough(rows=6,columns=8)", "breakthrough(rows=6)", "breakthrough(rows=6)"),
        ("openspiel:breakthrough(rows=6)", "openspiel:breakthrough(rows=6)", "openspiel:breakthrough(rows=6)"),
        ("openspiel:chess", "chess", "chess"),
    ],
)
def test_names_are_canonical(text: str, name: str, rules: str) -> None:
    game = games.load(text)
    assert (game.name, game.rules) == (name, rules)
    assert games.load(game.name).name == name


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("breakthrough", "openspiel:breakthrough"),
        ("breakthrough(rows=6,columns=6)", "openspiel:breakthrough(rows=6,columns=6)"),
        ("openspiel:breakthrough", ""),
        ("othello", ""),
    ],
)
def test_what_a_name_meant_before_we_took_it_is_known(text: str, before: str) -> None:
    assert registry.earlier_meaning(text) == before
    assert not before or games.load(before).num_actions != games.load(text).num_actions


def test_warnings_of_openspiel_do_not_reach_the_user(capfd: pytest.CaptureFixture[str]) -> None:
    games.load("quoridor(board_size=5)")
    assert capfd.readouterr() == ("", "")


def test_names_list_supported_games_and_reasons() -> None:
    known = {info.name: info for info in games.names()}
    assert known["connect_four"].supported and known["chess"].reason == ""
    assert not known["hanabi"].supported and known["hanabi"].reason
    assert list(known) == sorted(known)


def code_of_the_page() -> str:
    page = Path(__file__).parents[2] / "docs" / "adding_a_game.md"
    return page.read_text().split("```python\n")[1].split("```")[0]


@pytest.fixture
def my_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of docs/adding_a_game.md, as a person would save it."""
    (tmp_path / "my_games.py").write_text(code_of_the_page())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    monkeypatch.delitem(sys.modules, "my_games", raising=False)


@pytest.mark.usefixtures("my_games")
def test_the_documented_game_works() -> None:
    game = games.load("my_games:countdown(size=9)")
    assert (game.name, game.rules) == ("my_games:countdown(size=9)", "countdown(size=9)")
    assert games.load("countdown(size=9)").rules == game.rules
    assert games.load("countdown").name == "countdown"
    with pytest.raises(games.GameError, match="size must be at least 1"):
        games.load("countdown(size=0)")
    with pytest.raises(games.GameError, match="unknown parameter 'sise'; it has: size"):
        games.load("countdown(sise=3)")

    pool = game.new_pool(3)
    pool.reset(slots(0, 1))
    to_play, rewards = pool.step(slots(0, 1), slots(2, 0), slots(2, 1))
    assert to_play.tolist() == [1, 1] and not rewards.any()
    assert [pool.text(slot) for slot in range(3)] == ["o" * 9, "o" * 8, "o" * 6]
    assert observations(pool, slots(2))[0].tolist() == [1.0] * 6 + [0.0] * 3 + [0.0, 1.0]
    to_play, rewards = pool.step(slots(2, 2), slots(2, 2), slots(2, 2))
    assert to_play.tolist() == [0, games.TERMINAL] and rewards.tolist() == [[0.0, 0.0], [1.0, -1.0]]
    assert pool.action_text(0, 2) == "take 3"
    other = games.load("countdown(size=9)").new_pool(1)
    with pytest.raises(games.GameError, match="does not keep the moves"):
        other.load(slots(0), pool, slots(1))


@pytest.mark.usefixtures("my_games")
def test_a_game_that_derives_from_game_as_an_earlier_page_said_loads_with_one_warning(tmp_path: Path) -> None:
    now = code_of_the_page()
    then = now.replace("(games.PythonGame)", "(games.Game)")
    assert then.count("(games.Game)") == 1 + now.count("(games.Game)")
    (tmp_path / "my_games.py").write_text(then)
    with pytest.warns(FutureWarning, match=r"^Countdown has new_state: derive it from games\.PythonGame") as warned:
        game = games.load("my_games:countdown(size=9)")
        games.load("my_games:countdown(size=8)").new_pool(1)
    assert len(warned) == 1
    line = then.splitlines()[warned[0].lineno - 1]
    assert Path(warned[0].filename).name == "my_games.py" and line.startswith("class Countdown")
    assert games.new_state(game).legal_actions() == range(3) and games.broken_promises(game, positions=60) == []


def test_modules_that_an_earlier_page_named_are_found_with_a_warning() -> None:
    code = """from games.native_pool import NativePool, random_bits
from games.bordered import inner
from games.base import State
"""
    names: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        exec(compile(code, "my_native.py", "exec"), names)
    assert [(w.filename, w.lineno, str(w.message)) for w in warned] == [
        ("my_native.py", 1, "games.native_pool is games.native.pool now"),
        ("my_native.py", 2, "games.bordered is games.native.bordered now"),
        ("my_native.py", 3, "games.base.State is games.State now"),
    ]
    assert names["NativePool"] is NativePool and names["State"] is games.State
    for module in ("games.base", "games.bordered"):
        with pytest.raises(ImportError, match="no_such_thing"):
            exec(f"from {module} import no_such_thing")


def test_a_game_without_a_pool_and_without_a_first_position_is_refused() -> None:
    class Nothing(games.Game):
        pass

    with pytest.raises(TypeError, match="new_pool"):
        Nothing()  # type: ignore[abstract]


def test_a_game_that_has_a_pool_of_its_own_and_new_state_keeps_both() -> None:
    class Position(PoolState):
        pass

    class Own(ConnectFour):
        def new_state(self) -> games.State:
            return Position(self)

    assert type(games.new_state(Own())) is Position
    assert type(Own().new_pool(1)) is ConnectFourPool


@pytest.mark.usefixtures("my_games")
def test_a_python_game_is_lost_for_the_mover_at_multiples_of_four() -> None:
    def value(state: games.State) -> float:  # of the player to move
        results = []
        for action in state.legal_actions():
            child = state.clone()
            child.apply(action)
            over = child.to_play() == games.TERMINAL
            results.append(child.rewards()[state.to_play()] if over else -value(child))
        return max(results)

    for size in range(1, 10):
        start = games.new_state(games.load(f"my_games:countdown(size={size})"))
        assert value(start) == (-1.0 if size % 4 == 0 else 1.0)


@pytest.mark.usefixtures("my_games")
def test_rollouts_and_audit_of_a_python_game() -> None:
    game = games.load("my_games:countdown(size=9)")
    pool = game.new_pool(1)
    play_to_decision(pool, 0, 0, np.random.default_rng(0))
    results = pool.rollout(slots(*[0] * 200), np.random.default_rng(0))
    assert set(map(tuple, results.tolist())) == {(1.0, -1.0), (-1.0, 1.0)}
    report = games.audit(game, positions=300)
    # A pile does not say whose turn it is; the seats do.
    assert report.without_seats.other_mover > 0 and report.with_seats.other_mover == 0


def test_register_refuses_what_load_could_not_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    with pytest.raises(games.GameError, match="parameter 'size' needs a default"):
        games.register("mine", lambda size: games.load("hex"))
    with pytest.raises(games.GameError, match="cannot register"):
        games.register("my game", lambda: games.load("hex"))
