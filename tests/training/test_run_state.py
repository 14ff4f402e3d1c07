"""The state of a run is a dictionary of its owners' states, in a checkpoint and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from run_helpers import ROOT

import selfplay
from selfplay.algorithms.registry import KINDS, load_algorithm
from selfplay.config.run import Config
from selfplay.experience.rollouts import Rollout
from selfplay.storage.tensors import from_bytes, to_bytes
from selfplay.training.run_state import hand_out, pack, unpack

PPO = selfplay.load_config(
    Config, ROOT / "configs" / "cartpole_ppo.yaml", ["--net.input_transform", "running", "--rewards.normalise"]
)
RNG = {"sampling_rng": {}, "last_shard": -1, "positions": 0}


def owners_of(config: Config):
    algorithm = load_algorithm(config)
    return {"learner": algorithm.make_learner(), "replay": algorithm.make_replay()}


def rollout() -> Rollout:
    rng, ones = np.random.default_rng(3), np.ones((5, 2), np.float32)
    return Rollout(
        observation=rng.random((5, 2, 4), np.float32),
        action=np.zeros((5, 2), np.int64),
        reward=rng.random((5, 2), np.float32),
        discount=ones,
        ended=np.zeros((5, 2), np.bool_),
        final_observation=np.zeros((0, 4), np.float32),
        legal_mask=None,
        final_legal_mask=None,
        value=ones,
        next_value=ones,
        log_probability=-ones,
        counted=ones > 0,
        begins=True,
        version=0,
    )


def test_every_owner_gets_what_it_gave() -> None:
    first, again = owners_of(PPO), owners_of(replace(PPO, seed=9))
    first["learner"].observe(rollout())
    first["replay"].add(rollout())
    first["learner"].prepare_publication()
    first["learner"].step(first["replay"].sample(0, np.random.default_rng(0)), 0.0)
    states = {name: owner.state_dict() for name, owner in first.items()}
    saved = pack(states, RNG)
    saved = replace(saved, learner=from_bytes(to_bytes(saved.learner)))
    hand_out(saved, again, "here")
    other = pack({name: owner.state_dict() for name, owner in again.items()}, RNG)
    for one, two in ((saved.weights, other.weights), (saved.learner, other.learner)):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert again["learner"].steps == 1
    assert saved.learner["algorithm.observations.count"] == saved.learner["algorithm.returns.count"] == 10
    assert torch.equal(saved.weights["normaliser.mean"], saved.learner["algorithm.observations.mean"].float())


def test_observations_count_when_they_come_in_and_take_effect_when_weights_are_published() -> None:
    learner = owners_of(PPO)["learner"]
    before = learner.raw_weights()
    learner.observe(rollout())
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.raw_weights().items())
    learner.prepare_publication()
    expected = torch.from_numpy(rollout().observation.reshape(-1, 4).mean(axis=0))
    torch.testing.assert_close(learner.acting_weights()["normaliser.mean"], expected)


def test_two_owners_cannot_use_one_name() -> None:
    owners = owners_of(PPO)
    states = {name: owner.state_dict() for name, owner in owners.items()}
    for clash in ({"steps": 3}, {"returns.count": torch.zeros(())}):
        with pytest.raises(ValueError, match=f"{next(iter(clash))}: two owners"):
            pack({**states, "other": clash}, RNG)


def test_a_checkpoint_from_before_positions_had_weights_kept_them_all() -> None:
    saved = pack({name: owner.state_dict() for name, owner in owners_of(PPO).items()}, RNG)
    state = {name: value for name, value in saved.state.items() if name != "kept"}
    assert unpack(replace(saved, state={**state, "positions": 7}))["kept"] == 7


def test_every_algorithm_of_the_settings_is_in_the_table() -> None:
    (choices,) = [
        field.metadata["choices"] for field in Config.__dataclass_fields__.values() if field.name == "algorithm"
    ]
    assert set(KINDS) == set(choices)
