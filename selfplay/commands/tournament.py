"""Let players meet in a tournament and rate them, with 95 % intervals; stopped at any time, it goes on where it was.

PLAYERs are written as for `selfplay match`. Every opening is played with each seating, and all pairs get the same
openings. `--games` counts all games of the tournament. Started again with the same --out it plays what is missing and
nothing twice, also with more players or games than before. A player that fails or moves illegally loses that game. The
folder gets the games (games.jsonl, for Go also games.sgf, for chess games.pgn), a page with plots (report.html), and
the plots as PNG.

--sprt elo0=0,elo1=20,alpha=0.05,beta=0.05 (for two players) stops as soon as it is decided whether the first player is
elo1 points stronger rather than elo0; --games is then the most that are played.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.commands.arguments import integer
from selfplay.commands.progress import show_progress
from selfplay.console.output import json_text
from selfplay.errors import UserError
from selfplay.tournament.schedule import FORMATS

if TYPE_CHECKING:
    from selfplay.stats.sprt import Sprt
    from selfplay.tournament.diagrams import Diagram
    from selfplay.tournament.standings import Standings

WANDB_SECONDS = 30
"""Seconds that Weights & Biases gets for starting, and for its uploads."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the players, the game and how it is played."""
    parser.add_argument("players", metavar="PLAYER", nargs="+", help="at least two")
    parser.add_argument("--game", metavar="G", help="the game; may be left out when a player is a run")
    parser.add_argument("--games", metavar="N", type=integer(1, 10**7), required=True, help="number of games in all")
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="who meets whom; in a gauntlet, the first all others"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder of the tournament (runs/tournament-GAME-TIME)")
    parser.add_argument("--anchor", metavar="PLAYER", help="the player rated 0 (random, else a level of mcts)")
    parser.add_argument("--sprt", metavar="K=V,...", help="stop when decided; see above")
    parser.add_argument("--seed", metavar="N", type=integer(0, 2**63 - 1), default=0, help="of everything random (0)")
    parser.add_argument(
        "--opening-plies", metavar="K", type=integer(0, 10_000), help="random moves at the start (2 to 4, as needed)"
    )
    parser.add_argument(
        "--openings",
        metavar="FILE",
        type=Path,
        help='openings, one {"moves": [...]} a line, or the main lines of a .pgn (chess) or .sgf (Go)',
    )
    parser.add_argument(
        "--max-plies", metavar="K", type=integer(1, 10**9), help="longer games are cut off (the longest of the rules)"
    )
    parser.add_argument(
        "--processes", metavar="N", type=integer(1, 1024), help="number of processes that play (one a core)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--wandb", metavar="PROJECT", help="log table, plots and boards to this project of Weights & Biases"
    )


