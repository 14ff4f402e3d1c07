"""AlphaZero with a curriculum: one network for several games, which differ in the size of their board.

Every game has an `AlphaZero` of its own, which makes what it makes for a run of that game alone: self-play, models,
the replay, the loss. Here they are put behind the interface of one algorithm: the network is one for all, games begin
by the stages of the curriculum, and a batch is of one game. A run without a curriculum never comes here.

Source: Wu 2019, "Accelerating Self-Play Learning in Go", section 2: one network for boards of 9x9 to 19x19. There, all
sizes are played from the first game on, and every batch has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

import games
from games import Game, GameError
from nets.inference import NO_WEIGHTS
from nets.models import MIN_BOARD, PolicyValueNet, has_plane_heads
from search.evaluators import Predict
from search.perspective import num_values
from selfplay.algorithms.algorithm import PLAYER
from selfplay.algorithms.alphazero import AlphaZero, make_loss
from selfplay.algorithms.learner import Learner, Loss, LossFunction
from selfplay.algorithms.networks import board_of, make_net
from selfplay.config.curriculum import describe, read_stages, stage_at
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.experience.curriculum_play import CurriculumPlay
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.record_faults import game_of
from selfplay.experience.records import GameRecord
from selfplay.experience.self_play import SelfPlay
from selfplay.replay.curriculum import CurriculumReplay
from selfplay.replay.positions import Batch
from selfplay.stats.averages import Averages
from selfplay.system.preflight import Needs


class CurriculumAlphaZero:
    """See `selfplay.algorithms.algorithm.Algorithm`."""

    keeps_games = True
    warm_up_note = AlphaZero.warm_up_note

    def __init__(self, config: Config) -> None:
        """Raises UserError for games that one network cannot play, GameError for a `game` that cannot be loaded."""
        self.config, self.stages = config, read_stages(config.curriculum)
        first = AlphaZero(replace(config, curriculum=()))
        stage_games = [_load(stage.game) for stage in self.stages]
        by_name = {first.game.name: first.game} | {game.name: game for game in stage_games}
        check_games(config, list(by_name.values()))
        _, *others = by_name
        self.parts = (first, *(AlphaZero(replace(config, game=name, curriculum=())) for name in others))
        """What each game makes for itself, that of `game` first."""
        self.games = tuple(part.game for part in self.parts)
        self._numbers = [list(by_name).index(game.name) for game in stage_games]  # of the games of the stages
        self.title, self.limit_note = first.title, first.limit_note
        self.notes = (*first.notes, describe(self.stages, config.game))

    @property
    def needs(self) -> Needs:
        """Those of the game that needs the most memory; everything else is the same for all."""
        return max((part.needs for part in self.parts), key=lambda needs: sum(need.bytes for need in needs.memory))

    def shares(self, progress: float) -> Float64[np.ndarray, " G"]:
        """The share of each game among those that begin, where so much of the budget is spent, in [0, 1]."""
        shares = np.zeros(len(self.games))
        stage = stage_at(self.stages, progress)
        if stage is not None:
            shares[self._numbers[self.stages.index(stage)]] = stage.share
        shares[0] += 1.0 - shares.sum()
        return shares

    def make_net(self) -> PolicyValueNet:
        """See `Algorithm.make_net`; it evaluates batches of any of the games."""
        return make_net(self.config, *self.games)

    def make_learner(self) -> Learner:
        """See `Algorithm.make_learner`."""
        return Learner(self.make_net(), self.config.learner, loss_by_game(self.config, self.games))

    def make_replay(self) -> CurriculumReplay:
        """See `Algorithm.make_replay`."""
        return CurriculumReplay(self.config.replay, self.games, [part.make_replay() for part in self.parts])

    def make_inference(self) -> CurriculumInference:
        """See `Algorithm.make_inference`."""
        return CurriculumInference(self.parts)

    def make_collector(
        self,
        inferences: Mapping[str, CurriculumInference],
        rng: np.random.Generator,
        positions_played: int,
        actor_index: int,
    ) -> CurriculumPlay:
        """See `Algorithm.make_collector`."""
        return self._play(inferences[PLAYER], rng, endless=True)

    def next_round(
        self,
        last: CurriculumPlay | None,
        inferences: Mapping[str, CurriculumInference],
        rng: np.random.Generator,
        positions_played: int,
    ) -> CurriculumPlay:
        """See `Algorithm.next_round`."""
        return self._play(inferences[PLAYER], rng, endless=False, dropped=last.dropped_in_a_row if last else ())

    def _play(
        self, inference: CurriculumInference, rng: np.random.Generator, endless: bool, dropped: Sequence[int] = ()
    ) -> CurriculumPlay:
        def make(number: int, own_rng: np.random.Generator, dropped_in_a_row: int) -> SelfPlay:
            own: Any = GameInference(partial(inference.predict, number))  # of an `Inference`, what plays asks no more
            return self.parts[number].play({PLAYER: own}, own_rng, False, dropped_in_a_row, num_games=0)

        rngs = rng.spawn(len(self.parts))
        makers = [partial(make, number, own_rng) for number, own_rng in enumerate(rngs)]
        return CurriculumPlay(makers, self.shares, self.config.actors.games_per_actor, rng, endless, dropped)

    def warm_up(self) -> None:
        """See `Algorithm.warm_up`."""
        for part in self.parts:
            part.warm_up()

    def finish(self, learner: Learner) -> list[tuple[str, str]]:
        """See `Algorithm.finish`."""
        return self.parts[0].finish(learner)

    def describe_record(self, averages: Averages, record: GameRecord, version: int) -> None:
        """See `Algorithm.describe_record`."""
        self.parts[0].describe_record(averages, record, version)

    def metrics(self, counts: SelfPlayCounts, records: Sequence[GameRecord]) -> dict[str, float]:
        """See `Algorithm.metrics`: what is counted is of all games together, what is read from records of the game with
        most positions in them; and the share of each game in the positions."""
        by_game: list[list[GameRecord]] = [[] for _ in self.games]
        for record in records:
            by_game[self.games.index(game_of(record.observation, self.games))].append(record)
        positions = [sum(map(len, own)) for own in by_game]
        most, total = int(np.argmax(positions)), sum(positions)
        values = self.parts[most].metrics(counts, by_game[most])
        for game, count in zip(self.games, positions, strict=True):
            if total:
                values[f"selfplay/share/{game.name}"] = count / total
        return values


@dataclass(frozen=True)
class GameInference:
    """What the models of one game ask of an `Inference`."""

    predict: Predict


class CurriculumInference:
    """The network for evaluation only, with an `Inference` for each game that is played: they are prepared for one size
    of batches, and their bytes have scales from positions of one game.

    Each is made, and gets new weights, when a position of its game is evaluated. So games whose stage is over, or has
    not come, cost nothing.
    """

    def __init__(self, parts: Sequence[AlphaZero]) -> None:
        self.version = NO_WEIGHTS
        """See `Inference.version`."""
        self._parts = parts
        self._made = {0: parts[0].make_inference()}
        self._weights: Mapping[str, Tensor] = {}

    def load(self, state_dict: Mapping[str, Tensor], version: int) -> None:
        """Take in weights, which must not change afterwards; `predict` raises what `Inference.load` says of them."""
        self._weights, self.version = state_dict, version

    def predict(self, number: int, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`Inference.predict` of the game with this number."""
        inference = self._made.get(number)
        if inference is None:
            inference = self._made[number] = self._parts[number].make_inference()
        if inference.version != self.version:
            inference.load(self._weights, self.version)
        return inference.predict(observations)

    def describe(self) -> dict[str, str | int | float]:
        """`Inference.describe` of the game that the run is for."""
        return self._made[0].describe()


