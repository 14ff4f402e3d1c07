"""The quickest way to see that everything works: `configs/smoke.yaml` as it stands, by the command line.

Tic-tac-toe is small enough to try every reply: the trained player must never lose, whoever moves first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from exact_player import move_values
from run_helpers import ROOT, start

import games
from selfplay.players.kinds import parse_player
from selfplay.players.player import Player
from selfplay.storage import checkpoint
from selfplay.storage.metrics import read_metrics, unknown_names

TIC_TAC_TOE = games.load("tic_tac_toe")

Moves = tuple[int, ...]


def positions(histories: Sequence[Moves]) -> tuple[games.StatePool, np.ndarray]:
    """A pool with the position after each history, and its slots."""
    pool, slots = TIC_TAC_TOE.new_pool(len(histories)), np.arange(len(histories))
    pool.reset(slots)
    for slot, history in zip(slots, histories, strict=True):
        for action in history:
            pool.step(slots[slot : slot + 1], np.array([action]), slots[slot : slot + 1])
    return pool, slots


def lost_games(player: Player, seat: int) -> tuple[list[Moves], int]:
    """Every game that the player can lose in `seat` (0 moves first), and how many games it can come to at all."""
    lost: list[Moves] = []
    finished, going = 0, [()]
    while going:
        pool, slots = positions(going)
        mover = int(pool.to_play(slots)[0])  # the same in all of them
        if mover == seat:
            actions = player.choose(pool, slots, going)
            following = [(*history, int(action)) for history, action in zip(going, actions, strict=True)]
        else:
            following = [(*history, action) for history in going for action in move_values(history)]
        pool, slots = positions(following)
        ended = pool.to_play(slots) == games.TERMINAL
        finished += int(ended.sum())
        for history, over in zip(following, ended, strict=True):
            # The move that ended the game was the opponent's, and three in a row: values are those of the loser.
            if over and mover != seat and move_values(history[:-1])[history[-1]] == 1.0:
                lost.append(history)
        going = [history for history, over in zip(following, ended, strict=True) if not over]
    return lost, finished


class FirstFreeCell:
    """Loses to almost anything."""

    name = "first free cell"

    def choose(self, pool, slots: np.ndarray, histories: Sequence[Moves]) -> np.ndarray:
        return np.array([min(move_values(history)) for history in histories])

    def close(self) -> None:
        pass


class Exact(FirstFreeCell):
    """Always the first best move."""

    def choose(self, pool, slots: np.ndarray, histories: Sequence[Moves]) -> np.ndarray:
        values = [move_values(history) for history in histories]
        return np.array([max(value, key=value.__getitem__) for value in values])


@pytest.mark.parametrize("seat", [0, 1])
def test_the_walk_tells_good_players_from_bad_ones(seat: int) -> None:
    lost, finished = lost_games(Exact(), seat)
    assert lost == [] and finished > 50
    assert lost_games(FirstFreeCell(), seat)[0]


@pytest.mark.slow
def test_the_smoke_run_learns_perfect_play(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = start("train", ROOT / "configs" / "smoke.yaml", "--run-dir", run, "--wandb.mode", "disabled")
    output, _ = training.communicate(timeout=600)
    assert training.returncode == 0, output
    assert checkpoint.versions(run / "checkpoints")
    rows = list(read_metrics(run / "metrics.jsonl"))
    assert all(unknown_names(row) == [] for row in rows)
    assert rows[-1]["eval/score/random"] > 0.8

    player = parse_player(f"run:{run}:simulations=32", TIC_TAC_TOE)
    for seat in (0, 1):
        lost, finished = lost_games(player, seat)
        assert finished > 50
        assert lost == [], f"in seat {seat} it loses {len(lost)} of {finished} games"
    player.close()
