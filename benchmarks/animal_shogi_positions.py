"""Label positions of animal shogi with the exact value of every move, from the table of `animal_shogi_table.py`.

    python benchmarks/animal_shogi_positions.py --table FOLDER --out FILE.jsonl

The positions are from games between weak players: plain MCTS of 40 simulations, which plays a tenth, a third or all of
its moves by chance. They are hard (at most half of the moves keep the value), so none of them is lost: each move of a
lost position keeps its value. None is won in one move. A fifth each is drawn, won in 3 moves, in 5 to 7, in 9 to 15,
and in more. All are positions after six moves or more. A game gives two positions at most.

It needs 1.5 GB of memory and a minute of one core. The same seed makes the same file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from animal_shogi_table import CAPTURE, NEW, UNSOLVED, kind_of, packed

import games
from games.base import TERMINAL
from games.native.animal_shogi import AnimalShogi
from games.native.pieces import MAX_PLIES
from selfplay.console.output import json_text
from selfplay.evaluation.labelling import HARD_SHARE
from selfplay.players.kinds import parse_player

GAMES = 64
"""Number of games at a time."""

FIRST_PLY, PLIES = 6, 60
"""Number of moves before the first position that is taken, and of those after which a game ends at the latest."""

RANDOM_SHARES = (0.1, 1 / 3, 1.0)
PLAYER = "mcts:simulations=40"
FROM_A_GAME = 2
CLASSES = (3, 7, 15, UNSOLVED - 1, MAX_PLIES)
"""Most moves to the end of each class of positions; the last one are the draws."""


@dataclass(frozen=True)
class Label:
    """A position and the value of each move for the player to move."""

    key: int
    moves: list[int]
    values: dict[int, int]
    distance: int
    """Number of moves to the end, UNSOLVED or more for a draw."""

    def is_wanted(self) -> bool:
        """Whether the position is hard, and not won in one move."""
        values = list(self.values.values())
        return self.distance > 1 and values.count(max(values)) <= HARD_SHARE * len(values)

    def class_of(self) -> int:
        return int(np.searchsorted(CLASSES, self.distance))


class Labeller:
    """Looks positions up in a table."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.distances = np.load(folder / "keys.npy"), np.load(folder / "values.npy")
        self.pool = AnimalShogi().new_pool(2)

    def distance(self, key: int) -> int | None:
        """Number of moves to the end; None for a position that the table does not have."""
        place = int(np.searchsorted(self.keys, key))
        return int(self.distances[place]) if place < len(self.keys) and self.keys[place] == key else None

    def label(self, moves: list[int]) -> Label | None:
        """The label of the position after the moves.

        None where it is not in the table, and where a position has occurred twice, for the table knows no history.
        Where none has, it is right: a way to the end repeats no position, so none occurs a third time.
        """
        here, there = np.array([0]), np.array([1])
        keys = self._play(moves)
        distance = self.distance(keys[-1])
        if distance is None or len(set(keys)) < len(keys):
            return None
        mover = len(moves) % 2
        values = {}
        for action in self.pool.legal(here)[1].tolist():
            to_play, rewards = self.pool.step(here, np.array([action]), there)
            if to_play[0] == TERMINAL:
                values[action] = int(rewards[0, mover])
            else:
                values[action] = self._value_before(packed(self.pool._rows.position[1]))
        assert max(values.values()) == value_of(distance), moves
        return Label(keys[-1], moves, values, distance)

    def _play(self, moves: list[int]) -> list[int]:
        """Bring the first slot to the position after the moves; returns a number for each position on the way."""
        here = np.array([0])
        self.pool.reset(here)
        keys = [packed(self.pool._rows.position[0])]
        for move in moves:
            self.pool.step(here, np.array([move]), here)
            keys.append(packed(self.pool._rows.position[0]))
        return keys

    def _value_before(self, key: int) -> int:
        """The value of the move that led to a position where the game goes on, for who made it."""
        kind = kind_of(key)
        if kind == CAPTURE:
            return -1
        distance = self.distance(key)
        assert kind == NEW and distance is not None, "the table has all that follows its positions"
        return -value_of(distance)


def value_of(distance: int) -> int:
    """The value for the player to move."""
    return 0 if distance >= UNSOLVED else 1 if distance % 2 else -1


def drawn(labeller: Labeller, seed: int) -> Iterator[Label]:
    """Wanted positions of weak games, without end; none twice."""
    game, rng, known = games.load("animal_shogi"), np.random.default_rng(seed), set()
    player = parse_player(PLAYER, game, seed)
    pool, slots = game.new_pool(GAMES), np.arange(GAMES)
    while True:
        share = rng.choice(RANDOM_SHARES, GAMES)
        histories: list[list[int]] = [[] for _ in slots]
        pool.reset(slots)
        for _ in range(PLIES):
            running = slots[pool.to_play(slots) != TERMINAL]
            if not running.size:
                break
            actions = player.choose(pool, running, [histories[slot] for slot in running])
            for i, slot in enumerate(running.tolist()):
                if rng.random() < share[slot]:
                    actions[i] = rng.choice(pool.legal(running[i : i + 1])[1])
                histories[slot].append(int(actions[i]))
            pool.step(running, actions, running)
        for moves in histories:
            left = FROM_A_GAME
            for ply in rng.permutation(np.arange(FIRST_PLY, len(moves))).tolist():
                label = labeller.label(moves[:ply]) if left else None
                if label is not None and label.is_wanted() and label.key not in known:
                    known.add(label.key)
                    left -= 1
                    yield label


def chosen(labels: Iterator[Label], count: int) -> list[Label]:
    """The first labels of each class, the same number of each, `count` in all; in their order."""
    kept: list[Label] = []
    left = [count // len(CLASSES)] * len(CLASSES)
    while any(left):
        label = next(labels)
        if left[label.class_of()]:
            left[label.class_of()] -= 1
            kept.append(label)
    return kept


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--out", metavar="FILE.jsonl", type=Path, required=True)
    parser.add_argument("--positions", metavar="N", type=int, default=700)
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    arguments = parser.parse_args(words)
    labels = chosen(drawn(Labeller(arguments.table), arguments.seed), arguments.positions)
    lines = [json_text({"game": "animal_shogi", "moves": label.moves, "values": label.values}) for label in labels]
    arguments.out.write_text("".join(line + "\n" for line in lines))
    numbers, plies = np.bincount([label.class_of() for label in labels]), [len(label.moves) for label in labels]
    print(f"positions by class: {numbers.tolist()}; after {min(plies)} to {max(plies)} moves", file=sys.stderr)


if __name__ == "__main__":
    main()
