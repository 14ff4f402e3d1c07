"""Othello on 8x8: bitboards and jitted rules.

The same game as OpenSpiel's `othello` (actions, returns, observation, text), many times faster: one kernel call serves
a whole batch. The discs of each player are the bits of one number, bit i for cell i (a1, b1, ... h8), so all lines of
one direction are followed at once with shifts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from games.base import TERMINAL, Game, Symmetry
from games.native.pool import NUM_PLAYERS, NativePool, random_bits
from games.seats import mark_seat, with_seats
from games.symmetry import declared_symmetries

SIZE = 8
CELLS = SIZE * SIZE
PASS = CELLS
"""The action of a player who cannot place a disc; it is legal then only."""

OWN_PLANES = 3
MAX_GAME_LENGTH = 2 * CELLS

_D4, _E4, _D5, _E5 = (np.uint64(1 << cell) for cell in (27, 28, 35, 36))
_START = (_E4 | _D5, _D4 | _E5)  # the discs of player 0 (black, x) and player 1 (white, o)

_ONE = np.uint64(1)
_NOT_AT_THE_SIDES = np.uint64(0x7E7E7E7E7E7E7E7E)


class Othello(Game):
    """Place a disc so that discs of the other colour between it and others of one's own are turned over.

    Observation: empty cells, discs of the player to move, the opponent's discs, seat planes. A player who cannot place
    a disc passes, when neither can the game is over, and more discs win.
    """

    num_players = NUM_PLAYERS
    num_actions = CELLS + 1
    observation_shape = with_seats((OWN_PLANES, SIZE, SIZE), NUM_PLAYERS)
    max_game_length = MAX_GAME_LENGTH
    name = rules = "othello"
    pass_action = PASS
    final_label_shape = (SIZE, SIZE)
    largest_score = float(CELLS)

    def new_pool(self, capacity: int) -> OthelloPool:
        return OthelloPool(self, capacity)

    def symmetries(self) -> list[Symmetry]:
        return declared_symmetries("othello", self, {})


class OthelloPool(NativePool):
    """A row is the discs of player 0, those of player 1, and the actions so far, one byte each."""

    def __init__(self, game: Othello, capacity: int) -> None:
        start = np.zeros(NUM_PLAYERS + MAX_GAME_LENGTH // 8, dtype=np.uint64)
        start[:NUM_PLAYERS] = _START
        super().__init__(game, capacity, start)
        self._actions = self._boards[:, NUM_PLAYERS:].view(np.uint8)  # [capacity, MAX_GAME_LENGTH]

    def _step_into(
        self, src: np.ndarray, actions: np.ndarray, dst: np.ndarray, to_play: np.ndarray, rewards: np.ndarray
    ) -> None:
        _step(self._boards, self._actions, self._played, self._to_play, src, actions, dst, to_play, rewards)

    def _legal_into(self, slots: np.ndarray, offsets: np.ndarray, actions: np.ndarray) -> int:
        return _legal(self._boards, self._to_play, slots, offsets, actions)

    def _observe_into(self, slots: np.ndarray, out: np.ndarray) -> None:
        _observe(self._boards, self._to_play, slots, out)

    def _rollout_into(self, slots: np.ndarray, seeds: np.ndarray, rewards: np.ndarray) -> None:
        _rollout(self._boards, self._to_play, slots, seeds, rewards)

    def final_labels(self, slots: np.ndarray, out: np.ndarray) -> None:
        """The discs."""
        cells = np.arange(CELLS, dtype=np.uint64)
        black, white = ((self._boards[slots, player, None] >> cells) & _ONE for player in range(NUM_PLAYERS))
        out[:] = (black.astype(np.int8) - white.astype(np.int8)).reshape(out.shape)

    def final_scores(self, slots: np.ndarray) -> np.ndarray:
        """Discs of player 0, less those of player 1."""
        labels = np.zeros((len(slots), SIZE, SIZE), np.int8)
        self.final_labels(slots, labels)
        return labels.sum(axis=(1, 2), dtype=np.float64)

    def text(self, slot: int) -> str:
        to_play = int(self._to_play[slot])
        first = "Terminal State:" if to_play == TERMINAL else f"{('Black (x)', 'White (o)')[to_play]} to play:"
        black, white = self._boards[slot, :NUM_PLAYERS].tolist()
        cells = ["x" if black >> i & 1 else "o" if white >> i & 1 else "-" for i in range(CELLS)]
        rows = [f"{row + 1} {' '.join(cells[row * SIZE : (row + 1) * SIZE])} {row + 1}" for row in range(SIZE)]
        labels = "  a b c d e f g h  "
        return "\n".join([first, labels, *rows, labels])

    def action_text(self, slot: int, action: int) -> str:
        return "pass" if action == PASS else f"{'abcdefgh'[action % SIZE]}{action // SIZE + 1}"

    def history(self, slot: int) -> list[int]:
        return self._actions[slot, : self._played[slot]].tolist()


@njit(cache=True)
def _count(bits):  # type: ignore[no-untyped-def]
    """Number of bits that are set, as a signed number (added up in groups of 2, 4, 8, then all)."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _lowest(bits):  # type: ignore[no-untyped-def]
    """Cell of the lowest bit that is set."""
    return _count((bits - _ONE) & ~bits)


