"""A bounded cache of network evaluations, shared by all trees of an actor.

The key is a 128-bit hash of the observation's bytes and the legal actions (some games show equal observations for
positions with other legal moves). Equal positions within one batch are evaluated once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from search.kernels import kernel

WAYS = 4
"""Entries that a position may occupy; the oldest of them is replaced."""

WIDEST = 256
"""Positions with more legal actions than this are not kept."""

HIT = -1
"""`Batch.source` of a row that the cache answered."""


class Answers(NamedTuple):
    """Evaluations of n positions for their players to move, their legal actions in compressed rows."""

    offsets: np.ndarray  # [n + 1] int64
    actions: np.ndarray  # [K] int64: the legal actions
    logits: np.ndarray  # [K] float32
    values: np.ndarray  # [n, V] float32

    @staticmethod
    def allocate(offsets: np.ndarray, actions: np.ndarray, num_values: int) -> Answers:
        """Room for the evaluations of positions with these legal actions."""
        values = np.empty((len(offsets) - 1, num_values), np.float32)
        return Answers(offsets, actions, np.empty(len(actions), np.float32), values)


class Entries(NamedTuple):
    """What the cache keeps: S sets of WAYS entries. A position belongs to one set."""

    keys: np.ndarray  # [S, WAYS, 2] uint64; zero where there is no entry
    ages: np.ndarray  # [S, WAYS] int64: the number of the batch that an entry came with
    logits: np.ndarray  # [S, WAYS, width] float32: of the legal actions
    values: np.ndarray  # [S, WAYS, V] float32


class Batch(NamedTuple):
    """The batch that was looked up last, until its missing rows are stored; room for N rows."""

    hashes: np.ndarray  # [N, 2] uint64
    source: np.ndarray  # [N] int64: HIT, or the index into `misses` of the row whose evaluation row i shares
    misses: np.ndarray  # [N] int64: distinct rows that have to be evaluated
    places: np.ndarray  # [power of two] int64: hash table of indices into `misses`, -1 where empty

    @staticmethod
    def allocate(n: int) -> Batch:
        """Room for n rows."""
        return Batch(
            hashes=np.zeros((n, 2), np.uint64),
            source=np.zeros(n, np.int64),
            misses=np.zeros(n, np.int64),
            places=np.zeros(1 << max(4, (2 * n).bit_length()), np.int64),
        )


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
def _lookup(words: np.ndarray, answers: Answers, entries: Entries, batch: Batch) -> int:
    """Answer rows of `words` [n, W] from the cache; returns the number of distinct rows left, listed in `misses`."""
    offsets = answers.offsets
    num_sets = entries.keys.shape[0]
    batch.places[:] = -1
    mask = batch.places.shape[0] - 1
    num_misses = 0
    for i in range(words.shape[0]):
        start, num = offsets[i], offsets[i + 1] - offsets[i]
        _hash_row(words[i], answers.actions[start : start + num], batch.hashes[i])
        h0, h1 = batch.hashes[i, 0], batch.hashes[i, 1]
        group = np.int64(h0 % np.uint64(num_sets))
        batch.source[i] = 0
        for way in range(WAYS):
            if entries.keys[group, way, 0] == h0 and entries.keys[group, way, 1] == h1:
                batch.source[i] = HIT
                answers.logits[start : start + num] = entries.logits[group, way, :num]
                answers.values[i] = entries.values[group, way]
                break
        if batch.source[i] == HIT:
            continue
        place = np.int64(h1 & np.uint64(mask))
        while batch.places[place] >= 0:
            row = batch.misses[batch.places[place]]
            if batch.hashes[row, 0] == h0 and batch.hashes[row, 1] == h1:
                break
            place = (place + 1) & mask
        if batch.places[place] < 0:
            batch.places[place] = num_misses
            batch.misses[num_misses] = i
            num_misses += 1
        batch.source[i] = batch.places[place]
    return num_misses


@kernel
def _store(
    policy_logits: np.ndarray, values: np.ndarray, clock: int, answers: Answers, entries: Entries, batch: Batch
) -> None:
    """Fill the rows that waited from `policy_logits` [m, A] and `values` [m, V], and keep the new evaluations."""
    offsets = answers.offsets
    num_sets = entries.keys.shape[0]
    for i in range(offsets.shape[0] - 1):
        if batch.source[i] == HIT:
            continue
        m = batch.source[i]
        start, num = offsets[i], offsets[i + 1] - offsets[i]
        for k in range(num):
            answers.logits[start + k] = policy_logits[m, answers.actions[start + k]]
        answers.values[i] = values[m]
        if batch.misses[m] != i or num > entries.logits.shape[2]:
            continue
        group = np.int64(batch.hashes[i, 0] % np.uint64(num_sets))
        oldest = 0
        for way in range(1, WAYS):
            if entries.ages[group, way] < entries.ages[group, oldest]:
                oldest = way
        entries.keys[group, oldest, 0] = batch.hashes[i, 0]
        entries.keys[group, oldest, 1] = batch.hashes[i, 1]
        entries.ages[group, oldest] = clock
        entries.logits[group, oldest, :num] = answers.logits[start : start + num]
        entries.values[group, oldest] = answers.values[i]


class EvaluationCache:
    """Evaluations by position, in a fixed number of bytes."""

    def __init__(self, megabytes: int, num_actions: int, num_values: int) -> None:
        """Room for the positions that fit into `megabytes`, at least 64 of them."""
        width = min(num_actions, WIDEST)
        entry = 16 + 8 + 4 * width + 4 * num_values
        sets = max(16, megabytes * 1_000_000 // (entry * WAYS))
        self.entries = Entries(
            keys=np.zeros((sets, WAYS, 2), np.uint64),
            ages=np.zeros((sets, WAYS), np.int64),
            logits=np.zeros((sets, WAYS, width), np.float32),
            values=np.zeros((sets, WAYS, num_values), np.float32),
        )
        self._clock = 0
        self._batch = Batch.allocate(0)

    def clear(self) -> None:
        """Forget everything: the network has changed."""
        self.entries.keys[:] = 0

    def lookup(self, observations: np.ndarray, answers: Answers) -> np.ndarray:
        """Write the logits and values of known positions into `answers`; returns the rows to evaluate, int64 [m].

        `observations` are float32 [n, *observation_shape]. Where m is not 0, `store` must follow.
        """
        n = len(observations)
        if n > len(self._batch.source):
            self._batch = Batch.allocate(n)
        words = observations.reshape(n, -1).view(np.uint32)
        count = _lookup(words, answers, self.entries, self._batch)
        return self._batch.misses[:count]

    def store(self, policy_logits: np.ndarray, values: np.ndarray, answers: Answers) -> None:
        """Complete and keep the `answers` of the last `lookup` by `policy_logits` [m, A] and `values` [m, V]."""
        self._clock += 1
        _store(policy_logits, values, self._clock, answers, self.entries, self._batch)
