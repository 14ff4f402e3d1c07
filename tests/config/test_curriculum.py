"""The texts of a curriculum: what they say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfplay.config import reader
from selfplay.config.curriculum import Stage, describe, read_stages, stage_at
from selfplay.config.run import Config
from selfplay.errors import UserError

GO = ("go(board_size=5, komi=24.5) until=0.05", "openspiel:go(board_size=7) until=.3", "go(board_size=7) share=0.2")


def test_stages_are_read_in_their_order() -> None:
    five, seven, last = read_stages(GO)
    assert five == Stage("go(board_size=5, komi=24.5)", 0.05, 1.0)
    assert seven == Stage("openspiel:go(board_size=7)", 0.3, 1.0) and last == Stage("go(board_size=7)", 1.0, 0.2)
    for progress, stage in ((0, five), (0.049, five), (0.05, seven), (0.3, last), (0.999, last), (1, None)):
        assert stage_at((five, seven, last), progress) == stage
    assert stage_at(read_stages(["hex until=0.5"]), 0.5) is None
    assert describe((five, last), "go") == (
        "curriculum: go(board_size=5, komi=24.5) until 5% of the budget; go(board_size=7) in 20% of the games to the "
        "end; all other games are of go"
    )


def test_a_file_and_flags_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("curriculum:\n" + "".join(f"  - {text}\n" for text in GO))
    config = reader.load(Config, path)
    assert config.curriculum == GO == reader.load(Config, None, ["--curriculum", *GO, "--seed", "1"]).curriculum
    path.write_text(reader.dump(config, comments=True))
    assert reader.load(Config, path) == config
    assert reader.load(Config, path, ["--curriculum"]).curriculum == Config().curriculum == ()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["hex", "go"], "stage 1, 'hex': until is missing; only the last stage goes on to the end"),
        (["hex untill=0.5"], "stage 1, 'hex untill=0.5': unknown option 'untill'; did you mean 'until'?"),
        (["hex until=2"], "stage 1, 'hex until=2': until: 2.0 is out of range; expected from 0 to 1"),
        (["hex share=0"], "stage 1, 'hex share=0': share: 0.0 is out of range; expected from 0.001 to 1"),
        (["hex until=0.1 until=0.2"], "stage 1, 'hex until=0.1 until=0.2': option 'until' is given twice"),
        (["hex 0.5"], "stage 1, 'hex 0.5': option '0.5' is not name=value; write it as GAME until=0.3 share=0.5"),
        (["until=0.5"], "stage 1, 'until=0.5': no game stands first; write it as GAME until=0.3 share=0.5"),
        (["hex until=0.5", "go until=0.5"], "stage 2, 'go until=0.5': until is 0.5, and the stage begins at 0.5"),
        (["hex until=0"], "stage 1, 'hex until=0': until is 0, and the stage begins at 0; use a greater share"),
    ],
)
def test_what_is_no_curriculum_is_one_line(texts: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        reader.load(Config, None, ["--curriculum", *texts])
    assert str(refused.value).startswith(f"curriculum: {message}") and "\n" not in str(refused.value)
