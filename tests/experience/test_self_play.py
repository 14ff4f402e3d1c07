"""The laws of the games that self-play records."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from record_helpers import facts
from search_helpers import noisy_predict, positions

import games
from games import CHANCE, TERMINAL, Game
from search import RootStatistics, SearchConfig
from search.perspective import num_values
from selfplay.algorithms.models import network_models
from selfplay.config.run import ActorsConfig
from selfplay.experience.figures import endings_metrics
from selfplay.experience.records import NO_ACTION, UNDECIDED, GameRecord, SearchedMoves, TargetRecord
from selfplay.experience.self_play import SelfPlay, Trajectory, sharpened
from selfplay.experience.targets import TargetSettings, sampling_weights, seen_by_movers, targets_of
from selfplay.players.search import SearchPlayer

GAMES = {
    "tic_tac_toe": {},
    "connect_four": {},
    "connect_four(rows=4,columns=5)": {"temperature_plies": 3},
    "pig(winscore=15)": {"max_plies": 40},
    "2048": {"max_plies": 12},
    "chinese_checkers(players=3)": {"max_plies": 9},
    "mancala": {"max_plies": 30},
}
PUCT = SearchConfig(num_simulations=8, cache_megabytes=1)


def self_play(game: Game, search: SearchConfig = PUCT, endless: bool = False, **actors) -> SelfPlay:
    settings = ActorsConfig(**({"games_per_actor": 6} | actors))
    models = network_models(game, noisy_predict(game), search.cache_megabytes)
    collector = SelfPlay(game, models, search, settings, np.random.default_rng(0), endless)
    collector.version = 17
    return collector


def play_all(collector: SelfPlay) -> list[GameRecord]:
    records = []
    while not collector.done:
        records += collector.collect()
    return records


def test_passes_and_ends_are_counted_where_the_game_has_them() -> None:
    game = games.load("othello")
    assert game.pass_action == 64

    def record(actions: list[int], score: float) -> GameRecord:
        return facts(len(actions), action=np.array(actions, np.int32), final_score=np.array([score]))

    records = [record([64, 1, 2, 3, 64, 64], 4.0), record([0, 1, 2, 64, 4, 5], -2.0), record([1], 1.0)]
    found = endings_metrics(records, game)
    assert found == {
        "selfplay/passes_first_third": pytest.approx(1 / 5),
        "selfplay/passes_second_third": pytest.approx(1 / 4),
        "selfplay/passes_last_third": pytest.approx(2 / 4),
        "selfplay/ended_by_passes": pytest.approx(1 / 3),
        "selfplay/ended_by_length": 0.0,
        "selfplay/score": pytest.approx(1.0),
        "selfplay/score_deviation": pytest.approx(np.std([4, -2, 1])),
    }
    long = record([0] * (game.max_game_length - 1), 0.0)
    assert endings_metrics([long], game)["selfplay/ended_by_length"] == 0.0
    opened = replace(long, opening=np.zeros(1, np.int32))
    assert endings_metrics([opened], game)["selfplay/ended_by_length"] == 1.0
    assert set(endings_metrics(records, games.load("connect_four"))) == {"selfplay/score", "selfplay/score_deviation"}
    assert endings_metrics([], game) == {}


def learned(record: GameRecord, game: Game, **settings) -> TargetRecord:
    """The same game with its targets and weights, as the network sees them."""
    made = TargetSettings(num_values(game), **settings)
    targets = targets_of(record, made)
    moves = {name: getattr(record, name) for name in (field.name for field in fields(SearchedMoves))}
    root_value = seen_by_movers(record, record.root_value, made.num_values)
    return TargetRecord(
        **moves, value_target=targets.value, outcome=targets.outcome, root_value=root_value, weight=targets.weight
    )


def learn_all(collector: SelfPlay, **settings) -> list[TargetRecord]:
    """`learned` of all games that a collector plays."""
    resign_weight = collector.actors.resign_weight
    given = {"discount": collector.discount, "resign_weight": resign_weight} | settings
    return [learned(record, collector.game, **given) for record in play_all(collector)]


def replayed(game: Game, record: GameRecord):
    """Play the moves of a record in a game without chance: yields the pool before each move."""
    pool, at = game.new_pool(1), np.zeros(1, np.int64)
    pool.reset(at)
    for action in record.action:
        yield pool, at
        pool.step(at, np.array([action], np.int64), at)


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
@pytest.mark.parametrize("name", GAMES)
def test_records_keep_their_laws(name: str, rule: str) -> None:
    game = games.load(name)
    search = SearchConfig(rule=rule, num_simulations=8, cache_megabytes=1)
    records = play_all(self_play(game, search, **GAMES[name]))
    assert len(records) == 6
    for record in records:
        length = len(record)
        assert 1 <= length <= (GAMES[name].get("max_plies") or game.max_game_length)
        assert record.observation.shape == (length, *game.observation_shape)
        legal = record.legal_actions != NO_ACTION
        assert legal.any(axis=1).all()
        assert all((np.diff(row[used]) > 0).all() for row, used in zip(record.legal_actions, legal))
        np.testing.assert_allclose(record.policy_target.sum(axis=1), 1.0, rtol=1e-5)
        assert (record.policy_target >= 0).all() and (record.policy_target[~legal] == 0).all()
        assert (record.legal_actions == record.action[:, None]).any(axis=1).all()
        assert (record.version == 17).all()
        seen = learned(record, game)
        for values in (seen.value_target, seen.outcome, seen.root_value):
            assert values.shape == (length, num_values(game)) and values.dtype == np.float32
            assert np.isfinite(values).all()
            if not game.has_rewards:
                assert (np.abs(values) <= 1 + 1e-6).all()
        # The seats of the observation say who was to move.
        seats = record.observation.reshape(length, -1)[:, -game.num_players * seat_size(game) :]
        seen = seats.reshape(length, game.num_players, -1)[:, :, 0].argmax(axis=1)
        np.testing.assert_array_equal(seen, record.to_play)


def seat_size(game: Game) -> int:
    return int(np.prod(game.observation_shape[1:]))


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "connect_four(rows=4,columns=5)", "mancala"])
def test_the_moves_reproduce_positions_movers_and_result(name: str) -> None:
    game = games.load(name)
    for record in learn_all(self_play(game)):
        observation = np.zeros((1, *game.observation_shape), np.float32)
        for t, (pool, at) in enumerate(replayed(game, record)):
            pool.observe(at, observation)
            np.testing.assert_array_equal(observation[0], record.observation[t])
            assert pool.to_play(at)[0] == record.to_play[t]
            legal = record.legal_actions[t]
            assert pool.legal(at)[1].tolist() == legal[legal != NO_ACTION].tolist()
        assert pool.to_play(at)[0] == TERMINAL
        pool.reset(at)
        for action in record.action:
            _, rewards = pool.step(at, np.array([action], np.int64), at)
        np.testing.assert_allclose(record.outcome[:, 0], rewards[0, record.to_play])
        np.testing.assert_array_equal(record.value_target, record.outcome)


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "pig(winscore=15)"])
def test_games_begin_with_as_many_random_moves_as_the_opening_says(name: str) -> None:
    """Connect Four's discs and tic-tac-toe's marks tell how many moves were made before the first one kept."""
    game = games.load(name)
    records = play_all(self_play(game, games_per_actor=60, opening_plies=4, max_plies=30))
    assert len(records) == 60
    if name != "pig(winscore=15)":
        board = int(np.prod(game.observation_shape[1:]))
        empty = 2 if name == "connect_four" else 0  # the plane of empty cells
        made = [board - int(record.observation[0, empty].sum()) for record in records]
        assert set(made) == {0, 1, 2, 3, 4}
        assert all(ply % 2 == record.to_play[0] for ply, record in zip(made, records))
    assert len({record.observation[0].tobytes() for record in records}) > 10


def test_openings_may_be_drawn_from_the_policy() -> None:
    """A network that wants the fourth column three times as often as any other, and no other at all on the left."""
    game, logits = games.load("connect_four"), np.array([-50, -50, -50, np.log(3), 0, 0, 0], np.float32)

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(logits, (len(observations), 1)), np.zeros((len(observations), 1), np.float32)

    settings = ActorsConfig(games_per_actor=400, opening_plies=2, opening_moves="policy")
    playing = SelfPlay(game, network_models(game, predict, 1), PUCT, settings, np.random.default_rng(0), endless=False)
    openings = [trajectory.opening for trajectory in playing.trajectories]
    assert {len(opening) for opening in openings} == {0, 1, 2}
    moves = Counter(move for opening in openings for move in opening)
    assert set(moves) == {3, 4, 5, 6}
    assert moves[3] / moves.total() == pytest.approx(0.5, abs=0.1)


def test_the_policy_is_asked_about_no_opening_where_all_games_have_ended() -> None:
    game = games.load("tic_tac_toe")
    settings = ActorsConfig(games_per_actor=1, opening_plies=60, opening_moves="policy")
    for seed in range(10):  # one game, which ends long before its opening would
        models = network_models(game, noisy_predict(game), 1)
        playing = SelfPlay(game, models, PUCT, settings, np.random.default_rng(seed), endless=False)
        assert len(playing.trajectories[0].opening) < 9


def test_an_opening_that_ends_the_game_is_taken_back() -> None:
    records = play_all(self_play(games.load("tic_tac_toe"), games_per_actor=200, opening_plies=9))
    assert len(records) == 200 and all(len(record) >= 1 for record in records)


def test_outcome_with_chance_is_the_same_for_a_player_throughout() -> None:
    for record in learn_all(self_play(games.load("pig(winscore=15)"))):
        winner = record.to_play[record.outcome[:, 0] > 0]
        loser = record.to_play[record.outcome[:, 0] < 0]
        assert len(record) == len(winner) + len(loser)
        assert not set(winner) & set(loser)


def test_outcome_with_rewards_is_discounted_by_the_move() -> None:
    game = games.load("2048")
    records = learn_all(self_play(game, SearchConfig(num_simulations=4, discount=0.9), max_plies=15))
    paid = 0
    for record in records:
        rewards = record.outcome[:-1, 0] - 0.9 * record.outcome[1:, 0]
        np.testing.assert_allclose(rewards / 4, np.round(rewards / 4), atol=1e-4)  # 2048 pays multiples of 4
        assert (rewards > -1e-3).all()
        paid += rewards.sum() > 0
        assert record.outcome[-1] == record.root_value[-1], "cut off: the last position is worth what was expected"
    assert paid == len(records)


def test_cut_off_games_are_worth_what_the_last_search_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    game = games.load("chinese_checkers(players=3)")
    monkeypatch.setattr(game, "judge", lambda pool, slots: None)
    for record in learn_all(self_play(game, max_plies=7)):
        assert len(record) == 7
        last = np.empty(3)
        last[(record.to_play[-1] + np.arange(3)) % 3] = record.root_value[-1]
        for t in range(7):
            np.testing.assert_allclose(record.outcome[t], last[(record.to_play[t] + np.arange(3)) % 3], rtol=1e-6)


def test_cut_off_games_are_worth_what_the_judge_says() -> None:
    game = games.load("chinese_checkers(players=3)")
    for record in learn_all(self_play(game, max_plies=20)):
        pool, at = list(replayed(game, record))[-1]
        judged = game.judge(pool, at)[0]
        assert np.ptp(judged) > 0
        for t in range(20):
            np.testing.assert_allclose(record.outcome[t], np.roll(judged, -record.to_play[t]), rtol=1e-6)
            np.testing.assert_array_equal(record.value_target[t], record.outcome[t])


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_value_target_is_a_mixture(share: float) -> None:
    for record in learn_all(self_play(games.load("tic_tac_toe")), root_value_share=share):
        expected = (1 - share) * record.outcome + share * record.root_value
        np.testing.assert_allclose(record.value_target, expected, atol=1e-6)


def test_n_step_targets_end_in_the_root_value() -> None:
    for record in learn_all(self_play(games.load("tic_tac_toe")), td_steps=1):
        # Nothing is paid before the end: a position is worth what the search expected at the next, seen by the other.
        np.testing.assert_allclose(record.value_target[:-1], -record.root_value[1:], atol=1e-6)
        np.testing.assert_array_equal(record.value_target[-1], record.outcome[-1])


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_policy_target_is_the_one_before_temperature(rule: str, temperature: float) -> None:
    game = games.load("connect_four(rows=4,columns=5)")
    search = SearchConfig(rule=rule, num_simulations=20, c_visit=5.0)
    collector = self_play(game, search, temperature=temperature, games_per_actor=4)
    seen: Counter[tuple[float, ...]] = Counter()
    statistics = collector.search.statistics

    def recording(trees: np.ndarray) -> RootStatistics:
        found = statistics(trees)
        for i in range(len(trees)):
            if rule == "puct":
                expected = found.visit_counts[i] / found.visit_counts[i].sum()
                np.testing.assert_allclose(found.policy_target[i], expected)
            legal = found.actions[i] >= 0
            seen[tuple(found.policy_target[i, legal].astype(np.float32))] += 1
        return found

    collector.search.statistics = recording
    kept: Counter[tuple[float, ...]] = Counter()
    for record in play_all(collector):
        for target, legal in zip(record.policy_target, record.legal_actions != NO_ACTION):
            kept[tuple(target[legal])] += 1
    assert kept == seen
    assert any(0 < max(target) < 1 for target in seen), "a target without doubt is the same at every temperature"


def test_temperature_falls_after_its_plies() -> None:
    game = games.load("connect_four")
    search = SearchConfig(num_simulations=20)
    greedy = np.zeros((2, 2), int)  # before or after the change; most visited or not
    for record in play_all(self_play(game, search, temperature_plies=6, games_per_actor=16)):
        played = record.policy_target[record.legal_actions == record.action[:, None]]
        best = played == record.policy_target.max(axis=1)
        for late in (0, 1):
            part = best[6:] if late else best[:6]
            greedy[late] += part.sum(), (~part).sum()
    assert greedy[0, 1] > 10, "the first moves are drawn"
    assert greedy[1, 0] > 50 and greedy[1, 1] == 0, "the others are the best"


def test_a_low_temperature_does_not_round_every_move_to_nothing() -> None:
    """Shares of a half to the power of 10 000 are zero, and the move drawn was no legal one."""
    policy = np.array([0.5, 0.4, 0.1, 0.0])
    np.testing.assert_allclose(sharpened(policy, 1.0), policy / 0.5)
    np.testing.assert_allclose(sharpened(policy, 0.5), (policy / 0.5) ** 2)
    assert sharpened(policy, 1e-4).tolist() == [1.0, 0.0, 0.0, 0.0]
    game = games.load("connect_four")
    for record in play_all(self_play(game, SearchConfig(num_simulations=30), temperature=1e-4)):
        assert (record.legal_actions == record.action[:, None]).any(axis=1).all()
    models = network_models(game, noisy_predict(game), 0)
    player = SearchPlayer("cold", models, SearchConfig(num_simulations=30), 0, temperature=1e-4)
    pool = game.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    assert 0 <= player.choose(pool, np.zeros(1, np.int64), [[]])[0] < 7


def test_weights_that_change_in_a_game_show_in_its_versions() -> None:
    collector = self_play(games.load("connect_four"), games_per_actor=2)
    records = []
    while not collector.done:
        records += collector.collect()
        collector.version += 1
    for record in records:
        assert (np.diff(record.version) == 9).all(), "a move takes the root's evaluation and eight simulations"


@pytest.mark.parametrize("name", ["tic_tac_toe", "pig(winscore=15)"])
def test_counts_agree_with_the_records(name: str) -> None:
    game = games.load(name)
    collector = self_play(game, games_per_actor=10)
    records = learn_all(collector)
    counts = collector.take_counts()
    plies = sum(map(len, records))
    assert (counts.games, counts.game_plies, counts.positions) == (10, plies, plies)
    first = [record.outcome[0, 0] * (1 if record.to_play[0] == 0 else -1) for record in records]
    assert counts.first_player_wins == sum(value > 0 for value in first)
    assert counts.draws == sum(value == 0 for value in first)
    assert counts.return_first == pytest.approx(sum(first))
    # Each move costs its simulations and the evaluation of its root; ends of games need no evaluation.
    assert counts.simulations == plies * PUCT.num_simulations
    assert 0 < counts.predictions <= counts.evaluations <= counts.simulations + plies
    assert counts.batch_capacity == counts.network_calls * 10
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for record in records for p in record.policy_target]
    assert counts.target_entropy == pytest.approx(sum(entropies), rel=1e-4)
    assert counts.policy_kl > 0
    again = collector.take_counts()
    assert (again.games, again.simulations, again.evaluations, again.network_calls) == (0, 0, 0, 0)


# Fast searches, surprise and decided games.


def test_moves_are_searched_in_full_or_fast_by_their_share() -> None:
    collector = self_play(games.load("tic_tac_toe"), games_per_actor=60, full_search_share=0.3, fast_simulations=3)
    records = learn_all(collector)
    weights = np.concatenate([record.weight for record in records])
    assert set(weights) == {0.0, 1.0}
    full = int(weights.sum())
    # 0.3 of some 450 moves, six standard deviations
    assert abs(full - 0.3 * len(weights)) < 6 * np.sqrt(0.21 * len(weights))
    assert collector.take_counts().simulations == 8 * full + 3 * (len(weights) - full)


def test_fast_searches_have_no_noise() -> None:
    """Without noise and temperature all games are the same; with noise in full searches they are not."""
    game = games.load("connect_four")
    greedy = {"games_per_actor": 12, "temperature": 0.0, "fast_simulations": 8}
    search = SearchConfig(num_simulations=8, dirichlet_fraction=0.9)
    fast = play_all(self_play(game, search, full_search_share=1e-9, **greedy))
    assert len({tuple(record.action) for record in fast}) == 1
    full = play_all(self_play(game, search, **greedy))
    assert len({tuple(record.action) for record in full}) > 1


def test_weights_by_surprise_worked() -> None:
    is_full, surprise = np.array([True, False, True, True]), np.array([0.3, 9.0, 0.0, 0.6])
    np.testing.assert_allclose(sampling_weights(is_full, surprise, 0.0), [1, 0, 1, 1])
    # The mean of the full searches is 0.3.
    np.testing.assert_allclose(sampling_weights(is_full, surprise, 0.5), [1.0, 0, 0.5, 1.5])
    np.testing.assert_allclose(sampling_weights(is_full, 0.0 * surprise, 0.5), [1, 0, 1, 1])
    assert sampling_weights(np.zeros(2, bool), surprise[:2], 0.5).tolist() == [0, 0]


def test_surprise_is_the_divergence_of_the_search_from_the_network() -> None:
    game = games.load("tic_tac_toe")
    predict = noisy_predict(game)
    for record in learn_all(self_play(game), policy_surprise=1.0):
        logits, _ = predict(record.observation.astype(np.float32))
        divergence = []
        for t in range(len(record)):
            legal = record.legal_actions[t][record.legal_actions[t] != NO_ACTION]
            prior = np.exp(logits[t, legal]) / np.exp(logits[t, legal]).sum()
            target = record.policy_target[t, : len(legal)]
            divergence.append(float((target[target > 0] * np.log(target[target > 0] / prior[target > 0])).sum()))
        expected = np.maximum(divergence, 0) / np.mean(np.maximum(divergence, 0))
        np.testing.assert_allclose(record.weight, expected, rtol=1e-3, atol=1e-4)


def test_decided_games_go_on_with_fast_searches_and_little_weight() -> None:
    """With values that say that the first player wins, every game is decided by its third move."""
    game = games.load("tic_tac_toe")

    def predict(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first_to_move = observations.reshape(len(observations), -1, 9)[:, -2, 0]
        values = np.where(first_to_move == 1, 0.95, -0.95).astype(np.float32)
        return np.zeros((len(observations), game.num_actions), np.float32), values[:, None]

    settings = ActorsConfig(
        games_per_actor=40, resign_value=0.6, resign_plies=3, resign_weight=0.25, fast_simulations=1
    )
    models = network_models(game, predict, 0)
    search = SearchConfig(num_simulations=2)
    collector = SelfPlay(game, models, search, settings, np.random.default_rng(0), endless=False)
    facts = play_all(collector)
    records = [learned(record, game, resign_weight=0.25) for record in facts]
    counts = collector.take_counts()
    for fact in facts:
        assert fact.is_chosen.all() and fact.is_full.tolist() == [t < 3 for t in range(len(fact))]
    for record in records:
        assert record.weight[:3].tolist() == [1, 1, 1] and (record.weight[3:] == 0.25).all()
    assert counts.simulations == sum(2 * 3 + len(record) - 3 for record in records)
    not_won = sum(record.outcome[0, 0] < 1 for record in records)
    assert (counts.decided, counts.decided_wrongly) == (40, not_won) and 0 < not_won < 40


def test_verdicts_count_only_while_few_of_them_are_wrong() -> None:
    game = games.load("tic_tac_toe")
    collector = self_play(
        game, endless=True, games_per_actor=40, resign_value=0.2, resign_plies=1, resign_wrong_share=0.3
    )
    records: list[GameRecord] = []
    while len(records) < 60:
        records += collector.collect()
    assert not any(record.decided_at != UNDECIDED for record in records[:50]), "nothing is known of verdicts yet"
    assert collector.counts.decided > 0 and len(collector.wrong_verdicts) == collector.counts.decided

    def decided_with(wrong: list[bool]) -> bool:
        collector.wrong_verdicts.clear()
        collector.wrong_verdicts.extend(wrong)
        trajectory = Trajectory(root_value=[np.array([0.9, -0.9])])
        collector._judge(trajectory)
        assert trajectory.winner == 0
        return trajectory.decided_at != UNDECIDED

    assert decided_with([False] * 50) and not decided_with([False] * 49)
    assert decided_with([True] * 30 + [False] * 70) and not decided_with([True] * 31 + [False] * 69)
    assert decided_with([True] * 100 + [False] * 200), "the last 200 count"


def test_a_discount_makes_no_verdict_wrong() -> None:
    """The winner of a long game is promised less than 1; that he won is what counts."""
    game, settings = games.load("tic_tac_toe"), {"resign_value": 0.5, "resign_plies": 1}
    search = SearchConfig(num_simulations=8, discount=0.5)
    collector = self_play(game, search, games_per_actor=60, **settings)
    records = learn_all(collector)
    counts = collector.take_counts()
    wrong, decided = 0, 0
    for record in records:
        verdicts = np.flatnonzero(np.abs(record.root_value[:, 0]) >= 0.5)
        if len(verdicts):
            first = verdicts[0]
            decided += 1
            winner = record.to_play[first] if record.root_value[first, 0] > 0 else 1 - record.to_play[first]
            last = record.to_play[-1] if record.outcome[-1, 0] > 0 else 1 - record.to_play[-1]
            wrong += record.outcome[-1, 0] == 0 or winner != last
    assert (counts.decided, counts.decided_wrongly) == (decided, wrong) and decided > wrong > 0


def test_what_is_left_of_decided_games_is_searched_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = self_play(games.load("tic_tac_toe"), resign_value=0.2, resign_plies=1, fast_simulations=3)
    begin, seen = collector.search.begin, []

    def watched(trees, pool, slots, seeds, budget, noise) -> None:
        decided = [collector.trajectories[slot].winner is not None for slot in slots]
        seen.extend(zip(decided, budget.tolist(), noise.tolist(), strict=True))
        begin(trees, pool, slots, seeds, budget, noise=noise)

    monkeypatch.setattr(collector.search, "begin", watched)
    play_all(collector)
    assert set(seen) == {(True, 3, False), (False, 8, True)}


def test_endless_self_play_starts_a_game_for_each_that_ends() -> None:
    collector = self_play(games.load("tic_tac_toe"), endless=True, games_per_actor=5)
    records: list[GameRecord] = []
    while len(records) < 40:
        records += collector.collect()
        assert len(collector.running) == 5
    assert not collector.done
    assert len({tuple(record.action) for record in records}) > 20


def test_the_seed_decides_everything() -> None:
    game = games.load("connect_four")
    first, second = (play_all(self_play(game)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for name, array in one.arrays().items():
            np.testing.assert_array_equal(array, other.arrays()[name])


@pytest.mark.parametrize("name", ["tic_tac_toe", "pig(winscore=15)"])
def test_a_kept_subtree_follows_the_game(name: str) -> None:
    """With subtree reuse the root is always the position of the game, chance in between included."""
    game = games.load(name)
    search = SearchConfig(num_simulations=30, subtree_reuse=True)
    collector = self_play(game, search, games_per_actor=3)
    while not collector.done:
        collector.collect()
        for b in collector.running:
            root = positions(collector.search).text(int(b * collector.search.nodes))
            assert collector.search.tree.node_count[b] > 0
            assert root == collector.pool.text(int(b))
            assert collector.pool.to_play(np.array([b]))[0] not in (CHANCE, TERMINAL)
