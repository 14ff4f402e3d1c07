"""Go on boards of 2 to 19 rows: positions in arrays and jitted rules.

Points and actions are numbered as in OpenSpiel's `go`, and positions are written in the same way. The rules differ
where OpenSpiel's are too coarse to learn from: repetition is illegal, not a draw; dead stones do not count; a game ends
when everything is decided. The observation shows liberties, forbidden points, passes and the komi. The rules themselves
are in `games.native.go_rules`, what is alive in `games.native.go_alive`.

Tromp and Taylor, tromp.github.io/go.html (area scoring, superko, no suicide here); input planes after Wu 2019,
"Accelerating Self-Play Learning in Go", table 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from numba import njit

from games.base import CHANCE, NO_CELL, TERMINAL, ActionPlanes, Game, GameError, Symmetry
from games.native.bit_sets import count, geometry, has, list_points, nth, words_of, write_points
from games.native.go_alive import spare_sets
from games.native.go_rules import (
    ALIVE,
    FORBIDDEN,
    KOMI,
    LARGEST,
    LEGAL,
    LIBERTIES,
    STONES,
    analyse,
    area_lead,
    copy_row,
    is_settled,
    owners,
    place,
    row_sizes,
    set_at,
    set_up,
)
from games.native.pool import NUM_PLAYERS, NativePool, random_bits
from games.parameters import Value, canonical
from games.seats import mark_seat, with_seats
from games.symmetry import declared_symmetries

BOARD_SIZE, KOMI_OF_GAME = 9, 7.5
"""Rows and columns, and points for White, unless given."""

OPENSPIELS_SIZE = 19
"""Rows and columns of OpenSpiel's `go` unless given."""

MOST_KOMI = LARGEST * LARGEST
"""Largest komi of either side, on any board."""

MOST_SPREAD = 20.0
"""Largest deviation of a komi that is drawn."""

OWN_PLANES = 15
(OWN, OTHER, ONE_LIBERTY, TWO_LIBERTIES, THREE_LIBERTIES, NOT_ALLOWED, LAST, BEFORE, LAST_PASSED, BEFORE_PASSED,
 PASS_WINS, KOMI_OF_MOVER, OWN_ALIVE, OTHER_ALIVE, ON_BOARD) = range(OWN_PLANES)  # fmt: skip
"""The planes of the observation."""

NOTHING, UNIT = 128, 40
"""The number in the planes `PASS_WINS` and `KOMI_OF_MOVER` that means 0, and how much a win by a pass adds to it."""

COLUMNS = "ABCDEFGHJKLMNOPQRST"

BLACK, WHITE, EMPTY = 0, 1, -1

ACTIONS_A_WORD = 4
"""Actions of two bytes in a number of a row."""


