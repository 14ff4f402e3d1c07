"""From counts to the figures of `metrics.jsonl` and of the display."""

from __future__ import annotations

import math

from selfplay.stats.intervals import ELO_FORM, interval_text, with_interval
from selfplay.training.evaluator import Evaluation


def mean_text(mean: float, interval: tuple[float, float] | None) -> str:
    """A mean return for a person, with its interval in the same digits."""
    form = f".{_digits(mean)}f"
    return f"{mean:{form}}" if interval is None else with_interval(mean, *interval, form)


def return_text(value: float) -> str:
    """A return for a person: three significant digits, without zeros behind the first decimal."""
    whole, _, decimals = f"{value:.{_digits(value)}f}".partition(".")
    return f"{whole}.{decimals[0]}{decimals[1:].rstrip('0')}"


def _digits(value: float) -> int:
    """Decimals that show three significant digits, from 1 to 4."""
    return 1 if value == 0 or not math.isfinite(value) else min(4, max(1, 2 - math.floor(math.log10(abs(value)))))


def evaluation_line(evaluation: Evaluation) -> str:
    """Scores of a checkpoint as one line."""
    parts = [f"{name} {score:.0%}" for name, score in evaluation.scores.items()]
    if evaluation.elo is not None:
        rating, low, high = evaluation.elo
        parts.append(f"Elo {rating:{ELO_FORM}} ({interval_text(low, high, ELO_FORM)}), {evaluation.anchor} = 0")
    if evaluation.mean_return is not None:
        parts.append(f"return {mean_text(evaluation.mean_return, evaluation.return_interval)}")
    if evaluation.beats_champion is not None:
        parts.append("beats the champion" if evaluation.beats_champion else "does not beat the champion")
    return f"step {evaluation.version}: {', '.join(parts)}"


def evaluation_metrics(evaluation: Evaluation) -> dict[str, float]:
    """A checkpoint's matches as metrics."""
    values = {f"eval/score/{name}": score for name, score in evaluation.scores.items()}
    if evaluation.elo is not None:
        values |= dict(zip(("eval/elo", "eval/elo_low", "eval/elo_high"), evaluation.elo))
    if evaluation.mean_return is not None:
        values["eval/return"] = evaluation.mean_return
    if evaluation.return_interval is not None:
        values |= dict(zip(("eval/return_low", "eval/return_high"), evaluation.return_interval))
    if evaluation.beats_champion is not None:
        values["eval/beats_champion"] = float(evaluation.beats_champion)
    return {**values, "time/evaluation": evaluation.seconds}
