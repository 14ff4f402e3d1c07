"""What animal shogi and mini shogi share: hands, drops, promotion, and the ends of a game, as jitted rules.

A game is a `ShogiRules` of tables and flags. Kinds of pieces from 1 to `hands` are those that a hand may hold; in the
row of a position the hands follow the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from games.base import TERMINAL, Game
from games.native.pieces import (
    CHECK,
    DRAW,
    GOES_ON,
    LOSS,
    MAX_PLIES,
    OPPOSITE,
    OTHER_KING,
    OWN_KING,
    REPEATS,
    WIN,
    Moves,
    PiecePool,
    cell_name,
    copy_row,
    diagram,
    fen_board,
    is_attacked,
    note_position,
    pay,
    piece_moves,
    sort,
    turn,
    unpacked,
)
from games.native.pool import NUM_PLAYERS, random_bits
from games.seats import mark_seat, with_seats

PAWN = 1
"""The kind that the rules of pawns are about."""


class ShogiRules(NamedTuple):
    """The rules of a game as its kernels read them."""

    moves: Moves
    promoted: np.ndarray  # [1 + K] int64: the kind that a piece becomes; 0 for one that does not promote
    held: np.ndarray  # [1 + K] int64: the place in the hand of a captured piece; -1 for a king
    columns: int
    hands: int
    """Number of kinds that a hand may hold."""
    drop_plane: int
    """First plane of drops; with 16, the eight planes before it are moves that promote, which a player may decline."""
    has_check: bool
    """Whether a king must not be left attacked. Else it may be captured, which wins. Its arrival on the last row wins
    then too: at once where it cannot be captured there, else when it is safe at its owner's next turn."""
    has_pawn_rules: bool
    """Whether a pawn may not be dropped on a file with another, on the last row, or to mate."""
    occurrences: int
    """A position that occurs so often ends the game."""
    is_repetition_lost: bool
    """Whether the end by repetition is lost for who gave check all the time, else for player 0; else it is a draw."""


class ShogiGame(Game):
    """A game of `ShogiRules`.

    Observation: own pieces by kind, those of the opponent, own pieces in hand by kind (numbers), those of the opponent,
    how often the position has occurred before, seat planes. The board is turned half round for player 1, so that the
    player to move plays up it.
    """

    num_players = NUM_PLAYERS
    max_game_length = MAX_PLIES

    def __init__(self, shogi_rules: ShogiRules, letters: Sequence[str], board: Sequence[int], king: int) -> None:
        """`letters` are those of the kinds, `board` is the first position as player 0 sees it, `king` a kind."""
        self.shogi_rules, self.letters, self.board, self.king = shogi_rules, letters, board, king
        rows, columns = len(board) // shogi_rules.columns, shogi_rules.columns
        own = 2 * len(letters) + 2 * shogi_rules.hands + 1
        self.observation_shape = with_seats((own, rows, columns), NUM_PLAYERS)
        self.num_actions = (shogi_rules.drop_plane + shogi_rules.hands) * len(board)

    def new_pool(self, capacity: int) -> ShogiPool:
        return ShogiPool(self, capacity)