class Go(Game):
    """Surround points; player 0 (black, X) begins, player 1 (white, O) has the komi. More points win.

    Two passes end the game, as do 2 moves a point, and, with `ends_when_alive`, that every point is somebody's for
    good. A draw needs a whole komi. The planes of the observation are described on the page docs/games/go.md.

    With `komi_spread` the komi is drawn by a chance node at the start, from `komi_choices`. `pass_after` is the ply
    before which `GoPool.candidates` leaves out the pass, a sixth of the points where it is negative.
    """

    num_players = NUM_PLAYERS
    family = "go"

    def __init__(
        self,
        board_size: int = BOARD_SIZE,
        komi: float = KOMI_OF_GAME,
        handicap: int = 0,
        komi_spread: float = 0.0,
        pass_after: int = -1,
        ends_when_alive: bool = True,
        max_game_length: int = 0,
    ) -> None:
        theirs: dict[str, tuple[Value, Value]] = {
            "board_size": (board_size, OPENSPIELS_SIZE),
            "handicap": (handicap, 0),
            "komi": (float(komi), KOMI_OF_GAME),
            "max_game_length": (max_game_length, 0),
        }
        self.twin = canonical("openspiel:go", {key: value for key, (value, usual) in theirs.items() if value != usual})
        if max_game_length:
            raise GameError(f"go: only OpenSpiel's version has max_game_length; write {self.twin}")
        if not 2 <= board_size <= LARGEST:
            raise GameError(f"go: board_size must be from 2 to {LARGEST}, not {board_size}")
        self.size, area = board_size, board_size * board_size
        if 2 * komi != round(2 * komi) or abs(komi) > MOST_KOMI:
            raise GameError(f"go: komi must be a whole or a half number of at most {MOST_KOMI} points, not {komi:g}")
        if not 0 <= komi_spread <= MOST_SPREAD:
            raise GameError(f"go: komi_spread must be from 0 to {MOST_SPREAD:g}, not {komi_spread:g}")
        if pass_after > 2 * area:
            raise GameError(f"go: pass_after must be at most {2 * area}, the longest game, not {pass_after}")
        self.komi, self.komi_spread, self.ends_when_alive = komi, komi_spread, ends_when_alive
        self.pass_after = area // 6 if pass_after < 0 else pass_after
        self.handicap = handicap_points(board_size, handicap)
        self.komis, self.komi_probabilities = komi_choices(komi, komi_spread)
        values: dict[str, tuple[Value, Value]] = {  # each with its default
            "board_size": (board_size, BOARD_SIZE),
            "ends_when_alive": (ends_when_alive, True),
            "handicap": (handicap, 0),
            "komi": (float(komi), KOMI_OF_GAME),
            "komi_spread": (float(komi_spread), 0.0),
        }
        changed = {key: value for key, (value, default) in values.items() if value != default}
        # Differs from the rules of OpenSpiel's go, whatever its parameters: positions do not pass between them.
        self.rules = canonical("go", changed | {"board_size": board_size, "superko": "positional"})
        if self.pass_after != area // 6:
            changed["pass_after"] = self.pass_after
        self.name = canonical("go", changed)
        self.num_actions, self.max_game_length = area + 1, 2 * area
        self.pass_action = area
        self.max_chance_outcomes = len(self.komis) if komi_spread else 0
        self.observation_shape = with_seats((OWN_PLANES, board_size, board_size), NUM_PLAYERS)
        offset, factor = np.zeros((2, self.observation_shape[0]), np.float32)
        offset[[PASS_WINS, KOMI_OF_MOVER]] = NOTHING
        factor += 1
        factor[[PASS_WINS, KOMI_OF_MOVER]] = 1 / UNIT
        self.plane_scaling = offset, factor
        cells = np.append(np.arange(area), NO_CELL)
        self.action_planes = ActionPlanes(1, (board_size, board_size), np.where(cells == NO_CELL, NO_CELL, 0), cells)
        self.final_label_shape = (board_size, board_size)
        self.largest_score = area + float(np.abs(self.komis).max()) + len(self.handicap)

    def new_pool(self, capacity: int) -> GoPool:
        return GoPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return declared_symmetries("go", self, {"board_size": self.size, "handicap": len(self.handicap)})