def loss_by_game(config: Config, games: Sequence[Game]) -> LossFunction:
    """The loss of AlphaZero, with what it takes from a game from that of the batch."""
    losses = [make_loss(config, game) for game in games]

    def loss(net: nn.Module, batch: Batch, device: torch.device) -> Loss:
        return losses[games.index(game_of(batch.observation, games))](net, batch, device)

    return loss


def check_games(config: Config, games: Sequence[Game]) -> None:
    """Raises UserError, one line, unless one network with heads of planes can play all games, the first of which is the
    one that the run is for, and they can be told apart."""
    own, *others = games
    for game in games:
        rows, columns = game.observation_shape[1:] if len(game.observation_shape) == 3 else (MIN_BOARD, MIN_BOARD)
        if min(rows, columns) < MIN_BOARD:
            raise UserError(
                f"curriculum: {game.name} has a board of {rows}x{columns}; one network for several sizes needs boards "
                f"of at least {MIN_BOARD}x{MIN_BOARD}"
            )
        if not has_plane_heads(config.net, game.observation_shape, board_of(game)):
            raise UserError(
                f"curriculum: {game.name} needs weights that fit every size of board: a resnet with net.heads planes, "
                "and rules that say where each action is"
            )
    for other in others:
        for what, mine, its in zip(FACTS, _facts(own), _facts(other), strict=True):
            if mine != its:
                raise UserError(
                    f"curriculum: {other.name} has {its} {what}, {own.name} has {mine}; one network needs as many"
                )
        if own.has_rewards != other.has_rewards:
            raise UserError(f"curriculum: only one of {other.name} and {own.name} pays rewards on the way")
        if not _same_scaling(own, other):
            raise UserError(f"curriculum: {other.name} and {own.name} scale their planes differently")
    shapes = [game.observation_shape for game in games]
    for number, game in enumerate(games):
        if game.observation_shape in shapes[:number]:
            twin = games[shapes.index(game.observation_shape)]
            raise UserError(
                f"curriculum: {twin.name} and {game.name} have observations of the same shape, by which games are told "
                "apart; use other sizes"
            )


FACTS = (
    "planes of the observation",
    "planes of actions",
    "actions that are nowhere on the board",
    "numbers of a value",
    "players",
)
"""What games that share a network must have the same number of."""


def _facts(game: Game) -> tuple[int, ...]:
    board = board_of(game)
    assert board is not None, "checked before"
    return game.observation_shape[0], board.num_planes, board.num_elsewhere, num_values(game), game.num_players


def _same_scaling(one: Game, other: Game) -> bool:
    if one.plane_scaling is None or other.plane_scaling is None:
        return one.plane_scaling is other.plane_scaling
    return all(map(np.array_equal, one.plane_scaling, other.plane_scaling))


def _load(text: str) -> Game:
    """The game of a stage. Raises UserError."""
    try:
        return games.load(text)
    except GameError as error:
        raise UserError(f"curriculum: {error}") from None
