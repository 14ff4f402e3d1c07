"""Players: their text, what they choose, and that they repeat from a seed."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

import games
import nets
from games.environments.registry import load_environment
from search import ModelTraits
from search.perspective import num_values
from selfplay.config import reader
from selfplay.config.run import Config
from selfplay.errors import UserError
from selfplay.evaluation.episodes import play_episodes
from selfplay.players.kinds import _kinds, parse_player, read_player, register_player
from selfplay.players.player import Analyst
from selfplay.players.search import MEMORY_BYTES, trees_that_fit
from selfplay.storage import checkpoint
from selfplay.storage.run_folder import RunFolder

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")


def after(game, *histories):
    """A pool with the position after each history, and its slots."""
    pool, slots = game.new_pool(len(histories)), np.arange(len(histories))
    pool.reset(slots)
    for slot, history in zip(slots, histories):
        for action in history:
            pool.step(slots[slot : slot + 1], np.array([action]), slots[slot : slot + 1])
    return pool, slots


def moves_of(player, game, *histories):
    pool, slots = after(game, *histories)
    return player.choose(pool, slots, histories).tolist()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of a small untrained network on Connect Four with the other observation, versions 3 and 12."""
    path = tmp_path_factory.mktemp("runs") / "a@b"
    game = games.load("connect_four(egocentric_obs_tensor=true)")
    net = nets.NetConfig(channels=8, blocks=1, policy_channels=4, value_channels=4, value_hidden=8)
    settings = dataclasses.replace(Config(), game=game.name, net=net)
    with RunFolder.create(path, "test") as folder:
        folder.config.write_text(reader.dump(settings))
        for version in (3, 12):
            weights = nets.build(net, game.observation_shape, game.num_actions, num_values(game), version).state_dict()
            if version == 12:  # the policy head says column 5, whatever the board
                weights = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
                weights["policy_head.3.bias"] = torch.arange(7.0) * torch.tensor([1, 1, 1, 1, 1, 2, 0.5])
            checkpoint.save(folder.checkpoints, checkpoint.Checkpoint(version, weights, {}, {}))
    return path


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "unknown kind ''"),
        ("randon", "did you mean 'random'"),
        ("alphabeta", "one of random, mcts, uniform, run, net, pretrained, solver, human"),
        ("mcts:", "option '' is not name=value"),
        ("mcts:1000", "option '1000' is not name=value"),
        ("mcts:simulations", "not name=value"),
        ("mcts:simulations=", "simulations: expected an integer, got nothing"),
        ("mcts:simulations=ten", "simulations: expected an integer, got 'ten'"),
        ("mcts:simulations=0", "simulations: 0 is out of range; expected from 1 to 1000000"),
        ("mcts:simulation=5", "player 'mcts:simulation=5': unknown option 'simulation'; did you mean 'simulations'?"),
        ("mcts:simulations=5,simulations=6", "given twice"),
        ("mcts:simulations=5,,c=1", "option '' is not name=value"),
        ("mcts:c=nan", "finite"),
        ("mcts:solve=maybe", "solve: expected true or false"),
        ("random:simulations=5", "unknown option 'simulations'"),
        ("human:x=1", "unknown option 'x'"),
        ("run", "RUN_DIR[@VERSION] is missing"),
        ("run::simulations=5", "RUN_DIR[@VERSION] is missing"),
        ("run:x:rule=best", "rule: expected one of puct, gumbel, uct, got 'best'"),
        ("net:x:simulations=5", "unknown option 'simulations'"),
    ],
)
def test_malformed_text_is_one_line_that_says_what_is_allowed(text, part):
    with pytest.raises(UserError) as caught:
        read_player(text)
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert "?;" not in str(caught.value)  # either a near name or the form of the player


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("random", "random"),
        ("mcts", "mcts:simulations=1000"),
        ("mcts:simulations=1e3", "mcts:simulations=1000"),
        ("mcts:c=2,solve=yes,simulations=50,seed=3", "mcts:simulations=50,c=2.0,solve=true,seed=3"),
        ("uniform:simulations=7", "uniform:simulations=7"),
        ("run:runs/a:simulations=64,temperature=0.5", "run:runs/a:simulations=64,temperature=0.5"),
        ("net:runs/a@7", "net:runs/a@7"),
    ],
)
def test_canonical_text_reads_back_to_itself(text, name):
    spec = read_player(text)
    assert spec.name == name
    assert read_player(name) == spec


def test_random_player_plays_every_legal_move_and_no_other():
    moves = set(moves_of(parse_player("random", TIC_TAC_TOE), TIC_TAC_TOE, *[(0, 4, 8)] * 200))
    assert moves == {1, 2, 3, 5, 6, 7}


@pytest.mark.parametrize("text", ["mcts:simulations=400", "mcts:simulations=200,solve=true", "uniform:simulations=400"])
def test_search_players_win_and_block(text):
    player = parse_player(text, CONNECT_FOUR, seed=1)
    wins_in_the_column, blocks_the_column, wins_in_the_row = (3, 0, 3, 0, 3, 0), (3, 0, 3, 0, 3), (1, 1, 2, 2, 3, 6, 4)
    moves = moves_of(player, CONNECT_FOUR, wins_in_the_column, blocks_the_column, wins_in_the_row[:-1])
    assert moves[:2] == [3, 3]
    assert moves[2] in (0, 4)


