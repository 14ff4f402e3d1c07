"""Networks: output shapes, initial state, input and value transforms, and that settings load without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nets import (
    NetConfig,
    build,
    inverse_signed_sqrt,
    resolve_kind,
    signed_sqrt,
    symlog,
    transform_value,
)
from nets.board import Board

SMALL = NetConfig(channels=8, blocks=2, hidden=16, layers=2, policy_channels=4, value_channels=4, value_hidden=8)
CASES = [
    pytest.param({}, (5, 6, 7), 7, 1, "resnet", id="board"),
    pytest.param({"blocks": 0}, (5, 3, 3), 9, 1, "resnet", id="stem-only"),
    pytest.param({"pooling_every": 2, "reply_head": True}, (5, 6, 7), 7, 1, "resnet", id="pooling"),
    pytest.param({"batch_norm": False}, (5, 6, 7), 7, 3, "resnet", id="three-players-no-norm"),
    pytest.param({}, (4, 9), 5, 2, "mlp", id="planes-of-a-line"),
    pytest.param({}, (13,), 4, 1, "mlp", id="flat"),
    pytest.param({"layers": 1, "batch_norm": False}, (2, 1, 8), 4, 1, "mlp", id="too-thin-for-a-board"),
    pytest.param({"kind": "mlp", "value_transform": "signed_sqrt"}, (5, 6, 7), 7, 1, "mlp", id="mlp-on-a-board"),
]


@pytest.mark.parametrize(("settings", "shape", "num_actions", "num_values", "kind"), CASES)
def test_output_shapes(settings, shape, num_actions, num_values, kind):
    config = dataclasses.replace(SMALL, **settings)
    assert resolve_kind(config, shape) == kind
    net = build(config, shape, num_actions, num_values)
    for batch in (2, 5):
        policy_logits, value = net(torch.randn(batch, *shape))
        assert policy_logits.shape == (batch, num_actions)
        assert value.shape == (batch, num_values)


@pytest.mark.parametrize("kind", ["resnet", "mlp"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_untrained_network_is_nearly_uniform_and_undecided(kind, batch_norm):
    net = build(NetConfig(kind=kind, batch_norm=batch_norm), (5, 6, 7), 7, 1).eval()
    with torch.no_grad():
        policy_logits, value = net(torch.randint(0, 2, (64, 5, 6, 7)).float())
    policy = policy_logits.softmax(-1)
    assert policy.max() < 0.25 and policy.min() > 0.08
    assert value.abs().max() < 0.5
    assert policy_logits.std() > 0, "exactly constant outputs would make every tree of a batch the same"


@pytest.mark.parametrize("board", [None, Board((6, 7), 1, np.array([0] * 6 + [-1]), np.array([*range(6), -1]))])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_every_parameter_can_learn(batch_norm, board):
    """Zero-initialised layers open on the first step; nothing is dead or disconnected after it."""
    everything = dict.fromkeys(("reply_head", "moves_left_head", "ownership_head", "score_head"), True)
    config = dataclasses.replace(SMALL, batch_norm=batch_norm, pooling_every=2, **everything)
    net = build(config, (5, 6, 7), 7, 1, board=board)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    observation = torch.randn(16, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        optimiser.zero_grad()
        policy_logits, value, said = net.forward_training(observation)
        loss = policy_logits.square().mean() + (value - 1.0).square().mean() + policy_logits[:, 0].mean()
        (loss + sum((output - 1.0).square().mean() for output in said.values())).backward()
        optimiser.step()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, same, other = (build(SMALL, (5, 6, 7), 7, 1, seed=seed).state_dict() for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state), "building a network must not disturb the learner's randomness"
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["trunk.0.layer.weight"], other["trunk.0.layer.weight"])


def test_auxiliary_heads_change_nothing_else():
    bare = build(SMALL, (5, 6, 7), 7, 1, seed=3).eval()
    more = build(dataclasses.replace(SMALL, reply_head=True, moves_left_head=True), (5, 6, 7), 7, 1, seed=3).eval()
    observation = torch.randn(4, 5, 6, 7)
    policy_logits, value, said = more.forward_training(observation)
    for one, other in zip(bare(observation), (policy_logits, value), strict=True):
        torch.testing.assert_close(one, other)
    assert {name: tuple(output.shape) for name, output in said.items()} == {"reply": (4, 7), "moves_left": (4, 1)}
    assert bare.forward_training(observation)[2] == {}


def go_like(side: int) -> Board:
    """One plane of moves and a pass, which is nowhere on the board."""
    cells = np.append(np.arange(side * side), -1)
    return Board((side, side), 1, np.where(cells < 0, -1, 0), cells)


def test_plane_heads_read_the_plane_and_the_cell_of_each_action():
    board = Board((3, 4), 2, np.array([1, 0, -1, 1]), np.array([5, 11, -1, 0]))
    net = build(dataclasses.replace(SMALL, heads="planes"), (5, 3, 4), 4, 1, board=board).eval()
    head = net.policy_head[-1]
    with torch.no_grad():
        head.planes.bias.copy_(torch.tensor([10.0, 20.0]))
        head.elsewhere.bias.fill_(30.0)
        for cell in range(12):
            at_the_cell = torch.zeros(1, SMALL.policy_channels, 3, 4)
            at_the_cell[0, :, cell // 4, cell % 4] = 100.0
            moved = (head(at_the_cell) - head(torch.zeros_like(at_the_cell)))[0]
            assert [i for i in (0, 1, 3) if moved[i] != 0] == [i for i in (0, 1, 3) if board.cell[i] == cell]
        logits = head(torch.zeros(1, SMALL.policy_channels, 3, 4))[0]
    assert logits.round().tolist() == [20.0, 10.0, 30.0, 20.0]


def test_weights_of_plane_heads_fit_boards_of_every_size():
    everything = {"ownership_head": True, "score_head": True, "reply_head": True, "pooling_every": 2}
    config = dataclasses.replace(SMALL, **everything)
    small, large = (build(config, (5, n, n), n * n + 1, 1, seed=n, board=go_like(n)) for n in (5, 9))
    large.load_state_dict(small.state_dict())
    for net, n in ((small, 5), (large, 9)):
        policy_logits, value, said = net.forward_training(torch.randn(2, 5, n, n))
        assert policy_logits.shape == said["reply"].shape == (2, n * n + 1)
        assert said["ownership"].shape == (2, n, n) and value.shape == said["score"].shape == (2, 1)
        assert all(said[name].abs().max() < 1 for name in ("ownership", "score"))


def test_plane_heads_turn_with_the_board():
    """A board turned by a quarter has the turned policy, where the trunk sees none of its sides."""
    net = build(dataclasses.replace(SMALL, blocks=0), (5, 6, 6), 37, 1, board=go_like(6)).eval()
    with torch.no_grad():
        layer = net.trunk[0].layer.weight
        layer.copy_(sum(torch.rot90(layer, k, (2, 3)) for k in range(4)))
        observation = torch.rand(3, 5, 6, 6)
        (logits, value), (turned, same) = net(observation), net(torch.rot90(observation, 1, (2, 3)))
    expected = torch.rot90(logits[:, :36].reshape(3, 6, 6), 1, (1, 2)).flatten(1)
    torch.testing.assert_close(turned, torch.cat([expected, logits[:, 36:]], dim=1))
    torch.testing.assert_close(value, same)


def test_planes_are_scaled_as_the_game_says():
    offset, factor = np.float32([128.0, 0, 0, 0, 1]), np.float32([0.1, 1, 1, 1, -1])
    board = dataclasses.replace(go_like(5), scaling=(offset, factor))
    net = build(SMALL, (5, 5, 5), 26, 1, board=board)
    x = net.transform_input(torch.full((1, 5, 5, 5), 138.0))
    torch.testing.assert_close(x[0, :, 2, 2], torch.tensor([1.0, 138.0, 138.0, 138.0, -137.0]))
    assert not [name for name in net.state_dict() if "normaliser" in name]


@pytest.mark.parametrize(
    ("settings", "board"),
    [({"heads": "planes"}, None), ({"heads": "planes", "kind": "mlp"}, go_like(5)),
     ({"ownership_head": True, "kind": "mlp"}, go_like(5))],
)  # fmt: skip
def test_heads_that_need_a_board_are_refused_without_one(settings, board):
    with pytest.raises(ValueError, match=r"^net\.(heads|ownership_head): .*; use (auto|false)$"):
        build(dataclasses.replace(SMALL, **settings), (5, 5, 5), 26, 1, board=board)


def test_pooling_lets_every_cell_see_the_whole_board():
    """A block of two 3x3 convolutions sees two cells far; with pooling, a change in one corner reaches the other."""
    for pooling_every, reaches in ((0, False), (1, True)):
        net = build(dataclasses.replace(SMALL, blocks=1, pooling_every=pooling_every), (5, 12, 12), 7, 1).eval()
        with torch.no_grad():
            for parameter in net.trunk.parameters():  # blocks begin closed
                parameter.add_(0.1 * torch.rand(parameter.shape))
            one = torch.rand(1, 5, 12, 12)
            other = one.clone()
            other[:, :, 0, 0] += 5.0
            difference = (net.trunk(one) - net.trunk(other)).abs().sum(dim=1)[0]
        assert bool(difference[11, 11] > 0) == reaches


def test_values_are_bounded_unless_transformed():
    def largest(value_transform):
        net = build(dataclasses.replace(SMALL, value_transform=value_transform), (13,), 4, 1).eval()
        with torch.no_grad():
            net.value_head[-1].bias.fill_(50.0)
            return net(torch.randn(8, 13))[1].max().item()

    assert largest("none") <= 1.0
    assert largest("signed_sqrt") > 40.0


def test_symlog_is_applied_to_the_input():
    with_symlog = build(dataclasses.replace(SMALL, input_transform="symlog"), (3, 4, 4), 4, 1).eval()
    without = build(SMALL, (3, 4, 4), 4, 1).eval()
    tiles = torch.randint(0, 12, (6, 3, 4, 4)).float().exp2()
    with torch.no_grad():
        for found, expected in zip(with_symlog(tiles), without(symlog(tiles)), strict=True):
            torch.testing.assert_close(found, expected)


def test_symlog_worked_numbers():
    x = torch.tensor([0.0, np.e - 1.0, 1.0 - np.e, 2047.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 1.0, -1.0, 11.0 * np.log(2.0)], dtype=torch.float64)
    torch.testing.assert_close(symlog(x), expected)


def test_signed_sqrt_worked_numbers():
    x = torch.tensor([0.0, 3.0, -3.0, 99.0], dtype=torch.float64)
    expected = torch.tensor([0.0, 1.003, -1.003, 9.099], dtype=torch.float64)
    torch.testing.assert_close(signed_sqrt(x), expected)
    assert torch.equal(transform_value(x, "signed_sqrt"), signed_sqrt(x))
    assert torch.equal(transform_value(x, "none"), x)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_signed_sqrt_has_its_inverse_in_float32(values):
    x = torch.tensor(values, dtype=torch.float32)
    torch.testing.assert_close(inverse_signed_sqrt(signed_sqrt(x)), x, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(signed_sqrt(inverse_signed_sqrt(x / 1e3)), x / 1e3, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 6, 7), (13,)])
def test_a_gaussian_policy_has_means_and_deviations_on_every_trunk(shape):
    net = build(dataclasses.replace(SMALL, policy="gaussian"), shape, 4, 1).eval()
    policy, _ = net(torch.randn(3, *shape))
    assert policy.shape == (3, 8) and torch.equal(policy[:, 4:], torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"^net\.kind: a table"):
        build(dataclasses.replace(SMALL, policy="gaussian", kind="table"), shape, 4, 1)


@pytest.mark.parametrize(("kind", "shape"), [("resnet", (13,)), ("resnet", (2, 2, 9)), ("transformer", (5, 6, 7))])
def test_unfitting_kind_is_refused(kind, shape):
    with pytest.raises(ValueError, match=r"^net\.kind: .*(mlp)"):
        build(dataclasses.replace(SMALL, kind=kind), shape, 4, 1)


def test_settings_are_described_and_within_their_own_ranges():
    for field in dataclasses.fields(NetConfig):
        assert len(field.metadata["help"]) > 20, field.name
        value, metadata = field.default, field.metadata
        if "choices" in metadata:
            assert value in metadata["choices"]
        elif not isinstance(value, bool):
            assert metadata["min"] <= value <= metadata["max"]


def test_settings_load_without_torch():
    code = "import sys; from nets.config import NetConfig; NetConfig(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_one_network_evaluates_boards_of_several_sizes_as_networks_of_one_size_do():
    config = dataclasses.replace(SMALL, reply_head=True, ownership_head=True, score_head=True, pooling_every=2)
    boards = {n: go_like(n) for n in (7, 5, 9)}
    whole = build(config, (5, 7, 7), 50, 1, seed=3, board=boards[7], more_boards=[boards[5], boards[9]])
    for n, board in boards.items():
        alone = build(config, (5, n, n), n * n + 1, 1, seed=n, board=board)
        alone.load_state_dict(whole.state_dict())
        observation = torch.randn(4, 5, n, n)
        for mine, its in zip(whole.eval()(observation), alone.eval()(observation), strict=True):
            assert torch.equal(mine, its)
        for mine, its in zip(
            whole.forward_training(observation)[2].values(),
            alone.forward_training(observation)[2].values(),
            strict=True,
        ):
            assert torch.equal(mine, its)
    single = build(config, (5, 7, 7), 50, 1, seed=3, board=boards[7])
    assert all(torch.equal(tensor, single.state_dict()[name]) for name, tensor in whole.state_dict().items())
    assert len(single.state_dict()) == len(whole.state_dict()), "what is saved says nothing of sizes"


def test_defaults_that_an_environment_has_set_are_not_ours() -> None:
    """A simulator that needs float64 made the network float64, and its learner failed."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            net = build(NetConfig(kind="mlp", hidden=4), (3,), 2, 1)
        assert torch.get_default_dtype() == torch.float64, "its own"
    finally:
        torch.set_default_dtype(torch.float32)
    assert {tensor.dtype for tensor in net.state_dict().values() if tensor.is_floating_point()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in net.parameters())
