"""Matches of a checkpoint against fixed opponents, or its episodes, in a process of their own while training goes on.

In the flow: the driver saves a checkpoint and asks for its evaluation; the answer comes over the pipe. All games are
kept in the run's folder `ratings` and rate all checkpoints together (`selfplay rate` adds to them). With
`evaluation.gate` the checkpoint also meets the champion, whose weights the actors play with, until the sequential test
is decided (AlphaGo Zero, Silver et al. 2017, played 400 games and asked for 55 %).
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from games.environments.environment import EPISODES_SEED
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.storage.run_folder import RATINGS
from selfplay.system.child_process import Stacks, become_child
from selfplay.system.deadline import TimeIsUp, deadline
from selfplay.system.failures import describe, keep
from selfplay.system.machine import give_back_memory
from selfplay.training.exhibits import Exhibits, are_wanted, show_episode, show_games, shown

if TYPE_CHECKING:
    from games import Game
    from selfplay.tournament.players import Entrant
    from selfplay.tournament.store import Conditions, TournamentFolder
    from selfplay.tournament.tournament import Outcome

NICENESS = 5
"""Training comes first where there are fewer cores than processes."""

HUNG_SECONDS = 2 * 3600.0
"""Seconds after which an evaluation is given up, with its process."""

RATED_VERSIONS = 50
"""Largest number of versions in a rating: to fit all of a long run would take ever more time and memory."""

FAILED_EVALUATION = "failed_evaluation.txt"
"""File in the run's folder with the traceback of the last evaluation that failed."""


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint against each opponent."""

    version: int
    scores: dict[str, float]  # opponent to score, draws half
    results: dict[str, str]  # opponent to a line for a person
    seconds: float
    elo: tuple[float, float, float] | None = None
    """Its rating, the first opponent at 0, and the ends of the 95 % interval; None without opponents."""
    beats_champion: bool | None = None
    """The verdict of the gate; None where nobody asked."""
    mean_return: float | None = None
    """Mean return of its episodes; None for games."""
    return_interval: tuple[float, float] | None = None
    """The 95 % interval of `mean_return`; None for one episode."""
    num_episodes: int = 0
    """Episodes that it played."""
    notes: tuple[str, ...] = ()
    """Lines about limits that were reached, and about what the environment said wrongly."""
    anchor: str = ""
    """The player that `elo` counts from."""
    exhibits: Exhibits = Exhibits()
    """What W&B shows of it."""
    goal: float | None = None
    """What a sweep should make as large as it can: the mean return, or the lowest of the scores, which is the one
    against the strongest opponent. None where an opponent was not met."""


def rating_conditions(config: Config, game: Game) -> Conditions:
    """The conditions of all games that rate the checkpoints of a run."""
    from selfplay.tournament.store import Conditions

    return Conditions(game.name, config.seed, max_plies=config.evaluation.max_plies or None)


def evaluates(config: Config) -> bool:
    """Whether there is anything to play: opponents, or an environment."""
    return bool(config.environment or config.evaluation.opponents or config.evaluation.gate)


def evaluate_checkpoint(
    config: Config,
    run_dir: Path,
    version: int,
    games_each: int,
    champion: int | None = None,
    seconds: float | None = None,
) -> CheckpointResult:
    """Play the episodes; or the matches, and those for the gate where there is a `champion`, a version too.

    After `seconds` only what was played by then counts. Raises UserError for opponents that cannot play the game, and
    where no episode ended in time.
    """
    if config.environment:
        return _play_episodes(config, run_dir, version, games_each, seconds)
    import games
    from selfplay.players.kinds import read_player
    from selfplay.players.trained import player_of_checkpoint
    from selfplay.tournament.players import check_players
    from selfplay.tournament.store import TournamentFolder

    started = time.monotonic()
    game = games.load(config.game)
    folder = TournamentFolder(run_dir / RATINGS, rating_conditions(config, game))
    try:
        versions = [version] if champion is None else [version, champion]
        texts = [player_of_checkpoint(config, f"{run_dir}@{one}") for one in versions]
        same_weights = champion is not None and len({read_player(text).identity for text in texts}) == 1
        player, *others = check_players([*texts[: 1 if same_weights else None], *config.evaluation.opponents], game)
        beats = False if same_weights else None
        if champion is not None and not same_weights:
            beats = _beats(folder, config, player, others.pop(0))
        met = CheckpointResult(version, {}, {}, 0.0)
        if others:
            met, outcome = _meet_opponents(folder, game, met, player, others, games_each, seconds)
            if are_wanted(config.wandb.mode):
                notes = list(met.notes)
                exhibits = shown(lambda: show_games(game, outcome, version, run_dir), notes)
                met = replace(met, exhibits=exhibits, notes=tuple(notes))
    finally:
        folder.close()
    return replace(met, seconds=time.monotonic() - started, beats_champion=beats)


def _play_episodes(
    config: Config, run_dir: Path, version: int, episodes: int, seconds: float | None
) -> CheckpointResult:
    """Play `episodes` with the likeliest actions, from starts that training has not seen."""
    from games.environments.registry import load_environment
    from selfplay.evaluation.episodes import play_episodes
    from selfplay.players.kinds import read_player
    from selfplay.players.trained import player_of_checkpoint

    started = time.monotonic()
    environment = load_environment(config.environment)
    player = read_player(player_of_checkpoint(config, f"{run_dir}@{version}"))
    agent = player.make_agent(environment, seed=version)
    seed = EPISODES_SEED + config.seed % EPISODES_SEED
    try:
        with deadline(seconds):
            found = play_episodes(agent, environment, episodes, seed, seconds=seconds)
    except TimeIsUp:  # in the middle of a step
        raise UserError(f"a step of {environment.name} did not end within {_minutes(seconds)}") from None
    num_played = len(found.returns)
    if not num_played:
        raise UserError(f"no episode of {environment.name} ended within {_minutes(seconds)}")
    notes = [*found.remarks, environment.limit_note] if found.cut_off else list(found.remarks)
    if num_played < episodes:
        notes.append(f"{num_played} of {episodes} episodes ended within {_minutes(seconds)}: short ones count too much")
    exhibits = Exhibits()
    if are_wanted(config.wandb.mode):
        exhibits = shown(lambda: show_episode(agent, environment, seed, version, run_dir), notes)
    agent.close()
    took = time.monotonic() - started
    return CheckpointResult(
        version,
        {},
        {},
        took,
        mean_return=found.mean,
        return_interval=found.interval,
        num_episodes=num_played,
        notes=tuple(notes),
        exhibits=exhibits,
        goal=found.mean,
    )


def _minutes(seconds: float | None) -> str:
    return f"{(seconds or 0.0) / 60:g} minutes (evaluation.final_minutes)"


def _meet_opponents(
    folder: TournamentFolder,
    game: Game,
    so_far: CheckpointResult,
    player: Entrant,
    opponents: list[Entrant],
    games_each: int,
    seconds: float | None,
) -> tuple[CheckpointResult, Outcome]:
    """`so_far` with scores and lines by opponent, and the rating by the games of the newest versions with these
    opponents; and the games."""
    from selfplay.evaluation.match import whole_groups
    from selfplay.tournament.standings import games_by_pair, meetings_of, rate_pairs
    from selfplay.tournament.tournament import TournamentPlan, play_tournament

    names, recorded = tuple(one.name for one in (player, *opponents)), folder.recognise([player, *opponents])
    num_games = whole_groups(game, games_each) * len(opponents)
    plan = TournamentPlan(names, "gauntlet", num_games, recorded=recorded)
    try:
        with deadline(seconds):
            outcome = play_tournament(folder, plan, processes=0, seconds=seconds)
    except TimeIsUp:  # in the middle of a block of games: what is left are those of the blocks before it
        outcome = play_tournament(folder, plan, processes=0, seconds=0.0)
    num_played = sum(len(played.games) for played in outcome.played)
    if num_played < plan.num_games:
        so_far = replace(
            so_far, notes=(f"{num_played} of {plan.num_games} games were played within {_minutes(seconds)}",)
        )
    scores, results = {}, {}
    for met in meetings_of(games_by_pair(outcome)):
        scores[met.second] = met.score
        results[met.second] = f"{met.score:.1%} ({met.wins} won, {met.draws} drawn, {met.losses} lost)"
    if len(scores) == len(opponents):
        so_far = replace(so_far, goal=min(scores.values()))
    pairs = {pair: found for pair, found in folder.scores(game).items() if not set(pair).isdisjoint(recorded[1:])}
    for pair in list(pairs)[: -RATED_VERSIONS * len(opponents)]:
        if recorded[0] not in pair:
            del pairs[pair]
    if not any(set(recorded[:2]) == set(pair) for pair in pairs):  # there was no time for it
        return replace(so_far, scores=scores, results=results), outcome
    rating = rate_pairs(game, pairs, anchor=recorded[1]).rating(recorded[0])
    elo = (rating.elo, rating.low, rating.high)
    return replace(so_far, scores=scores, results=results, elo=elo, anchor=opponents[0].name), outcome


def _beats(folder: TournamentFolder, config: Config, player: Entrant, champion: Entrant) -> bool:
    """Whether the test finds the player stronger than the champion within the games allowed."""
    from selfplay.stats.sprt import Sprt
    from selfplay.tournament.tournament import TournamentPlan, play_tournament

    recorded = folder.recognise([player, champion])
    plan = TournamentPlan((player.name, champion.name), "round-robin", config.evaluation.gate_games, recorded=recorded)
    outcome = play_tournament(folder, plan, processes=0, sprt=Sprt(elo0=0.0, elo1=config.evaluation.gate_elo))
    assert outcome.sprt is not None
    return outcome.sprt.verdict == "H1"


def evaluation_failure(error: BaseException, run_dir: Path) -> str:
    """What went wrong, in one line; the traceback goes into the run's folder, but for mistakes of a person."""
    import games

    if isinstance(error, UserError | games.GameError):
        return str(error)
    failure = describe(error)
    return f"{failure.line}{keep(failure, run_dir / FAILED_EVALUATION)}"


