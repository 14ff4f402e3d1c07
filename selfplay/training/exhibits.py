"""What W&B shows of an evaluation beside numbers: some of its games with their last positions, or a film.

In the flow: the evaluation makes them in its own process and leaves the files in the run's folder; the worker of the
mirror (`selfplay.training.wandb_worker`) uploads and removes them. Nothing is made while W&B is off.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.system.deadline import TimeIsUp, deadline
from selfplay.training.tracking import mode_within

if TYPE_CHECKING:
    from games import Game
    from games.environments.environment import Environment
    from selfplay.players.player import Agent
    from selfplay.tournament.tournament import Outcome

EXHIBITS = Path("wandb") / "exhibits"
"""Folder in the run's folder for what is not uploaded yet."""

MOST_GAMES = 8
"""Largest number of games of an evaluation that are shown."""

FILM_SECONDS = 20.0
"""Seconds after which a film is given up."""

RUN = 0
"""In the seats of a game: the run's own player, the first of each pair of a gauntlet."""

COLUMNS = ("step", "opponent", "seat", "score", "plies", "moves", "last position")
"""Columns of the table of games."""


@dataclass(frozen=True)
class Exhibits:
    """What there is to see of an evaluation."""

    games: tuple[tuple[int | float | str, ...], ...] = ()
    """Rows with `COLUMNS`; the last is the file of a picture."""
    film: Path | None = None
    """An episode as an MP4 file."""


def are_wanted(mode: str) -> bool:
    """Whether a run with this `wandb.mode` shows anything."""
    return mode_within(os.environ, mode) != "disabled"


def shown(make: Callable[[], Exhibits], notes: list[str]) -> Exhibits:
    """What `make` shows; where it fails, nothing and one more note, because the figures count without it."""
    try:
        return make()
    except Exception as error:
        notes.append(f"W&B gets no games or film of this evaluation ({type(error).__name__}: {error})")
        return Exhibits()


def show_games(game: Game, outcome: Outcome, version: int, run_dir: Path) -> Exhibits:
    """A table of some games of a gauntlet, the same number against each opponent as far as there are.

    Raises OSError where pictures cannot be written.
    """
    from selfplay.drawings.pictures import as_png
    from selfplay.tournament.diagrams import replay
    from selfplay.tournament.standings import games_by_pair

    folder = run_dir / EXHIBITS
    folder.mkdir(parents=True, exist_ok=True)
    pairs = games_by_pair(outcome).items()
    # A game of one player is played by each of the two alone: those of the opponent show nothing of the run.
    by_opponent = {second: [one for one in games if RUN in one.seats] for (_, second), games in pairs}
    turns = itertools.zip_longest(*([(name, one) for one in games] for name, games in by_opponent.items()))
    shown = [turn for turn in itertools.chain(*turns) if turn is not None][:MOST_GAMES]
    rows: list[tuple[int | float | str, ...]] = []
    for number, (opponent, one) in enumerate(shown):
        path = folder / f"{version:08d}-{number}.png"
        moves, view, last = replay(game, one)
        path.write_bytes(as_png(view, last))
        seat = one.seats.index(RUN) + 1
        rows.append((version, opponent, seat, one.score, one.plies, moves, str(path)))
    return Exhibits(games=tuple(rows))


def show_episode(agent: Agent, environment: Environment, seed: int, version: int, run_dir: Path) -> Exhibits:
    """A film of one episode; none where the environment cannot be drawn, or the film is not done in time."""
    from games import GameError
    from selfplay.errors import UserError
    from selfplay.evaluation.video import film_episode, with_pictures

    path = run_dir / EXHIBITS / f"{version:08d}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with deadline(FILM_SECONDS):
            film_episode(agent, with_pictures(environment), seed, path)
    except (TimeIsUp, GameError, UserError, ImportError, ValueError):
        path.unlink(missing_ok=True)
        return Exhibits()
    return Exhibits(film=path)
