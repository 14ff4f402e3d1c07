"""The commands that a run proposes at its end: they do what they say, and a shell reads them as they are meant."""

from __future__ import annotations

from pathlib import Path

import games
from selfplay.config.run import BudgetConfig, Config
from selfplay.console.shell import folder_word, shell_command
from selfplay.evaluation.match import whole_groups
from selfplay.players.text import compose_player
from selfplay.players.trained import learns_by_search, player_of_checkpoint
from selfplay.training.budget import longer_budget


def commands_after(config: Config, run_dir: Path, spent: BudgetConfig) -> list[str]:
    """What to do with a run that has ended: look at it, let it play, go on with it. `spent` is what it took so far."""
    folder = folder_word(run_dir)
    resume = shell_command("resume", folder, *longer_budget(config.budget, spent))
    if config.environment:
        player = compose_player("run", str(run_dir))
        return [shell_command("evaluate", player, "--episodes", "100"), shell_command("report", folder), resume]
    game = games.load(config.game)
    searches = learns_by_search(config)

    def player_with(simulations: int) -> str:
        return player_of_checkpoint(config, str(run_dir), simulations if searches else 0)

    opponent = ["mcts:simulations=1000"] if searches else ["random", "--opening-plies", "0"]
    num_games = str(whole_groups(game, 200 if searches else 1000))
    match = shell_command("match", player_with(100), *opponent, "--games", num_games)
    return [shell_command("play", player_with(200)), match, resume]
