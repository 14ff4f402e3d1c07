"""What a run records about itself: names and `metrics.jsonl`.

In the flow: the driver collects figures in `Averages`, writes one row a report with `MetricsWriter`, and hands the same
row to the W&B mirror (`selfplay.training.tracking`). The file is the record, from which the mirror fills its gaps.
`METRICS` is the one table of names, units and meanings; docs/metrics.md shows it, and a test keeps the two equal.

A row is one JSON object a line with the three `AXES` and any of `METRICS`. JSON has no NaN and no infinity, so a value
that is not finite is written as null.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.errors import UserError
from selfplay.storage.files import storage_errors

Row = dict[str, Any]
"""One line of `metrics.jsonl`: names to numbers (or text, or None for what was not finite)."""


@dataclass(frozen=True)
class Metric:
    """Unit and meaning of a name; `unit` is empty for plain numbers."""

    unit: str
    meaning: str


AXES: dict[str, Metric] = {
    "step": Metric("steps", "steps of the learner; `train/step` in W&B"),
    "positions": Metric("positions", "positions that self-play has made; `train/positions` in W&B"),
    "time_s": Metric("s", "time spent training, continued by a resumed run; `time/train` in W&B"),
}
"""Fields of every row."""

METRICS: dict[str, Metric] = {
    "train/loss": Metric("", "weighted sum of the losses that the learner minimises"),
    "train/policy_loss": Metric(
        "nats", "cross-entropy of the network's policy against the search's; without search the policy gradient's loss"
    ),
    "train/value_loss": Metric("", "squared error of the network's value against its target"),
    "train/policy_gradient_loss": Metric(
        "", "policy gradient's loss on the moves played (`learner.policy_gradient_weight`)"
    ),
    "train/reply_loss": Metric("nats", "cross-entropy of `net.reply_head` against the move after the next one"),
    "train/ownership_loss": Metric("", "squared error of `net.ownership_head`, averaged over the cells of the board"),
    "train/score_loss": Metric("", "squared error of `net.score_head` as a share of the largest score"),
    "train/moves_left_loss": Metric("", "squared error of `net.moves_left_head` on a logarithmic scale"),
    "train/reward_loss": Metric("nats", "muzero: cross-entropy of the model's rewards against those that were paid"),
    "train/seat_loss": Metric(
        "nats", "muzero: cross-entropy of who moves next, in games where players do not take turns"
    ),
    "train/consistency_loss": Metric(
        "", "muzero: 1 less the cosine of a latent after steps and of that of the observation there"
    ),
    "train/chance_loss": Metric(
        "nats", "muzero with chance codes: cross-entropy of the codes that afterstates expect to those of the encoder"
    ),
    "train/move_value_loss": Metric("", "muzero with chance codes: value loss of the moves, read from afterstates"),
    "train/commitment_loss": Metric(
        "", "muzero with chance codes: squared distance of the encoder's shares from its one-hot codes"
    ),
    "train/codes_used": Metric("codes", "muzero with chance codes: different codes in a batch"),
    "train/code_perplexity": Metric(
        "codes", "muzero with chance codes: exponential of the entropy of the codes in a batch; 1 where all are one"
    ),
    "train/policy_loss_first": Metric("nats", "muzero: policy loss of the sampled positions, at depth 0 of the unroll"),
    "train/policy_loss_last": Metric("nats", "muzero: policy loss at depth `muzero.unroll_steps`"),
    "train/value_loss_first": Metric("", "muzero: value loss of the sampled positions"),
    "train/value_loss_last": Metric("", "muzero: value loss at depth `muzero.unroll_steps`"),
    "train/illegal_share_first": Metric(
        "share", "muzero: probability that the network gives to illegal moves in the sampled positions"
    ),
    "train/illegal_share_last": Metric("share", "muzero: the same at depth `muzero.unroll_steps`"),
    "train/reanalysis_change": Metric(
        "share",
        "muzero with `muzero.reanalyse_share`: how far new searches have changed the policies that are learned from, "
        "half the sum of absolute differences",
    ),
    "train/support_clipped": Metric("share", "muzero: value targets that are beyond `muzero.support`"),
    "train/policy_entropy": Metric(
        "nats",
        "entropy of the network's policy over legal actions; of muzero's real-valued ones before they are squashed",
    ),
    "train/policy_kl": Metric(
        "nats",
        "KL divergence of the search's policy from that of the network as it learns; without search of the policy that "
        "acted",
    ),
    "train/clipped_share": Metric("share", "steps whose probability ratio is beyond `actor_critic.clip`"),
    "train/bellman_residual": Metric("", "greatest change of a value in a sweep of `q_iteration`"),
    "train/td_error": Metric("", "mean absolute error of `dqn` against its targets"),
    "train/q_value": Metric("", "mean value of the best action in a batch of `dqn`"),
    "train/value_calibration_error": Metric(
        "", "mean gap between the search's value of a position and the result in ten bins of the value; 0 is calibrated"
    ),
    "train/grad_norm": Metric("", "norm of the gradient before clipping"),
    "train/learning_rate": Metric("", "mean learning rate of the steps"),
    "train/skipped_steps": Metric(
        "steps", "steps left out since this start of the run because the loss was not finite"
    ),
    "train/stale_positions": Metric(
        "positions",
        "left out of learning since this start of the run because their weights were too old (`replay.max_policy_lag`)",
    ),
    "train/bad_shards": Metric("shards", "shards of games that were found damaged and set aside, over all starts"),
    "train/games": Metric("games", "finished games of self-play, over all starts"),
    "train/replay_positions": Metric("positions", "positions in the replay window"),
    "train/sample_reuse": Metric(
        "",
        "samples drawn by the learner for each position that it may learn from, since `sample_reuse` was last changed",
    ),
    "selfplay/simulations_per_second": Metric("simulations/s", "of all actors together"),
    "selfplay/positions_per_second": Metric("positions/s", "moves played by all actors together"),
    "selfplay/games_per_minute": Metric("games/min", "games finished by all actors together"),
    "selfplay/game_length": Metric(
        "plies", "mean length of the games finished since the last row, without a random opening"
    ),
    "selfplay/first_player_win": Metric("share", "games won by the first player"),
    "selfplay/draw": Metric("share", "games drawn"),
    "selfplay/second_player_win": Metric("share", "games won by the second player"),
    "selfplay/passes_first_third": Metric("share", "moves that are passes, in the first third of games (Go, Othello)"),
    "selfplay/passes_second_third": Metric("share", "the same in the second third"),
    "selfplay/passes_last_third": Metric("share", "the same in the last third"),
    "selfplay/ended_by_passes": Metric("share", "games that ended with two passes"),
    "selfplay/ended_by_length": Metric("share", "games that ended at the largest number of moves of their rules"),
    "selfplay/score": Metric("points", "mean lead of the first player at the end, in games with a score"),
    "selfplay/score_deviation": Metric("points", "standard deviation of that score"),
    "selfplay/decided": Metric(
        "share", "games that a player had as good as won before their end (`actors.resign_value`)"
    ),
    "selfplay/decided_wrongly": Metric("share", "decided games that this player did not win after all"),
    "selfplay/return": Metric("", "mean return of the first player, as the game counts it"),
    "selfplay/root_value": Metric(
        "", "mean value of the search at the root, for the player to move; without search the network's"
    ),
    "selfplay/batch_fill": Metric("share", "positions in a network call against its batch size"),
    "selfplay/cache_hit_rate": Metric("share", "evaluations answered by the cache"),
    "selfplay/share/GAME": Metric(
        "share", "positions of GAME among those of the games finished since the last row, in a run with a `curriculum`"
    ),
    "selfplay/network_share": Metric(
        "share", "time of the actors spent in the network call; waiting for the learner is time outside it"
    ),
    "selfplay/weight_staleness": Metric("versions", "age of the weights that played a stored position, on average"),
    "selfplay/unsound_games": Metric(
        "games",
        "games dropped and episodes cut off since this start of the run, because an output of the game or environment "
        "was not finite, or not what it declares",
    ),
    "selfplay/actor_restarts": Metric("restarts", "actors replaced since this start of the run"),
    "eval/score/OPPONENT": Metric("share", "score of the current network against OPPONENT, draws half"),
    "eval/elo": Metric(
        "Elo",
        "rating of the current network (expected score) by its matches and earlier ones, the first opponent at 0",
    ),
    "eval/elo_low": Metric("Elo", "lower end of its 95 % interval"),
    "eval/elo_high": Metric("Elo", "upper end of its 95 % interval"),
    "eval/beats_champion": Metric("", "1 when the gate found it stronger than the champion, else 0"),
    "eval/goal": Metric(
        "",
        "what a sweep should make as large as it can: the mean return, or the score against the strongest opponent, "
        "which is the lowest of the scores",
    ),
    "eval/return": Metric("", "mean return of the episodes of an evaluation, as the environment pays it"),
    "eval/return_low": Metric("", "lower end of its 95 % interval"),
    "eval/return_high": Metric("", "upper end of its 95 % interval"),
    "time/learning": Metric("s", "spent in steps of the learner since the last row"),
    "time/waiting": Metric("s", "the learner waited for new positions since the last row"),
    "time/checkpoint": Metric("s", "spent writing checkpoints since the last row"),
    "time/evaluation": Metric("s", "length of the last evaluation"),
}
"""Every name that a row may have, in the order of docs/metrics.md. A part in capitals stands for any text."""

_ANY_TEXT = tuple(re.split(r"[A-Z]", name)[0] for name in METRICS if re.search(r"[A-Z]", name))
"""What names with a part in capitals begin with."""


def add_row(kept: list[Row], row: Row) -> None:
    """Append a row, and take away those that a resumed run has undone with it.

    A run that was killed goes on from its last checkpoint: what it had written after that checkpoint stays in the file,
    and steps and positions go back. The rows before the jump that are ahead of the row after it belong to training that
    was lost. Where time alone goes back nothing was: the matches after a budget took it, and they count as if they had
    taken none. Fields that are no numbers are not looked at.
    """
    while kept and any(_is_ahead(kept[-1].get(axis), row.get(axis)) for axis in ("step", "positions")):
        kept.pop()
    for i in reversed(range(len(kept))):
        if not _is_ahead(kept[i].get("time_s"), row.get("time_s")):
            break
        kept[i] = {**kept[i], "time_s": row["time_s"]}
    kept.append(row)


def _is_ahead(before: object, after: object) -> bool:
    return isinstance(before, (int, float)) and isinstance(after, (int, float)) and before > after


def unknown_names(row: Mapping[str, object]) -> list[str]:
    """Names in a row that neither `AXES` nor `METRICS` explains."""
    return [name for name in row if name not in AXES and name not in METRICS and not _has_any_text(name)]


def _has_any_text(name: str) -> bool:
    return any(name.startswith(start) and len(name) > len(start) for start in _ANY_TEXT)


def to_json_value(value: Any) -> Any:
    """A number, text, bool or None that JSON can hold: numpy scalars become Python's, NaN and infinities None.

    Raises TypeError for anything else.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"a metric is a number or text, not {type(value).__name__}")


