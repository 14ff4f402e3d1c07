"""Which player a server has: a PLAYER, or the folder of a run."""

from __future__ import annotations

import pytest
from web_helpers import change_settings, make_run

from selfplay.errors import UserError
from selfplay.servers.serving import read_served_player


def test_the_folder_of_a_run_is_its_usual_player(tmp_path):
    run = make_run(tmp_path / "run", with_games=False)
    assert read_served_player(f"{run}@3").name == f"run:{run}@3:simulations=100"
    assert read_served_player("mcts").name == "mcts:simulations=1000"
    change_settings(run, algorithm="dqn")
    assert read_served_player(str(run)).name == f"net:{run}", "it has learned no policy for a search"
    with pytest.raises(UserError, match="unknown kind 'runs/none'"):
        read_served_player("runs/none")