def run(args: argparse.Namespace, overrides: list[str]) -> int:
    """Play, rate, report."""
    import games
    from selfplay.config.run import WandbConfig
    from selfplay.evaluation.openings import read_openings
    from selfplay.players.kinds import read_player
    from selfplay.storage.run_folder import RUNS, make_fresh
    from selfplay.tournament import report
    from selfplay.tournament.diagrams import decisive_games
    from selfplay.tournament.notation import write_notation
    from selfplay.tournament.players import check_players
    from selfplay.tournament.standings import choose_anchor, make_standings
    from selfplay.tournament.store import Conditions, TournamentFolder
    from selfplay.tournament.tournament import TournamentPlan, play_tournament

    if args.wandb is not None:
        WandbConfig(project=args.wandb)  # complain before games are played
    specs = [read_player(text) for text in args.players]
    if len(specs) < 2:
        raise UserError("tournament: at least two players are needed")
    name = args.game or next(filter(None, (spec.game for spec in specs)), None)
    if name is None:
        raise UserError("tournament: --game is missing; `selfplay games` lists them")
    game = games.load(name)
    sprt = _read_sprt(args.sprt, len(specs), args.format) if args.sprt is not None else None
    conditions = Conditions(
        game=game.name,
        seed=args.seed,
        opening_plies=args.opening_plies,
        openings=read_openings(args.openings, game) if args.openings else (),
        max_plies=args.max_plies,
    )
    entrants = check_players(args.players, game)
    if args.out is None or not args.out.exists():
        choose_anchor(tuple(one.name for one in entrants), args.anchor)  # complain before the folder is made
    folder = TournamentFolder(args.out or make_fresh(RUNS, f"tournament-{game.name}"), conditions)
    try:
        entrants = tuple(folder.as_joined(text, one) for text, one in zip(args.players, entrants))
        names, recorded = tuple(one.name for one in entrants), folder.recognise(entrants)
        _refuse_twice(recorded, args.players, folder.path)
        anchor = choose_anchor(names, args.anchor)
        folder.enter(dict(zip(args.players, recorded)))
        progress = show_progress("games")
        plan = TournamentPlan(names, args.format, args.games, recorded=recorded)
        outcome = play_tournament(folder, plan, args.processes or os.cpu_count() or 1, sprt, progress)
        standings = make_standings(outcome, anchor)
        diagrams = decisive_games(outcome)
        page = report.write(standings, folder.path, diagrams)
        write_notation(outcome, folder.path)
    finally:
        folder.close()
    text = json_text(standings.as_json()) if args.json else f"{report.text(standings)}\n\nreport: {page}"
    print(text, file=args.output, flush=True)
    if args.wandb is not None:
        _log(args.wandb, standings, folder.path, diagrams)
    return 0


def _read_sprt(text: str, num_players: int, tournament_format: str) -> Sprt:
    from selfplay.config.options import read_options
    from selfplay.stats.sprt import Sprt

    if num_players != 2:
        raise UserError(f"--sprt: it compares two players, not {num_players}")
    if tournament_format == "swiss":
        raise UserError("--sprt: two players meet in every format; leave out --format swiss")
    sprt: Sprt = read_options("--sprt", Sprt, text.split(","), "; write it as elo0=0,elo1=20,alpha=0.05,beta=0.05")
    return sprt


def _refuse_twice(names: Sequence[str], texts: Sequence[str], folder: Path) -> None:
    """Refuse a version of a run that is given twice: by its number, and by the folder that joined with it."""
    for name in names:
        same = [text for text, other in zip(texts, names) if other == name]
        if len(same) > 1:
            raise UserError(f"{' and '.join(same)} are the same player in {folder}, {name}; leave out one")


def _log(project: str, standings: Standings, folder: Path, diagrams: Sequence[Diagram]) -> None:
    """Send table, plots and boards to W&B. A failure there is a warning, for all is on disk already."""
    import io

    from selfplay.tournament.report import PICTURES
    from selfplay.training.tracking import mode_within

    def say(text: str) -> None:
        print(f"selfplay: {text}", file=sys.stderr)

    mode = mode_within(os.environ, "auto", say)
    if mode == "disabled":
        say(f"WANDB_MODE or WANDB_DISABLED turns W&B off; the tournament is in {folder}")
        return
    os.environ["WANDB_MODE"] = mode  # in a spelling that W&B knows
    try:
        import wandb
        from PIL import Image

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            init_timeout=WANDB_SECONDS,
            finish_timeout=WANDB_SECONDS,
            finish_timeout_raises=True,
        )
        run = wandb.init(project=project, job_type="tournament", dir=folder, settings=settings)
        rows = [list(vars(row).values()) for row in standings.table]
        table = wandb.Table(columns=list(vars(standings.table[0])), data=rows)
        pictures: dict[str, object] = {
            f"tournament/{name}": wandb.Image(str(folder / f"{name}.png")) for name in PICTURES
        }
        if diagrams:
            boards = [[one.text, wandb.Image(Image.open(io.BytesIO(one.png)))] for one in diagrams]
            pictures["tournament/games"] = wandb.Table(columns=["game", "last position"], data=boards)
        run.log({"tournament/table": table, **pictures})
        run.finish()
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        say(f"W&B failed ({reason}); the tournament is in {folder}")