class MetricsWriter:
    """Appends rows to `metrics.jsonl`. A row is in the file whole, or not at all.

    Each row goes to the kernel at once, so a killed process loses none; a power cut may lose the last ones.
    """

    def __init__(self, path: Path) -> None:
        """Open for append, and cut off the torn last line of a writer that was killed. Raises `StorageError`."""
        self._path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by `close`)
            os.ftruncate(self._file.fileno(), _whole_lines(self._file.fileno()))
            self.lines = _count_lines(self._file.fileno())
            """Number of rows in the file."""

    def write(self, values: Mapping[str, Any], *, step: int, positions: int, time_s: float) -> Row:
        """Append one row and return it as it was written.

        `time_s` is seconds of training on the monotonic clock, counted on from the checkpoint by a resumed run.
        Raises `StorageError` (disk full), and the file then has its old length; TypeError for values that are no
        numbers or text.
        """
        axes = {"step": step, "positions": positions, "time_s": round(time_s, 3)}
        row = {name: to_json_value(value) for name, value in {**axes, **values}.items()}
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        descriptor = self._file.fileno()
        with storage_errors(self._path, len(line)):
            size = os.fstat(descriptor).st_size
            try:
                view = memoryview(line)
                while len(view):
                    view = view[os.write(descriptor, view) :]
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        self.lines += 1
        return row

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_metrics(path: Path) -> Iterator[Row]:
    """The rows of a metrics file, oldest first.

    A last line without its line end is still being written, or its writer was killed: it is left out.
    Raises UserError for a missing file and for any other line that is not a JSON object.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; is this a run folder?") from error
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: not a JSON object; remove the line to read the rest")
            yield row


def _count_lines(descriptor: int, block: int = 1 << 20) -> int:
    """Number of line ends in the file."""
    blocks = itertools.takewhile(bool, (os.pread(descriptor, block, i * block) for i in itertools.count()))
    return sum(part.count(b"\n") for part in blocks)


def _whole_lines(descriptor: int, block: int = 4096) -> int:
    """Length of the file up to and including its last line end."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - block)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
