"""Pages of games, docs/games: `python -m games.pages` writes the tables of facts that the code knows into them.

A page NAME.md is written by hand but for the lines between `BEGIN` and `END`, which are the table of the game NAME. The
index lists every page. The tests make all tables again and compare them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from games.base import Game, GameError
from games.random_play import begin_games
from games.registry import load, twin_of

FOLDER = Path("docs/games")
INDEX = "index.md"
BEGIN = "<!-- facts: written by `python -m games.pages` -->"
END = "<!-- end of facts -->"


def facts(game: Game) -> list[tuple[str, str]]:
    """The facts of a game that its code knows, each with its name: the rows of the table on its page."""
    own = game.observation_shape[0] - game.num_players
    parts = ("numbers", "rows", "planes")[len(game.observation_shape) - 1]
    twin = twin_of(game)
    return [
        ("game string", f"`{game.name}`" + (f"; OpenSpiel's own is `{twin}`" if twin else "")),
        ("version (`Game.rules`)", f"`{game.rules}`"),
        ("code", f"`{type(game).__module__}`"),
        ("players", str(game.num_players)),
        ("actions", str(game.num_actions)),
        ("observation", f"`{game.observation_shape}`: {own} {parts} and {game.num_players} of seats"),
        ("longest game", f"{game.max_game_length:,} moves of players"),
        ("chance", f"up to {game.max_chance_outcomes:,} outcomes" if game.max_chance_outcomes else "none"),
        ("rewards", "on the way" if game.has_rewards else "the result, in [-1, 1], with the last move"),
        ("returns", "sum to 0" if game.zero_sum else "do not sum to 0"),
        ("symmetries", f"{len(game.symmetries())} beside the identity" if game.symmetries() else "none declared"),
        ("judge of games that are cut off", "yes" if has_judge(game) else "none"),
    ]


def has_judge(game: Game) -> bool:
    """Whether the game decides who is ahead where it is cut off."""
    pool, slots = game.new_pool(1), np.zeros(1, np.int64)
    begin_games(pool, slots, 0, np.random.default_rng(0))
    judged = game.judge(pool, slots)
    pool.close()
    return judged is not None


def facts_table(game: Game) -> str:
    """The facts as a table of Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts(game))])


def index_table(folder: Path) -> str:
    """The table of all pages in `folder`."""
    rows = [
        "| game | game string | players | actions | observation | longest game | chance |",
        "|---|---|---|---|---|---|---|",
    ]
    for page in pages(folder):
        game = load(page.stem)
        shape = " × ".join(map(str, game.observation_shape))
        chance = "yes" if game.max_chance_outcomes else "no"
        rows.append(
            f"| [{title(page)}]({page.name}) | `{game.name}` | {game.num_players} | {game.num_actions} | {shape} "
            f"| {game.max_game_length:,} | {chance} |"
        )
    return "\n".join(rows)


def pages(folder: Path) -> list[Path]:
    """The pages of games in `folder`, in alphabetical order. Raises GameError for a folder without any."""
    found = sorted(page for page in folder.glob("*.md") if page.name != INDEX)
    if not found:
        raise GameError(f"{folder}: there are no pages of games here; run this in the folder of the project")
    return found


def title(page: Path) -> str:
    """The heading of a page."""
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def with_table(text: str, table: str, name: str) -> str:
    """The text of a page with `table` in place of the one that it has. Raises GameError for a page without a place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise GameError(f"{name}: the table of facts needs a line {BEGIN} and, below it, a line {END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def fresh_pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every page of `folder` and the index, each with the text that it should have."""
    for page in pages(folder):
        yield page, with_table(page.read_text(encoding="utf-8"), facts_table(load(page.stem)), page.name)
    index = folder / INDEX
    yield index, with_table(index.read_text(encoding="utf-8"), index_table(folder), index.name)


def main(folder: Path = FOLDER) -> int:
    """Write the tables into all pages of `folder`; returns the exit status."""
    try:
        for page, text in list(fresh_pages(folder)):
            if page.read_text(encoding="utf-8") != text:
                page.write_text(text, encoding="utf-8")
                print(page)
    except (GameError, OSError) as error:
        print(f"games.pages: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