class ShogiPool(PiecePool):
    """See `PiecePool`."""

    game: ShogiGame

    def __init__(self, game: ShogiGame, capacity: int) -> None:
        rules = game.shogi_rules
        super().__init__(game, capacity, rules.moves, game.board, game.king, rules.hands)
        self._rules = rules

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        _step(self._rows, self._rules, self._played, self._to_play, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._rows, self._rules, self._to_play, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(self._rows, self._rules, self._to_play, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        _rollout(self._rows, self._rules, self._played, self._to_play, slots, seeds, rewards)

    def text(self, slot: int) -> str:
        return f"{diagram(self._letters(slot), self._rules.columns)}\n{self.fen(slot)}"

    def fen(self, slot: int) -> str:
        """See `PiecePool.fen`."""
        rules, ply = self._rules, int(self._played[slot])
        cells, hands = rules.moves.turned.size, rules.hands
        held = self._rows.position[slot, cells : cells + 2 * hands].reshape(2, hands)
        both = (held[ply % 2], held[1 - ply % 2])
        in_hand = "".join(
            (letter.upper(), letter.lower())[player] * int(both[player][kind])
            for player in (0, 1)
            for kind, letter in reversed(list(enumerate(self.game.letters[:hands])))
        )
        board = fen_board(self._letters(slot), rules.columns)
        return f"{board}[{in_hand or '-'}] {'wb'[ply % 2]} {1 + ply // 2}"

    def _letters(self, slot: int) -> list[str]:
        letters = self.game.letters
        return [
            "." if piece == 0 else letters[piece - 1] if piece > 0 else letters[-piece - 1].lower()
            for piece in self._board(slot)
        ]

    def action_text(self, slot: int, action: int) -> str:
        rules = self._rules
        rows, columns = self.game.observation_shape[1:]
        position = self._rows.position[slot]
        plane, end = divmod(action, rules.moves.turned.size)
        is_turned = self._played[slot] % 2 == 1

        def name(cell: int) -> str:
            return cell_name(int(rules.moves.turned[cell]) if is_turned else cell, rows, columns)

        if plane >= rules.drop_plane:
            return f"{self.game.letters[plane - rules.drop_plane]}@{name(end)}"
        start = int(origin(position, rules.moves, plane, end))
        promotes = promotion(position, rules, plane, start, end) != 0
        return f"{name(start)}{name(end)}{'+' if promotes else ''}"


@njit(cache=True)
def origin(position, moves, plane, end):  # type: ignore[no-untyped-def]
    """The cell of the piece that comes to `end` in the direction of a plane: the first piece against it."""
    direction, k = (plane & 7) ^ OPPOSITE, 0
    while position[moves.lines[end, direction, k]] == 0:
        k += 1
    return np.int64(moves.lines[end, direction, k])


@njit(cache=True)
def promotion(position, rules, plane, start, end):  # type: ignore[no-untyped-def]
    """The kind that the piece at `start` becomes by a move, or 0. Without planes of promotion it is no choice."""
    kind = rules.promoted[position[start]]
    return kind if plane >= 8 or (rules.drop_plane == 8 and end < rules.columns) else 0


@njit(cache=True)
def _mates(position, info, rules, end, packed):  # type: ignore[no-untyped-def]
    """Whether a pawn dropped at `end` mates. It stands before the king, so nothing can be put between them."""
    if info[OTHER_KING] != end - rules.columns:
        return False
    other = np.empty_like(position)
    there = np.empty_like(info)
    other[:] = position
    there[:] = info
    other[end] = PAWN
    turn(other, there, rules.moves, rules.hands)
    return piece_moves(other, rules.moves, there[OWN_KING], True, packed, 1) == 0


@njit(cache=True)
def _may_drop(position, info, rules, kind, end, packed):  # type: ignore[no-untyped-def]
    """Whether a piece in hand may be put on an empty cell."""
    if rules.has_pawn_rules and kind == PAWN:
        if end < rules.columns:
            return False
        for cell in range(end % rules.columns, rules.moves.turned.shape[0], rules.columns):
            if position[cell] == PAWN:
                return False
    if rules.has_check and info[CHECK]:
        position[end] = kind
        is_safe = not is_attacked(position, rules.moves, info[OWN_KING])
        position[end] = 0
        if not is_safe:
            return False
    return not (rules.has_pawn_rules and kind == PAWN and _mates(position, info, rules, end, packed))


@njit(cache=True)
def _drops(position, info, rules, packed, actions, count, most):  # type: ignore[no-untyped-def]
    """Write the legal drops into `actions` from `count` on, ascending, at most `most`; returns the count after them."""
    cells, first = rules.moves.turned.shape[0], count
    for kind in range(1, rules.hands + 1):
        if position[cells + kind - 1] > 0:
            for end in range(cells):
                if position[end] == 0 and _may_drop(position, info, rules, kind, end, packed):
                    actions[count] = (rules.drop_plane + kind - 1) * cells + end
                    count += 1
                    if count - first == most:
                        return count
    return count


@njit(cache=True)
def legal_actions(position, info, rules, packed, actions, count):  # type: ignore[no-untyped-def]
    """Write the legal actions into `actions` from `count` on, ascending; returns the count after them."""
    first, cells, columns = count, rules.moves.turned.shape[0], rules.columns
    king = np.int64(info[OWN_KING]) if rules.has_check else np.int64(-1)
    for i in range(piece_moves(position, rules.moves, king, info[CHECK], packed, packed.shape[0])):
        start, direction, _, end = unpacked(packed[i])
        piece = position[start]
        is_choice = rules.drop_plane > 8 and rules.promoted[piece] > 0 and (start < columns or end < columns)
        if is_choice:
            actions[count] = (8 + direction) * cells + end
            count += 1
        if not (is_choice and piece == PAWN):  # a pawn on the last row could not move any more
            actions[count] = direction * cells + end
            count += 1
    sort(actions, first, count)
    return _drops(position, info, rules, packed, actions, count, actions.shape[0])


@njit(cache=True)
def _has_move(position, info, rules, packed):  # type: ignore[no-untyped-def]
    king = np.int64(info[OWN_KING]) if rules.has_check else np.int64(-1)
    if piece_moves(position, rules.moves, king, info[CHECK], packed, 1) > 0:
        return True
    one = np.empty(1, np.int64)
    return _drops(position, info, rules, packed, one, 0, 1) > 0


@njit(cache=True)
def _repetition(keys, ply, rules):  # type: ignore[no-untyped-def]
    """What the last occurrence of a position, after `ply` moves, leads to for the player who made the last of them.

    Who gave check with every move since the first of the occurrences that count loses; where both did, it is a draw.
    """
    if not rules.is_repetition_lost:
        return DRAW
    mover_checks, other_checks = True, True
    left, earlier = rules.occurrences - 1, ply
    while left > 0:
        mover_checks &= (keys[earlier] & np.uint64(1)) != 0
        other_checks &= (keys[earlier - 1] & np.uint64(1)) != 0
        earlier -= 2
        if keys[earlier] == keys[ply]:
            left -= 1
    mover_checks &= (keys[earlier] & np.uint64(1)) != 0
    if mover_checks or other_checks:
        return DRAW if mover_checks and other_checks else LOSS if mover_checks else WIN
    return LOSS if ply & 1 else WIN  # player 0 makes the odd moves


@njit(cache=True)
def advance(rows, slot, rules, ply, action, packed):  # type: ignore[no-untyped-def]
    """Play an action after `ply` moves; returns what it leads to."""
    position, info = rows.position[slot], rows.info[slot]
    rows.actions[slot, ply] = action
    cells = rules.moves.turned.shape[0]
    plane, end = action // cells, action % cells
    captured = np.int64(0)
    if plane >= rules.drop_plane:
        kind = plane - rules.drop_plane + 1
        position[end] = kind
        position[cells + kind - 1] -= 1
    else:
        start = origin(position, rules.moves, plane, end)
        piece, captured = np.int64(position[start]), -np.int64(position[end])
        promoted = promotion(position, rules, plane, start, end)
        position[start] = 0
        position[end] = promoted if promoted else piece
        if captured > 0 and rules.held[captured] >= 0:
            position[cells + rules.held[captured]] += 1
        if start == info[OWN_KING]:
            info[OWN_KING] = end
    if not rules.has_check:
        if captured > 0 and rules.held[captured] < 0:
            turn(position, info, rules.moves, rules.hands)
            note_position(rows, slot, ply + 1, 0)
            return WIN
        arrives = info[OWN_KING] < rules.columns and not is_attacked(position, rules.moves, info[OWN_KING])
    turn(position, info, rules.moves, rules.hands)
    info[CHECK] = is_attacked(position, rules.moves, info[OWN_KING])
    repeats = note_position(rows, slot, ply + 1, 0)
    if not rules.has_check:
        has_arrived = info[OWN_KING] < rules.columns and not info[CHECK]
        if arrives or has_arrived:
            return DRAW if arrives and has_arrived else WIN if arrives else LOSS
    if not _has_move(position, info, rules, packed):
        return WIN
    if repeats + 1 >= rules.occurrences:
        return _repetition(rows.keys[slot], ply + 1, rules)
    return DRAW if ply + 1 >= MAX_PLIES else GOES_ON


@njit(cache=True)
def _most_moves(rules):  # type: ignore[no-untyped-def]
    return (rules.drop_plane + rules.hands) * rules.moves.turned.shape[0]


@njit(cache=True)
def _step(rows, rules, played, to_play, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    packed = np.empty(1, np.int64)
    for i in range(src.shape[0]):
        s, d = src[i], dst[i]
        ply = played[s]
        if s != d:
            copy_row(rows, s, d, ply)
        outcome = advance(rows, d, rules, ply, actions[i], packed)
        played[d] = ply + 1
        to_play[d] = out_to_play[i] = 1 - (ply & 1) if outcome == GOES_ON else TERMINAL
        pay(outcome, ply, out_rewards[i])


@njit(cache=True)
def _legal(rows, rules, to_play, slots, offsets, actions):  # type: ignore[no-untyped-def]
    packed = np.empty(_most_moves(rules), np.int64)
    count = 0
    for i in range(slots.shape[0]):
        if to_play[slots[i]] != TERMINAL:
            count = legal_actions(rows.position[slots[i]], rows.info[slots[i]], rules, packed, actions, count)
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(rows, rules, to_play, slots, out):  # type: ignore[no-untyped-def]
    cells, kinds, hands = rules.moves.turned.shape[0], rules.promoted.shape[0] - 1, rules.hands
    repeats_plane = 2 * kinds + 2 * hands
    for i in range(slots.shape[0]):
        position, planes = rows.position[slots[i]], out[i]
        planes[: 2 * kinds * cells] = 0
        for cell in range(cells):
            piece = position[cell]
            if piece > 0:
                planes[(piece - 1) * cells + cell] = 1
            elif piece < 0:
                planes[(kinds - piece - 1) * cells + cell] = 1
        for kind in range(2 * hands):
            planes[(2 * kinds + kind) * cells : (2 * kinds + kind + 1) * cells] = position[cells + kind]
        planes[repeats_plane * cells : (repeats_plane + 1) * cells] = rows.info[slots[i], REPEATS]
        mark_seat(planes, cells, NUM_PLAYERS, to_play[slots[i]])


@njit(cache=True)
def _rollout(rows, rules, played, to_play, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    packed, actions = np.empty(_most_moves(rules), np.int64), np.empty(_most_moves(rules), np.int64)
    here = rows.words.shape[0] - 1  # the row that is no slot
    for i in range(slots.shape[0]):
        state, ply, outcome = seeds[i], played[slots[i]], GOES_ON
        if to_play[slots[i]] != TERMINAL:
            copy_row(rows, slots[i], here, ply)
            while outcome == GOES_ON:
                state, bits = random_bits(state)
                count = legal_actions(rows.position[here], rows.info[here], rules, packed, actions, 0)
                outcome = advance(rows, here, rules, ply, actions[bits % count], packed)
                ply += 1
        pay(outcome, ply - 1, out_rewards[i])