def test_forced_win_in_three_plies_is_found():
    # Two discs in the middle of the empty bottom row: a third beside them threatens both ends.
    player = parse_player("mcts:simulations=2000", CONNECT_FOUR, seed=1)
    assert moves_of(player, CONNECT_FOUR, (3, 3, 2, 2))[0] in (1, 4)


@pytest.mark.parametrize("text", ["random", "mcts:simulations=20", "uniform:simulations=20"])
def test_seed_decides(text):
    histories = [(i % 7, (3 * i) % 7) for i in range(50)]
    runs = [moves_of(parse_player(text, CONNECT_FOUR, seed), CONNECT_FOUR, *histories) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert text.startswith("uniform") or runs[0] != runs[2]
    seeded = f"{text}{',' if ':' in text else ':'}seed=1"
    assert moves_of(parse_player(seeded, CONNECT_FOUR, seed=5), CONNECT_FOUR, *histories) == runs[0]


def test_batch_beyond_the_memory_is_played_in_parts(monkeypatch):
    player = parse_player("mcts:simulations=30", CONNECT_FOUR, seed=1)
    assert player.max_trees == 256
    player.max_trees = 3
    winning = [(column, 6 - column) * 3 for column in (0, 1, 2, 4, 5, 6, 0)]
    assert moves_of(player, CONNECT_FOUR, *winning) == [0, 1, 2, 4, 5, 6, 0]


def test_big_trees_are_few():
    small, big = (read_player(f"mcts:simulations={n}").make_player(CONNECT_FOUR) for n in (10_000, 1_000_000))
    assert small.max_trees > 100 > big.max_trees >= 1
    assert trees_that_fit(ModelTraits.of_game(CONNECT_FOUR), small.config) * 10_000 * 300 < 1.2 * MEMORY_BYTES


def test_analysis_is_about_the_player_to_move_and_best_first():
    player = parse_player("mcts:simulations=300", CONNECT_FOUR, seed=1)
    assert isinstance(player, Analyst)
    for history, value in (((3, 0, 3, 0, 3, 0), 1.0), ((0, 3, 6, 3, 0, 3, 6), 1.0)):  # to win: player 0, then player 1
        pool, slots = after(CONNECT_FOUR, history)
        analysis = player.analyse(pool, 0)
        assert analysis.action == analysis.moves[0].action == 3
        assert analysis.moves[0].text == pool.action_text(0, 3)
        assert analysis.moves[0].q == value and analysis.value > 0.5
        visits = [move.visits for move in analysis.moves]
        assert visits == sorted(visits, reverse=True) and sum(visits) == 300


def test_positions_and_pool_are_left_alone():
    pool, slots = after(CONNECT_FOUR, (3, 3), (2,))
    texts = [pool.text(slot) for slot in slots]
    parse_player("mcts:simulations=50", CONNECT_FOUR).choose(pool, slots, [(3, 3), (2,)])
    assert [pool.text(slot) for slot in slots] == texts


@pytest.mark.parametrize("name", ["pig", "tic_tac_toe", "2048", "chinese_checkers(players=3)"])
def test_search_players_know_chance_one_player_and_three(name):
    game = games.load(name)
    pool = game.new_pool(1)
    pool.reset(np.zeros(1, np.int64))
    slot = np.zeros(1, np.int64)
    while pool.to_play(slot)[0] == games.CHANCE:
        pool.step(slot, pool.chance(slot)[1][:1], slot)
    texts = ["uniform:simulations=5"] if game.num_players == 3 else ["uniform:simulations=5", "mcts:simulations=3"]
    for text in texts:  # random games of chinese checkers take seconds
        (action,) = parse_player(text, game).choose(pool, slot, [()])
        games.check_action(pool, 0, int(action))


def test_network_alone_plays_its_likeliest_legal_move(run_dir):
    player = parse_player(f"net:{run_dir}", CONNECT_FOUR)
    assert player.name == f"net:{run_dir}@12"
    assert moves_of(player, CONNECT_FOUR, (), (5, 5, 5, 5, 5, 5)) == [5, 4]
    pool, _ = after(CONNECT_FOUR, ())
    analysis = player.analyse(pool, 0)
    assert analysis.action == 5 and analysis.value == 0.0
    assert sum(move.prior for move in analysis.moves) == pytest.approx(1.0)
    player.close()
    older = parse_player(f"net:{run_dir}@3", CONNECT_FOUR)
    assert older.name == f"net:{run_dir}@3"
    older.close()


def test_run_searches_with_its_network(run_dir):
    player = parse_player(f"run:{run_dir}@3:simulations=200,rule=puct", CONNECT_FOUR, seed=1)
    assert player.name == f"run:{run_dir}@3:simulations=200,rule=puct"
    assert moves_of(player, CONNECT_FOUR, (3, 0, 3, 0, 3, 0), (3, 0, 3, 0, 3)) == [3, 3]
    player.close()
    default = parse_player(f"run:{run_dir}", CONNECT_FOUR)
    assert default.name == f"run:{run_dir}@12:simulations={Config().evaluation.num_simulations}"
    default.close()


@pytest.mark.parametrize("rule", ["puct", "gumbel"])
def test_a_run_with_forced_playouts_plays_by_any_rule(run_dir, tmp_path, rule):
    copy = tmp_path / "forced"
    shutil.copytree(run_dir, copy)
    settings = reader.load(Config, copy / "config.yaml", ["--search.rule", "puct", "--search.forced-playouts", "2"])
    (copy / "config.yaml").write_text(reader.dump(settings))
    player = parse_player(f"run:{copy}@3:simulations=200,rule={rule}", CONNECT_FOUR, seed=1)
    assert moves_of(player, CONNECT_FOUR, (3, 0, 3, 0, 3, 0)) == [3]
    player.close()


def test_temperature_draws_moves(run_dir):
    moves = {}
    for temperature in (0, 10):
        player = parse_player(f"run:{run_dir}@3:simulations=32,temperature={temperature}", CONNECT_FOUR, seed=1)
        moves[temperature] = set(moves_of(player, CONNECT_FOUR, *[()] * 40))
        player.close()
    assert len(moves[0]) == 1 and len(moves[10]) > 3


def test_a_closed_network_is_used_again_and_two_at_once_do_not_share_weights(run_dir):
    first, second = (parse_player(f"net:{run_dir}@{version}", CONNECT_FOUR) for version in (3, 12))
    inference = second.network._inference
    assert first.network._inference is not inference
    histories = [(), (3,), (0, 1), (2, 2, 2)]
    chosen = moves_of(first, CONNECT_FOUR, *histories)
    second.close()
    second.close()  # twice is once
    third, fourth = (parse_player(f"net:{run_dir}@3", CONNECT_FOUR) for _ in range(2))
    assert third.network._inference is inference and fourth.network._inference is not inference
    assert moves_of(third, CONNECT_FOUR, *histories) == chosen == moves_of(first, CONNECT_FOUR, *histories)
    for player in (first, third, fourth):
        player.close()


def test_run_on_another_game_or_missing_version_is_one_line(run_dir, tmp_path):
    for text, game, part in [
        (f"run:{run_dir}", TIC_TAC_TOE, "cannot play tic_tac_toe"),
        (f"net:{run_dir}", games.load("connect_four(rows=5)"), "cannot play connect_four(rows=5)"),
        (f"run:{run_dir}@4", CONNECT_FOUR, "no version 4; there are 3, 12"),
        (f"run:{tmp_path}/none", CONNECT_FOUR, "no such run"),
        (f"net:{tmp_path}", CONNECT_FOUR, "not the folder of a run"),
    ]:
        with pytest.raises(UserError) as caught:
            parse_player(text, game)
        assert part in str(caught.value) and "\n" not in str(caught.value)
    assert read_player(f"run:{run_dir}@3").game == "connect_four(egocentric_obs_tensor=True)"


def test_own_player_by_registration():
    @dataclasses.dataclass(frozen=True)
    class Options:
        column: int = dataclasses.field(default=0, metadata={"help": "where to play", "min": 0, "max": 6})

    class Stubborn:
        def __init__(self, name, column):
            self.name, self.column = name, column

        def choose(self, pool, slots, histories):
            return np.full(len(slots), self.column)

        def close(self):
            pass

    register_player("stubborn", lambda spec, game, seed: Stubborn(spec.name, spec.options.column), Options)
    try:
        player = parse_player("stubborn:column=4", CONNECT_FOUR)
        assert player.name == "stubborn:column=4"
        assert moves_of(player, CONNECT_FOUR, (), (3,)) == [4, 4]
        with pytest.raises(UserError, match="column: 7 is out of range"):
            parse_player("stubborn:column=7", CONNECT_FOUR)
    finally:
        del _kinds["stubborn"]


def test_own_player_acts_in_environments_where_it_says_how():
    class Still:
        name = "still"

        def act(self, batch):
            return np.zeros(batch.num_envs, np.int64)

    environment = load_environment("CartPole-v1")
    asked = []

    def make_agent(spec, environment, seed):
        asked.append((spec.name, environment.name, seed))
        return Still()

    register_player("mover", lambda spec, game, seed: None)
    register_player("still", lambda spec, game, seed: None, make_agent=make_agent)
    try:
        agent = read_player("still").make_agent(environment, seed=7)
        assert asked == [("still", "CartPole-v1", 7)] and read_player("still").environment is None
        assert (play_episodes(agent, environment, 3, seed=1).lengths < 20).all()  # the pole falls
        with pytest.raises(UserError, match="^mover: cannot act in CartPole-v1"):
            read_player("mover").make_agent(environment)
    finally:
        del _kinds["mover"], _kinds["still"]