class EvaluationProcess:
    """The driver's side: one evaluation at a time."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        """The process starts with the first request."""
        self._config, self._run_dir = config, run_dir
        self._connection: Connection | None = None
        self._stacks: Stacks | None = None
        self._process: mp.process.BaseProcess | None = None
        self._asked = 0.0
        self.busy = False

    def request(self, version: int, games_each: int, champion: int | None = None) -> None:
        """Ask for `evaluate_checkpoint` of a saved version. Must not be busy."""
        if self._process is None or not self._process.is_alive():
            context = mp.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._stacks = Stacks(context)
            content = (theirs, self._stacks.child_end, self._config, self._run_dir)
            self._process = context.Process(target=_evaluator_main, args=content, name="evaluator", daemon=True)
            self._process.start()
            theirs.close()
            self._stacks.child_end.close()
        assert self._connection is not None
        self._connection.send((version, games_each, champion))
        self._asked, self.busy = time.monotonic(), True

    def result(self, timeout: float = 0.0) -> CheckpointResult | str | None:
        """A finished evaluation, or a line saying why it failed; None if there is none within `timeout` seconds."""
        if not self.busy or self._connection is None:
            return None
        if not self._connection.poll(timeout):
            return self._give_up() if time.monotonic() - self._asked > HUNG_SECONDS else None
        self.busy = False
        try:
            answer: CheckpointResult | str = self._connection.recv()
            return answer
        except (EOFError, OSError):
            self._process = None
            return "evaluation: its process ended; training goes on"

    def _give_up(self) -> str:
        """End a process that hangs; the next request starts another."""
        assert self._process is not None and self._stacks is not None
        where = self._stacks.save(self._process, self._run_dir / "hung_evaluator.txt")
        self.stop()
        return f"evaluation: no result within {HUNG_SECONDS:.0f} s{where}; its process was ended, training goes on"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._stacks is not None:
            self._stacks.close()
        self.busy = False


def _evaluator_main(connection: Connection, stacks: Connection, config: Config, run_dir: Path) -> None:
    become_child(stacks)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    from nets.inference import one_thread

    one_thread()
    while True:
        try:
            version, games_each, champion = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: CheckpointResult | str = evaluate_checkpoint(config, run_dir, version, games_each, champion)
        except BaseException as error:  # the run goes on without this evaluation
            answer = f"evaluation of version {version} failed: {evaluation_failure(error, run_dir)}"
        give_back_memory()
        try:
            connection.send(answer)
        except OSError:
            sys.exit(0)