@njit(cache=True)
def _lines(start, through, shift):  # type: ignore[no-untyped-def]
    """Cells of `through` in unbroken lines from `start`, towards higher cells and towards lower ones."""
    up, down = through & (start << shift), through & (start >> shift)
    for _ in range(SIZE - 3):  # a line has six cells at most between its two ends
        up |= through & (up << shift)
        down |= through & (down >> shift)
    return up, down


@njit(cache=True)
def _placeable(own, other):  # type: ignore[no-untyped-def]
    """Cells where the player of `own` may place a disc: empty ones, at the end of a line from a disc of its own."""
    reached = np.uint64(0)
    inside = other & _NOT_AT_THE_SIDES  # a line that leaves one side must not come back at the other
    for shift, through in ((1, inside), (SIZE - 1, inside), (SIZE, other), (SIZE + 1, inside)):
        up, down = _lines(own, through, np.uint64(shift))
        reached |= (up << np.uint64(shift)) | (down >> np.uint64(shift))
    return reached & ~(own | other)


@njit(cache=True)
def _turned(disc, own, other):  # type: ignore[no-untyped-def]
    """Discs of `other` between the new `disc` and the next disc of `own`, in all directions."""
    turned = np.uint64(0)
    inside = other & _NOT_AT_THE_SIDES
    for shift, through in ((1, inside), (SIZE - 1, inside), (SIZE, other), (SIZE + 1, inside)):
        up, down = _lines(disc, through, np.uint64(shift))
        if (up << np.uint64(shift)) & own:
            turned |= up
        if (down >> np.uint64(shift)) & own:
            turned |= down
    return turned


@njit(cache=True)
def _sign_of_result(black, white):  # type: ignore[no-untyped-def]
    """The return of player 0: who has more discs wins."""
    return float(np.sign(_count(black) - _count(white)))


@njit(cache=True)
def _step(boards, moves, played, to_play, src, actions, dst, out_to_play, out_rewards):  # type: ignore[no-untyped-def]
    for i in range(src.shape[0]):
        s, d, action = src[i], dst[i], actions[i]
        if s != d:
            for word in range(boards.shape[1]):
                boards[d, word] = boards[s, word]
        mover = to_play[s]
        moves[d, played[s]] = action
        played[d] = played[s] + 1
        next_player, reward = 1 - mover, 0.0
        if action != PASS:  # after a pass the other player can move: else the game would have been over before it
            own, other, disc = boards[d, mover], boards[d, 1 - mover], _ONE << np.uint64(action)
            turned = _turned(disc, own, other)
            own |= disc | turned
            other &= ~turned
            boards[d, mover], boards[d, 1 - mover] = own, other
            if not _placeable(other, own) and not _placeable(own, other):
                next_player = TERMINAL
                reward = _sign_of_result(boards[d, 0], boards[d, 1])
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
        to_play[d] = next_player
        out_to_play[i] = next_player


@njit(cache=True)
def _legal(boards, to_play, slots, offsets, actions):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(slots.shape[0]):
        mover = to_play[slots[i]]
        if mover != TERMINAL:
            cells = _placeable(boards[slots[i], mover], boards[slots[i], 1 - mover])
            if not cells:
                actions[count] = PASS
                count += 1
            while cells:
                actions[count] = _lowest(cells)
                cells &= cells - _ONE
                count += 1
        offsets[i + 1] = count
    return count


@njit(cache=True)
def _observe(boards, to_play, slots, out):  # type: ignore[no-untyped-def]
    for i in range(slots.shape[0]):
        planes, mover = out[i], to_play[slots[i]]
        viewer = 1 if mover == 1 else 0  # no player moves in a finished game: the view is that of player 0
        own, other = boards[slots[i], viewer], boards[slots[i], 1 - viewer]
        for cell in range(CELLS):
            mine, theirs = (own >> np.uint64(cell)) & _ONE, (other >> np.uint64(cell)) & _ONE
            planes[cell] = np.float32(_ONE - mine - theirs)
            planes[CELLS + cell] = np.float32(mine)
            planes[2 * CELLS + cell] = np.float32(theirs)
        mark_seat(planes, CELLS, NUM_PLAYERS, mover)


@njit(cache=True)
def _rollout(boards, to_play, slots, seeds, out_rewards):  # type: ignore[no-untyped-def]
    for i in range(slots.shape[0]):
        state, mover, reward, passed = seeds[i], to_play[slots[i]], 0.0, False
        if mover != TERMINAL:
            own, other = boards[slots[i], mover], boards[slots[i], 1 - mover]
            while True:
                cells = _placeable(own, other)
                if cells:
                    passed = False
                    state, bits = random_bits(state)
                    for _ in range(bits % _count(cells)):
                        cells &= cells - _ONE
                    disc = cells & (~cells + _ONE)
                    turned = _turned(disc, own, other)
                    own |= disc | turned
                    other &= ~turned
                elif passed:
                    break
                else:
                    passed = True
                own, other, mover = other, own, 1 - mover
            reward = _sign_of_result(own, other) * (1.0 if mover == 0 else -1.0)
        out_rewards[i, 0] = reward
        out_rewards[i, 1] = -reward
