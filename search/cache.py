"""A bounded cache of network evaluations, shared by all trees of an actor.

The key is a 128-bit hash of the observation's bytes and the legal actions (some games show equal observations for
positions with other legal moves). Equal positions within one batch are evaluated once.
"""

from __future__ import annotations

import numpy as np

from search.kernels import kernel

WAYS = 4
"""Entries a position may occupy; the oldest of them is replaced."""

WIDEST = 256
"""Positions with more legal actions than this are not kept."""

HIT = -1
"""`source` of a row that the cache answered."""


@kernel
def _hash_row(words: np.ndarray, actions: np.ndarray, out: np.ndarray) -> None:
    """Two 64-bit hashes of `words` uint32 and `actions` into `out` [2]; never both zero."""
    a, b = np.uint64(0x9AE16A3B2F90404F), np.uint64(0xC949C7DEFA8B3E27)
    p, q = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
    for word in words:
        a = (a ^ np.uint64(word)) * p
        b = (b ^ np.uint64(word)) * q
        a ^= a >> np.uint64(29)
        b ^= b >> np.uint64(32)
    for action in actions:
        a = (a ^ np.uint64(action + 1)) * q
        b = (b ^ np.uint64(action + 1)) * p
        a ^= a >> np.uint64(32)
        b ^= b >> np.uint64(29)
    out[0] = a | np.uint64(1)
    out[1] = b


@kernel
def _lookup(
    words: np.ndarray,
    offsets: np.ndarray,
    actions: np.ndarray,
    keys: np.ndarray,
    cached_logits: np.ndarray,
    cached_values: np.ndarray,
    pending: np.ndarray,
    hashes: np.ndarray,
    source: np.ndarray,
    misses: np.ndarray,
    logits: np.ndarray,
    values: np.ndarray,
) -> int:
    """Answer rows from the cache; returns the number of distinct rows left, listed in `misses`.

    `source[i]` is HIT, or the index into `misses` of the row whose evaluation row i will share.
    """
    num_sets = keys.shape[0]
    pending[:] = -1
    mask = pending.shape[0] - 1
    num_misses = 0
    for i in range(words.shape[0]):
        start, num = offsets[i], offsets[i + 1] - offsets[i]
        _hash_row(words[i], actions[start : start + num], hashes[i])
        h0, h1 = hashes[i, 0], hashes[i, 1]
        group = np.int64(h0 % np.uint64(num_sets))
        source[i] = 0
        for way in range(WAYS):
            if keys[group, way, 0] == h0 and keys[group, way, 1] == h1:
                source[i] = HIT
                logits[start : start + num] = cached_logits[group, way, :num]
                values[i] = cached_values[group, way]
                break
        if source[i] == HIT:
            continue
        place = np.int64(h1 & np.uint64(mask))
        while pending[place] >= 0:
            row = misses[pending[place]]
            if hashes[row, 0] == h0 and hashes[row, 1] == h1:
                break
            place = (place + 1) & mask
        if pending[place] < 0:
            pending[place] = num_misses
            misses[num_misses] = i
            num_misses += 1
        source[i] = pending[place]
    return num_misses


@kernel
def _store(
    offsets: np.ndarray,
    actions: np.ndarray,
    policy_logits: np.ndarray,
    predicted: np.ndarray,
    keys: np.ndarray,
    ages: np.ndarray,
    clock: int,
    cached_logits: np.ndarray,
    cached_values: np.ndarray,
    hashes: np.ndarray,
    source: np.ndarray,
    misses: np.ndarray,
    logits: np.ndarray,
    values: np.ndarray,
) -> None:
    """Fill the rows that waited from `policy_logits` [m, A] and `predicted` [m, V], and keep the new evaluations."""
    num_sets = keys.shape[0]
    for i in range(source.shape[0]):
        if source[i] == HIT:
            continue
        m = source[i]
        start, num = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(num):
            logits[start + k] = policy_logits[m, actions[start + k]]
        values[i] = predicted[m]
        if misses[m] != i or num > cached_logits.shape[2]:
            continue
        group = np.int64(hashes[i, 0] % np.uint64(num_sets))
        oldest = 0
        for way in range(1, WAYS):
            if ages[group, way] < ages[group, oldest]:
                oldest = way
        keys[group, oldest, 0] = hashes[i, 0]
        keys[group, oldest, 1] = hashes[i, 1]
        ages[group, oldest] = clock
        cached_logits[group, oldest, :num] = logits[start : start + num]
        cached_values[group, oldest] = values[i]


class EvaluationCache:
    """Evaluations by position, in a fixed number of bytes."""

    def __init__(self, megabytes: int, num_actions: int, num_values: int) -> None:
        """Room for as many positions as fit into `megabytes` (at least a few)."""
        width = min(num_actions, WIDEST)
        entry = 16 + 8 + 4 * width + 4 * num_values
        sets = max(16, megabytes * 1_000_000 // (entry * WAYS))
        self.keys = np.zeros((sets, WAYS, 2), np.uint64)
        self.ages = np.zeros((sets, WAYS), np.int64)
        self.logits = np.zeros((sets, WAYS, width), np.float32)
        self.values = np.zeros((sets, WAYS, num_values), np.float32)
        self.clock = 0
        self._pending = np.zeros(16, np.int64)
        self._hashes = np.zeros((0, 2), np.uint64)
        self._source = np.zeros(0, np.int64)
        self._misses = np.zeros(0, np.int64)

    def clear(self) -> None:
        """Forget everything: the network has changed."""
        self.keys[:] = 0

    def lookup(
        self,
        observations: np.ndarray,
        offsets: np.ndarray,
        actions: np.ndarray,
        logits: np.ndarray,
        values: np.ndarray,
    ) -> np.ndarray:
        """Answer what is known into `logits` [K] and `values` [n, V]; returns the rows to evaluate, int64 [m].

        The caller then passes their evaluation to `store`.
        """
        n = len(observations)
        if n > len(self._source):
            self._hashes = np.zeros((n, 2), np.uint64)
            self._source, self._misses = np.zeros(n, np.int64), np.zeros(n, np.int64)
            self._pending = np.zeros(1 << (2 * n).bit_length(), np.int64)
        words = observations.reshape(n, -1).view(np.uint32)
        count = _lookup(
            words, offsets, actions, self.keys, self.logits, self.values, self._pending,
            self._hashes[:n], self._source[:n], self._misses[:n], logits, values,
        )  # fmt: skip
        return self._misses[:count]

    def store(
        self,
        offsets: np.ndarray,
        actions: np.ndarray,
        policy_logits: np.ndarray,
        predicted: np.ndarray,
        logits: np.ndarray,
        values: np.ndarray,
    ) -> None:
        """Complete the rows of the last `lookup` with `policy_logits` [m, A] and `predicted` [m, V]."""
        n = len(offsets) - 1
        self.clock += 1
        _store(
            offsets, actions, policy_logits, predicted, self.keys, self.ages, self.clock, self.logits, self.values,
            self._hashes[:n], self._source[:n], self._misses[:n], logits, values,
        )  # fmt: skip
