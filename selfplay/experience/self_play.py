"""AlphaZero's collector of games: many games at once, one search tree each, one network call for all of them.

In the flow: an actor (`selfplay.actors.actor`) calls `collect` again and again and sends on the games that it returns.
Games are independent of each other: each moves as soon as its own search is finished, so the network's batch stays
full.

Sources: Silver et al. 2018 (temperature, noise), Danihelka et al. 2022 (Gumbel), Wu 2019 (fast searches between full
ones; positions weighted by surprise and soft resignation are in KataGo's KataGoMethods.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from games import CHANCE, TERMINAL, Game, StatePool
from games.base import chance_rounds
from games.random_play import Choose, begin_games, draw, random_actions
from games.soundness import MOST_IN_A_ROW, UnsoundError, array_fault, is_finite
from search import ModelFactory, RootStatistics, Search, SearchConfig
from selfplay.config.run import ActorsConfig
from selfplay.experience.figures import SelfPlayCounts
from selfplay.experience.records import NO_ACTION, UNDECIDED, Ending, GameRecord, compact_observations, pad_columns
from selfplay.experience.targets import returns_of_game

VERDICTS, FEWEST_VERDICTS = 200, 50
"""Number of the last games by which verdicts are judged, and the least number of them."""


@dataclass
class Trajectory:
    """A game under way: one entry a move."""

    opening: list[int] = field(default_factory=list)  # moves and chance outcomes before the first entry
    observation: list[np.ndarray] = field(default_factory=list)
    legal_actions: list[np.ndarray] = field(default_factory=list)
    policy_target: list[np.ndarray] = field(default_factory=list)
    root_value: list[np.ndarray] = field(default_factory=list)  # [P] each
    action: list[int] = field(default_factory=list)
    to_play: list[int] = field(default_factory=list)
    version: list[int] = field(default_factory=list)
    reward: list[np.ndarray] = field(default_factory=list)  # [P] each
    chance: list[int] = field(default_factory=list)  # outcomes since the opening
    chance_count: list[int] = field(default_factory=list)  # how many of them followed the move
    is_chosen: list[bool] = field(default_factory=list)  # by lot, for a full search; a decided game has none
    surprise: list[float] = field(default_factory=list)  # divergence of the search's policy from the network's, nats
    sampled_actions: list[np.ndarray] = field(default_factory=list)  # what the numbers of actions stood for
    winning: np.ndarray | int = 0  # [P] moves in a row that a player has been winning
    winner: int | None = None  # the player who has as good as won
    decided_at: int = UNDECIDED  # number of moves before that verdict

    def __len__(self) -> int:
        return len(self.action)


class SelfPlay:
    """B games of self-play."""

    def __init__(
        self,
        game: Game,
        models: ModelFactory,
        search: SearchConfig,
        actors: ActorsConfig,
        rng: np.random.Generator,
        endless: bool = True,
        dropped_in_a_row: int = 0,
        num_games: int | None = None,
    ) -> None:
        """`endless`: a finished game is followed by a new one; otherwise B games are played and `done` becomes true.

        `dropped_in_a_row`: games that were dropped before, see `collect`. `num_games`: so many begin at once, B where
        it is None; others may follow (`begin`).
        """
        self.game, self.models, self.actors, self.rng = game, models, actors, rng
        self.discount, self.num_simulations = search.discount, search.num_simulations
        self.endless = endless
        self.max_plies = actors.max_plies or game.most_plies
        self.version = 0
        size = actors.games_per_actor
        self.dropped_in_a_row = dropped_in_a_row
        """Games dropped since the last that came to its end."""
        self.search = Search(models.make_model(), search, size, noise=True)
        self.search.collect_unsound()
        self.pool = game.new_pool(size)
        self.pool.unsound = {}
        self.trajectories = [Trajectory() for _ in range(size)]
        self.wrong_verdicts: deque[bool] = deque(maxlen=VERDICTS)
        """Of the last games that were decided, whether the verdict was wrong."""
        self.counts = SelfPlayCounts()
        self.choose_opening: Choose = random_actions
        if actors.opening_moves == "policy" and actors.opening_plies > 0:
            self.choose_opening = PolicyMoves(models, size)
        self.running = np.arange(0)
        self.begin(size if num_games is None else num_games)

    @property
    def done(self) -> bool:
        """True when no game is left to play."""
        return len(self.running) == 0

    def begin(self, count: int) -> None:
        """Begin `count` more games, of the B that there is room for."""
        free = np.setdiff1d(np.arange(len(self.trajectories)), self.running)[:count]
        if len(free):
            self.running = np.union1d(self.running, free)
            self._start_games(free)

    def collect(self) -> list[GameRecord]:
        """One simulation in every game, and a move where a search is finished; returns the games that ended.

        Games that say what no game may say are dropped. Raises UnsoundError after MOST_IN_A_ROW of them.
        """
        self.counts.simulations += self.search.simulate(self.running)
        if unsound := self.search.take_unsound():
            self._drop(unsound)
        finished = self.search.finished(self.running)
        return self._move(self.running[finished]) if finished.any() else []

    def weights_changed(self, version: int) -> None:
        """The network has new weights: what was evaluated with the old ones is forgotten."""
        self.version = version
        self.models.weights_changed()

    def progress_changed(self, progress: float) -> None:
        """See `algorithm.Collector.progress_changed`: all games are played alike."""

    def take_counts(self) -> SelfPlayCounts:
        """The counts so far, which start again at zero."""
        counts, self.counts = self.counts, SelfPlayCounts()
        counts.warnings += self.pool.take_warnings()
        evaluated = self.models.take_counts()
        counts.evaluations, counts.predictions = evaluated.evaluations, evaluated.predictions
        counts.network_calls, counts.network_seconds = evaluated.network_calls, evaluated.network_seconds
        counts.cache_seconds = evaluated.cache_seconds
        counts.batch_capacity = evaluated.network_calls * self.actors.games_per_actor
        return counts

    def close(self) -> None:
        """Free the positions: copies of an environment may hold memory and files."""
        self.pool.close()

    def _start_games(self, slots: np.ndarray) -> None:
        openings = begin_games(self.pool, slots, self.actors.opening_plies, self.rng, self.choose_opening)
        for slot, opening in zip(slots.tolist(), openings, strict=True):
            self.trajectories[slot] = Trajectory(opening)
        self.pool.to_play(slots)  # the first answer of a game that begins without chance
        sound, broken = self._take_broken(slots)
        if sound.any():
            self._begin_search(slots[sound])
        if broken:
            self._drop(broken)

    def _take_broken(self, slots: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
        """Which games of `slots` can go on, bool [n], and what the others said."""
        found, self.pool.unsound = self.pool.unsound or {}, {}
        return np.array([slot not in found for slot in slots.tolist()], np.bool_), found

    def _drop(self, found: Mapping[int, str]) -> None:
        """Give up the games of some slots, with a line each of what they said, and begin others where there is no end.

        What was played in them is not learned from: where the rules are wrong, a result says nothing.
        """
        lines = [f"{line} after {len(self.trajectories[slot])} moves" for slot, line in found.items()]
        self.counts.take_faults(tuple(lines))
        self.dropped_in_a_row += len(found)
        if self.dropped_in_a_row >= MOST_IN_A_ROW:
            raise UnsoundError(f"{lines[-1]}; {MOST_IN_A_ROW} games in a row were dropped for such a reason")
        slots = np.array(sorted(found))
        self.search.clear(slots)
        if self.endless:
            self._start_games(slots)
        else:
            self.running = np.setdiff1d(self.running, slots)

    def _begin_search(self, slots: np.ndarray) -> None:
        """Full searches with noise; fast ones without it, for some of the moves and the rest of decided games."""
        seeds = self.rng.integers(0, 2**64, size=len(slots), dtype=np.uint64)
        is_full = np.ones(len(slots), np.bool_)
        if self.actors.full_search_share < 1.0:
            is_full = self.rng.random(len(slots)) < self.actors.full_search_share
        for slot, chosen in zip(slots, is_full.tolist(), strict=True):
            self.trajectories[slot].is_chosen.append(chosen)
        if self.actors.resign_value > 0.0:  # what is left of a decided game counts little, but it counts
            is_full &= np.array([self.trajectories[slot].decided_at == UNDECIDED for slot in slots])
        budget = np.where(is_full, self.num_simulations, self.actors.fast_simulations)
        self.search.begin(slots, self.pool, slots, seeds, budget, noise=is_full)

    def _move(self, slots: np.ndarray) -> list[GameRecord]:
        """Play a move in each of `slots`, keep the position, and go on with the next search or the next game."""
        statistics = self.search.statistics(slots)
        actions = self._choose(slots, statistics)
        self._keep(slots, statistics, actions)
        to_play, rewards = self.pool.step(slots, actions, slots)
        to_play, rewards = to_play.copy(), rewards.copy()
        self.search.advance(slots, actions)
        self._play_chance(slots, to_play, rewards)
        for i, slot in enumerate(slots):
            self.trajectories[slot].reward.append(rewards[i])
        sound, broken = self._take_broken(slots)
        slots, to_play = slots[sound], to_play[sound]
        lengths = np.array([len(self.trajectories[slot]) for slot in slots])
        ended = to_play == TERMINAL
        is_cut_off = ~ended & ((lengths >= self.max_plies) | self.pool.cut_off(slots))
        if self.actors.max_plies == 0 and not self.game.has_own_limit:
            self.counts.cut_off += int(is_cut_off.sum())
        ended |= is_cut_off
        records = []
        for slot, is_terminal in zip(slots[ended].tolist(), to_play[ended] == TERMINAL, strict=True):
            record = self._finish(slot, is_terminal)
            if isinstance(record, str):
                broken[slot] = record
            else:
                records.append(record)
        if not ended.all():
            self._begin_search(slots[~ended])
        over = np.array([slot for slot in slots[ended].tolist() if slot not in broken], np.int64)
        if len(over):
            self.dropped_in_a_row = 0
            self.search.clear(over)
            if self.endless:
                self._start_games(over)
            else:
                self.running = np.setdiff1d(self.running, over)
        if broken:
            self._drop(broken)
        return records

    def _play_chance(self, slots: np.ndarray, to_play: np.ndarray, rewards: np.ndarray) -> None:
        """Draw chance outcomes until a player moves, and keep them; updates `to_play` [n] and adds to `rewards` [n, P]
        in place."""
        rows, events = np.nonzero(to_play == CHANCE)[0], chance_rounds(self.game)
        while rows.size:
            next(events)
            offsets, outcomes, probabilities = self.pool.chance(slots[rows])
            drawn = np.empty(len(rows), np.int64)
            for i in range(len(rows)):
                row = slice(offsets[i], offsets[i + 1])
                drawn[i] = outcomes[row][draw(probabilities[row], self.rng)]
            self.search.advance(slots[rows], drawn)
            next_to_play, paid = self.pool.step(slots[rows], drawn, slots[rows])
            to_play[rows] = next_to_play
            rewards[rows] += paid
            for slot, outcome in zip(slots[rows].tolist(), drawn.tolist(), strict=True):
                self.trajectories[slot].chance.append(outcome)
                self.trajectories[slot].chance_count[-1] += 1
            rows = np.nonzero(to_play == CHANCE)[0]

    def _choose(self, slots: np.ndarray, statistics: RootStatistics) -> np.ndarray:
        """Draw from the policy target at the temperature of the ply; at temperature 0 take its greatest entry.

        That leaves out Gumbel's noise, which the search needs and the game does not.
        """
        actions = np.empty(len(slots), np.int64)
        for i, slot in enumerate(slots):
            early = len(self.trajectories[slot]) < self.actors.temperature_plies
            temperature = self.actors.temperature if early else self.actors.final_temperature
            target = statistics.policy_target[i]
            column = draw(sharpened(target, temperature), self.rng) if temperature > 0.0 else int(target.argmax())
            actions[i] = statistics.actions[i, column]
        return actions

    def _keep(self, slots: np.ndarray, statistics: RootStatistics, actions: np.ndarray) -> None:
        """Append the positions in `slots` to their trajectories."""
        observations = np.empty((len(slots), *self.game.observation_shape), self.game.observation_dtype)
        self.pool.observe(slots, observations)
        target, prior = statistics.policy_target, statistics.prior
        with np.errstate(divide="ignore", invalid="ignore"):
            log_target = np.where(target > 0, np.log(target), 0.0)
            log_prior = np.where(target > 0, np.log(np.maximum(prior, 1e-30)), 0.0)
        surprise = (target * (log_target - log_prior)).sum(axis=1)
        self.counts.policy_kl += float(surprise.sum())
        self.counts.target_entropy -= float((target * log_target).sum())
        self.counts.positions += len(slots)
        legal = self.pool.legal(slots) if self.pool.may_leave_out else None
        sampled = self.pool.sampled_actions(slots)
        for i, slot in enumerate(slots):
            trajectory = self.trajectories[slot]
            is_edge = statistics.actions[i] != NO_ACTION
            actions_there, policy = statistics.actions[i, is_edge], target[i, is_edge]
            if legal is not None:
                actions_there, policy = with_left_out(legal[1][legal[0][i] : legal[0][i + 1]], actions_there, policy)
            trajectory.observation.append(observations[i])
            trajectory.legal_actions.append(actions_there.astype(np.int32))
            trajectory.policy_target.append(policy.astype(np.float32))
            trajectory.root_value.append(statistics.root_value[i])
            trajectory.action.append(int(actions[i]))
            trajectory.to_play.append(int(statistics.to_play[i]))
            trajectory.version.append(self.version)
            trajectory.surprise.append(float(surprise[i]))
            trajectory.sampled_actions.append(sampled[i])
            trajectory.chance_count.append(0)
            if self.actors.resign_value > 0.0:
                self._judge(trajectory)

    @property
    def verdicts_hold(self) -> bool:
        """Whether a game that is decided now is worth little: verdicts are not wrong too often."""
        if self.actors.resign_wrong_share >= 1.0:
            return True
        wrong = self.wrong_verdicts
        return len(wrong) >= FEWEST_VERDICTS and sum(wrong) <= self.actors.resign_wrong_share * len(wrong)

    def _judge(self, trajectory: Trajectory) -> None:
        """Name a winner once a player has been winning for `resign_plies` moves, whoever made them.

        The game is decided then, unless verdicts have been wrong too often.
        """
        is_winning = trajectory.root_value[-1] >= self.actors.resign_value
        trajectory.winning = winning = np.where(is_winning, trajectory.winning + 1, 0)
        if trajectory.winner is None and winning.max() >= self.actors.resign_plies:
            trajectory.winner = int(winning.argmax())
            if self.verdicts_hold:
                trajectory.decided_at = len(trajectory)

    def _finish(self, slot: int, is_terminal: bool) -> GameRecord | str:
        """The record of the game in a slot; or what is wrong with the game, in one line."""
        trajectory, name = self.trajectories[slot], self.game.name
        ending, judge_reward = (Ending.OVER if is_terminal else Ending.CUT_OFF), np.zeros(self.game.num_players)
        if not is_terminal:
            judged = self.game.judge(self.pool, np.array([slot]))
            if judged is not None:
                if fault := array_fault("judge()", judged, (1, self.game.num_players)):
                    return f"{name}: {fault}"
                ending, judge_reward = Ending.JUDGED, judged[0].astype(np.float64)
        rewards, root_values = np.array(trajectory.reward), np.array(trajectory.root_value)
        if not is_finite(np.abs(rewards).sum(axis=0) + np.abs(judge_reward) + np.abs(root_values).max(axis=0)):
            return f"{name}: its rewards add up to more than can be stored"  # in any target that may be made of them
        observation, to_play, legal_actions = self._final_position(slot, is_terminal)
        labels, score = self._final_labels(slot, ending)
        if fault := (self.pool.unsound or {}).pop(slot, ""):
            return fault
        self._count_game(trajectory, rewards, judge_reward, ending)
        observations = compact_observations(np.concatenate([np.array(trajectory.observation), observation]))
        length, width = len(trajectory), max(len(row) for row in trajectory.legal_actions)
        return GameRecord(
            observation=observations[:length],
            legal_actions=pad_columns(trajectory.legal_actions, width, NO_ACTION),
            policy_target=pad_columns(trajectory.policy_target, width, 0.0),
            action=np.array(trajectory.action, np.int32),
            to_play=np.array(trajectory.to_play, np.int32),
            version=np.array(trajectory.version, np.int32),
            reward=rewards,
            root_value=root_values,
            surprise=np.array(trajectory.surprise),
            is_chosen=np.array(trajectory.is_chosen),
            learn=np.ones(length, np.bool_),
            decided_at=trajectory.decided_at,
            ending=ending,
            judge_reward=judge_reward,
            opening=np.array(trajectory.opening, np.int32),
            chance=np.array(trajectory.chance, np.int32),
            chance_count=np.array(trajectory.chance_count, np.int32),
            final_observation=observations[length:],
            final_to_play=to_play,
            final_legal_actions=legal_actions,
            final_labels=labels,
            final_score=score,
            sampled_actions=np.array(trajectory.sampled_actions, np.float32),
        )

    def _final_position(self, slot: int, is_terminal: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Observation [F, *observation], player to move [F] and legal actions [M] of a game that is not over; all empty
        for one that is."""
        if is_terminal:
            shape = (0, *self.game.observation_shape)
            return np.empty(shape, self.game.observation_dtype), np.empty(0, np.int32), np.empty(0, np.int32)
        slots = np.array([slot])
        observation = np.empty((1, *self.game.observation_shape), self.game.observation_dtype)
        self.pool.observe(slots, observation)
        legal_actions = self.pool.legal(slots)[1].astype(np.int32)
        return observation, self.pool.to_play(slots).astype(np.int32), legal_actions

    def _final_labels(self, slot: int, ending: Ending) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the cells int8 [H, W] and the score [1] of a finished game; without rows where there are none."""
        slots, has_end = np.array([slot]), ending != Ending.CUT_OFF
        height, width = self.game.final_label_shape or (0, 0)
        labels, score = np.zeros((height if has_end else 0, width), np.int8), np.zeros(0)
        if labels.size:
            self.pool.final_labels(slots, labels[None])
        if has_end and self.game.largest_score > 0:
            score = self.pool.final_scores(slots).astype(np.float64)
        return labels, score

    def _count_game(
        self, trajectory: Trajectory, rewards: np.ndarray, judge_reward: np.ndarray, ending: Ending
    ) -> None:
        """Count a finished game, and whether a verdict on it was right."""
        counts, total = self.counts, rewards.sum(axis=0) + judge_reward
        counts.games += 1
        counts.game_plies += len(trajectory)
        counts.return_first += float(total[0])
        counts.first_player_wins += int(total[0] > 0)
        counts.draws += int(total[0] == 0)
        if trajectory.winner is not None:
            counts.decided += 1
            result = total  # undiscounted, where the game has one
            if ending == Ending.CUT_OFF:
                result = returns_of_game(rewards, np.array(trajectory.root_value), self.discount, 0, False)[0]
            is_wrong = bool(result[trajectory.winner] < self.actors.resign_value)
            counts.decided_wrongly += is_wrong
            self.wrong_verdicts.append(is_wrong)


class PolicyMoves:
    """Draws moves from the network's policy, without search: see `games.random_play.Choose`."""

    def __init__(self, models: ModelFactory, most: int) -> None:
        """`most`: positions at once."""
        self._model = models.make_model()
        self._model.allocate(most)

    def __call__(self, pool: StatePool, slots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        places = np.arange(len(slots))
        self._model.load(places, pool, slots)
        offsets, actions, logits, _ = self._model.evaluate(places)
        chosen = np.empty(len(slots), np.int64)
        for i in range(len(slots)):
            row = slice(offsets[i], offsets[i + 1])
            chosen[i] = actions[row][draw(np.exp(logits[row] - logits[row].max()), rng)]
        return chosen


def with_left_out(legal: np.ndarray, searched: np.ndarray, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `legal` actions [L] and the policy over them, from that over those that the search looked at; both ascend.

    Actions that it left out get 0: then a network learns not to play them. Left out of the legal ones, they would keep
    whatever probability they have. A game that names other legal actions than before keeps those of the search.
    """
    if len(legal) <= len(searched) or not np.isin(searched, legal, assume_unique=True).all():
        return searched, policy
    full = np.zeros(len(legal), policy.dtype)
    full[np.searchsorted(legal, searched)] = policy
    return legal, full


def sharpened(policy: np.ndarray, temperature: float) -> np.ndarray:
    """Weights [L] in proportion to `policy ** (1 / temperature)`; never all zero, however low the temperature."""
    return (policy / policy.max()) ** (1.0 / temperature)