def komi_choices(komi: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """The komis that a game may have, ascending, and their probabilities, float64 [K] both.

    With a spread: the half points (..., 6.5, 7.5, ...) that lie within three spreads of `komi`, or within 0.5, each
    with a probability in proportion to the normal distribution of that deviation. Without one, `komi` alone.
    """
    if not spread:
        return np.array([float(komi)]), np.ones(1)
    reach = max(3 * spread, 0.5)
    halves = np.arange(math.ceil(komi - reach - 0.5), math.floor(komi + reach - 0.5) + 1) + 0.5
    weights = np.exp(-0.5 * ((halves - komi) / spread) ** 2)
    return halves, weights / weights.sum()


def drawn_komis(game: Game) -> tuple[float, ...]:
    """The komis by the outcome of the chance event that a game begins with; empty for one that begins with a move."""
    return tuple(game.komis.tolist()) if isinstance(game, Go) and game.komi_spread else ()


def komi_outcome(game: Game, komi: float) -> list[int]:
    """What a game begins with: the outcome whose komi is nearest to `komi`, or nothing where none is drawn."""
    komis = drawn_komis(game)
    return [min(range(len(komis)), key=lambda i: abs(komis[i] - komi))] if komis else []


def handicap_points(size: int, stones: int) -> np.ndarray:
    """Points of the stones that Black has at the start, int64 [stones]; those of OpenSpiel's game on 19x19.

    The points are those of GTP's fixed handicap (Farnebäck, GTP 2, section 4.1.1). Raises GameError for a number that
    a board of `size` has no points for.
    """
    most = 9 if size >= 9 and size % 2 else 4 if size >= 7 else 0
    if stones and not 2 <= stones <= most:
        allowed = f"from 2 to {most} on {size}x{size}" if most else f"left out on {size}x{size}"
        raise GameError(f"go: handicap must be {allowed}, not {stones}")
    low = 3 if size >= 13 else 2
    middle, high = size // 2, size - 1 - low
    corners = [(low, low), (high, high), (high, low), (low, high)]
    sides = [(middle, low), (middle, high), (low, middle), (high, middle)]
    points = corners[: min(stones, 4)] + sides[: max(0, (stones - 4) // 2 * 2)]
    if stones > 4 and stones % 2:
        points.append((middle, middle))
    return np.array([row * size + column for row, column in points], np.int64)


def dead_stones(size: int, points: Sequence[int]) -> list[int]:
    """The stones that are taken off before points are counted: those in what is the opponent's for good.

    `points`, by `row * size + column`, are 0 and 1 where a stone of that player is, and -1 where none is.
    """
    row, words, board = np.zeros(row_sizes(size)[1], np.uint64), words_of(size), geometry(size)
    spare, on_board = spare_sets(words), np.array(points)
    set_up(row, on_board, BLACK, board, size, words, spare)
    alive = np.zeros((NUM_PLAYERS, size * size), np.bool_)
    for player in (BLACK, WHITE):
        write_points(row, set_at(ALIVE + player, words), size, alive[player])
    is_dead = ((on_board == BLACK) & alive[WHITE]) | ((on_board == WHITE) & alive[BLACK])
    return np.flatnonzero(is_dead).tolist()


class GoPool(NativePool):
    """A row is described in `games.native.go_rules`; behind it are the actions so far, two bytes each."""

    game: Go
    may_leave_out = True

    def __init__(self, game: Go, capacity: int) -> None:
        size, words, board = game.size, words_of(game.size), geometry(game.size)
        self._first_player = WHITE if len(game.handicap) else BLACK
        end = row_sizes(size)[1]
        row = np.zeros(end + -(-game.max_game_length // ACTIONS_A_WORD), np.uint64)
        points = np.full(size * size, EMPTY)
        points[game.handicap] = BLACK
        set_up(row, points, self._first_player, board, size, words, spare_sets(words))
        super().__init__(game, capacity, row, CHANCE if game.komi_spread else self._first_player)
        self._actions = self._boards[:, end:].view(np.uint16)
        # Twice the points that White has besides those on the board, by the index of the komi.
        self._white_has = (2 * game.komis).astype(np.int64) + 2 * len(game.handicap)
        self._positions = (self._boards, self._actions, self._played, self._to_play)
        self._rules = (board, size, words, self._white_has)

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        first, ends = self._first_player, self.game.ends_when_alive
        _step(*self._positions, *self._rules, first, ends, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._boards, self._to_play, *self._rules[1:3], slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(*self._positions, *self._rules, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        first, ends = self._first_player, self.game.ends_when_alive
        cumulative = np.cumsum(self.game.komi_probabilities)
        _rollout(*self._positions, *self._rules, first, ends, cumulative, slots, seeds, rewards)

    def _copy_from(self, source: Self, src: np.ndarray, dst: np.ndarray) -> None:
        _copy(*source._positions, src, *self._positions, dst, *self._rules[1:3])

    def _make_buffers(self, batch: int) -> None:
        super()._make_buffers(batch)
        self._candidates_offsets = np.zeros(batch + 1, np.int64)
        self._candidates = np.empty(batch * self.game.num_actions, np.int64)

    def candidates(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `StatePool.candidates`: no stones on what is a player's for good, where nothing can be gained.

        No pass before ply `pass_after`, nor while more than 5/6 of the points are legal, unless there is nothing else.
        """
        batch = len(slots)
        if batch > self._batch:
            self._make_buffers(batch)
        offsets, after = self._candidates_offsets[: batch + 1], self.game.pass_after
        sizes = self._rules[1:3]
        number = _candidates(self._boards, self._played, self._to_play, *sizes, after, slots, offsets, self._candidates)
        return offsets, self._candidates[:number]

    def chance(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        number = np.where(self._to_play[slots] == CHANCE, len(self.game.komis), 0)
        offsets = np.concatenate([[0], np.cumsum(number)])
        nodes = int(np.count_nonzero(number))
        outcomes = np.tile(np.arange(len(self.game.komis)), nodes)
        return offsets, outcomes, np.tile(self.game.komi_probabilities, nodes)

    def final_labels(self, slots: np.ndarray, out: np.ndarray) -> None:
        """See `StatePool.final_labels`: dead stones in what is the opponent's for good are taken off first."""
        _label(self._boards, *self._rules[:3], slots, out.reshape(len(slots), self.game.num_actions - 1, copy=False))

    def final_scores(self, slots: np.ndarray) -> np.ndarray:
        """See `StatePool.final_scores`: area of Black less that of White, the komi and the stones of a handicap."""
        scores = np.empty(len(slots))
        _score(self._boards, *self._rules, slots, scores)
        return scores

    def komi(self, slot: int) -> float | None:
        """The komi that is played with; None before it is drawn."""
        return None if self._to_play[slot] == CHANCE else float(self.game.komis[int(self._boards[slot, KOMI])])

    def text(self, slot: int) -> str:
        komi, size, history = self.komi(slot), self.game.size, self.history(slot)
        shown = "?" if komi is None else f"{komi:g}"
        mover = "BW"[(self._first_player + int(self._played[slot])) % 2]
        points = np.full(size * size, "+")
        labels = np.zeros((NUM_PLAYERS, size * size), np.bool_)
        for player in (BLACK, WHITE):
            write_points(self._boards[slot], set_at(STONES + player, self._rules[2]), size, labels[player])
            points[labels[player]] = "XO"[player]
        rows = [f"{row + 1:2} {''.join(points[row * size : (row + 1) * size])}" for row in range(size - 1, -1, -1)]
        first = f"GoState(komi={shown}, to_play={mover}, history.size()={len(history)})"
        return "\n".join([first, "", *rows, f"   {COLUMNS[:size]}", ""])

    def action_text(self, slot: int, action: int) -> str:
        if self._to_play[slot] == CHANCE:
            return f"komi {self.game.komis[action]:g}"
        mover = "BW"[(self._first_player + int(self._played[slot])) % 2]
        if action == self.game.pass_action:
            return f"{mover} PASS"
        row, column = divmod(action, self.game.size)
        return f"{mover} {COLUMNS[column].lower()}{row + 1}"

    def history(self, slot: int) -> list[int]:
        drawn = 1 if self.game.komi_spread and self._to_play[slot] != CHANCE else 0
        return [int(self._boards[slot, KOMI])] * drawn + self._actions[slot, : self._played[slot]].tolist()


@njit(cache=True)
def _copy(  # type: ignore[no-untyped-def]
    boards, actions, played, to_play, src, out_boards, out_actions, out_played, out_to_play, dst, size, words
):
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        copy_row(boards[s], out_boards[d], size, words)
        for ply in range(played[s]):
            out_actions[d, ply] = actions[s, ply]
        out_played[d] = played[s]
        out_to_play[d] = to_play[s]


@njit(cache=True)
def _move(row, moves, ply, mover, action, board, size, words, ends_when_alive, spare):  # type: ignore[no-untyped-def]
    """Make a move of `mover` in a position; returns whether the game is over. `moves` holds the actions so far."""
    is_pass = action == size * size
    is_over = ply + 1 == 2 * size * size or (is_pass and ply > 0 and moves[ply - 1] == action)
    moves[ply] = action
    if not is_pass:
        place(row, mover, action, board, size, words, spare)
    analyse(row, 1 - mover, board, size, words, spare)
    return is_over or (ends_when_alive and is_settled(row, board, words))


@njit(cache=True)
def _result(row, board, size, words, white_has, spare):  # type: ignore[no-untyped-def]
    """The return of player 0."""
    return float(np.sign(2 * area_lead(row, board, size, words, spare) - white_has[np.int64(row[KOMI])]))


@njit(cache=True)
def _step(  # type: ignore[no-untyped-def]
    boards, actions, played, to_play, board, size, words, white_has, first, ends_when_alive,
    src, chosen, dst, out_to_play, out_rewards,
):  # fmt: skip
    spare = spare_sets(words)
    for i in range(src.shape[0]):
        s, d, action, mover = src[i], dst[i], chosen[i], to_play[src[i]]
        row, ply, reward = boards[d], played[src[i]], 0.0
        if s != d:
            copy_row(boards[s], row, size, words)
            for k in range(ply):
                actions[d, k] = actions[s, k]
        if mover == CHANCE:
            row[KOMI] = np.uint64(action)
            next_player = first
        else:
            next_player = 1 - mover
            if _move(row, actions[d], ply, mover, action, board, size, words, ends_when_alive, spare):
                next_player = TERMINAL
                reward = _result(row, board, size, words, white_has, spare)
            ply += 1
        played[d] = ply
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
        to_play[d] = next_player
        out_to_play[i] = next_player


@njit(cache=True)
def _legal(boards, to_play, size, words, slots, offsets, actions):  # type: ignore[no-untyped-def]
    number, legal = 0, set_at(LEGAL, words)
    for i in range(slots.shape[0]):
        if to_play[slots[i]] >= 0:
            number = list_points(boards[slots[i]], legal, words, actions, number)
            actions[number] = size * size
            number += 1
        offsets[i + 1] = number
    return number


@njit(cache=True)
def _candidates(boards, played, to_play, size, words, pass_after, slots, offsets, actions):  # type: ignore[no-untyped-def]
    number, area = 0, size * size
    points = np.empty(len(words), np.uint64)
    for i in range(slots.shape[0]):
        row = boards[slots[i]]
        if to_play[slots[i]] >= 0:
            for w in range(len(words)):
                settled = row[set_at(ALIVE, words) + w] | row[set_at(ALIVE + 1, words) + w]
                points[w] = row[set_at(LEGAL, words) + w] & ~settled
            before = number
            number = list_points(points, 0, words, actions, number)
            is_early = played[slots[i]] < pass_after or 6 * count(row, set_at(LEGAL, words), words) > 5 * area
            if number == before or not is_early:
                actions[number] = area
                number += 1
        offsets[i + 1] = number
    return number


@njit(cache=True)
def _observe(boards, actions, played, to_play, board, size, words, white_has, slots, out):  # type: ignore[no-untyped-def]
    cells, W = size * size, len(words)
    spare = spare_sets(words)
    for i in range(slots.shape[0]):
        row, planes, mover, ply = boards[slots[i]], out[i], to_play[slots[i]], played[slots[i]]
        viewer = 1 if mover == 1 else 0  # no player moves in a finished game: the view is that of player 0
        write_points(row, set_at(STONES + viewer, words), size, planes[OWN * cells :])
        write_points(row, set_at(STONES + 1 - viewer, words), size, planes[OTHER * cells :])
        for few in range(3):
            write_points(row, set_at(LIBERTIES, words) + few * W, size, planes[(ONE_LIBERTY + few) * cells :])
        if mover >= 0:
            write_points(row, set_at(FORBIDDEN, words), size, planes[NOT_ALLOWED * cells :])
        else:
            planes[NOT_ALLOWED * cells : (NOT_ALLOWED + 1) * cells] = 0
        planes[LAST * cells : KOMI_OF_MOVER * cells] = 0
        for back in range(min(2, ply)):
            action = np.int64(actions[slots[i], ply - 1 - back])
            if action < cells:
                planes[(LAST + back) * cells + action] = 1
            else:
                planes[(LAST_PASSED + back) * cells : (LAST_PASSED + back + 1) * cells] = 1
        ends = mover >= 0 and (ply + 1 == 2 * cells or (ply > 0 and actions[slots[i], ply - 1] == cells))
        sign = 1 if viewer == 0 else -1
        wins = np.int64(_result(row, board, size, words, white_has, spare)) * sign if ends else 0
        planes[PASS_WINS * cells : (PASS_WINS + 1) * cells] = NOTHING + UNIT * wins
        komi = -sign * white_has[np.int64(row[KOMI])] if mover != CHANCE else 0
        planes[KOMI_OF_MOVER * cells : (KOMI_OF_MOVER + 1) * cells] = min(max(NOTHING + komi, 0), 255)
        write_points(row, set_at(ALIVE + viewer, words), size, planes[OWN_ALIVE * cells :])
        write_points(row, set_at(ALIVE + 1 - viewer, words), size, planes[OTHER_ALIVE * cells :])
        planes[ON_BOARD * cells : (ON_BOARD + 1) * cells] = 1
        mark_seat(planes, cells, NUM_PLAYERS, mover)


@njit(cache=True)
def _label(boards, board, size, words, slots, out):  # type: ignore[no-untyped-def]
    spare = spare_sets(words)
    for i in range(slots.shape[0]):
        black, white = owners(boards[slots[i]], board, size, words, spare)
        for point in range(size * size):
            out[i, point] = np.int8(has(spare, black, point)) - np.int8(has(spare, white, point))


@njit(cache=True)
def _score(boards, board, size, words, white_has, slots, out):  # type: ignore[no-untyped-def]
    spare = spare_sets(words)
    for i in range(slots.shape[0]):
        row = boards[slots[i]]
        out[i] = area_lead(row, board, size, words, spare) - white_has[np.int64(row[KOMI])] / 2


@njit(cache=True)
def _rollout(  # type: ignore[no-untyped-def]
    boards, actions, played, to_play, board, size, words, white_has, first, ends_when_alive, cumulative,
    slots, seeds, out_rewards,
):  # fmt: skip
    spare = spare_sets(words)
    row, moves = np.empty(boards.shape[1], np.uint64), np.empty(actions.shape[1], actions.dtype)
    legal = set_at(LEGAL, words)
    for i in range(slots.shape[0]):
        slot, state, mover, ply, reward = slots[i], seeds[i], to_play[slots[i]], played[slots[i]], 0.0
        if mover != TERMINAL:
            copy_row(boards[slot], row, size, words)
            if ply > 0:
                moves[ply - 1] = actions[slot, ply - 1]
            if mover == CHANCE:
                state, bits = random_bits(state)
                row[KOMI] = min(np.searchsorted(cumulative, bits / 2.0**31, "right"), len(cumulative) - 1)
                mover = first
            is_over = False
            while not is_over:
                number = count(row, legal, words)
                state, bits = random_bits(state)
                choice = bits % (number + 1)
                action = nth(row, legal, choice, words) if choice < number else size * size
                is_over = _move(row, moves, ply, mover, action, board, size, words, ends_when_alive, spare)
                mover = 1 - mover
                ply += 1
            reward = _result(row, board, size, words, white_has, spare)
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
