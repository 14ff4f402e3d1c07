"""A tournament as text, as one self-contained page, and as pictures.

The page has its pictures and its style inside and asks for nothing from outside.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selfplay.reports.html import as_png, html_answer, html_boards, html_picture, html_table, new_figure, page
from selfplay.stats.intervals import ELO_FORM, interval_text
from selfplay.storage.files import publish
from selfplay.tournament.diagrams import Diagram
from selfplay.tournament.standings import Standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 8
"""Largest number of players of a cross table in the terminal; larger ones are on the page alone."""

LINE_COLOUR, WIN_COLOURS = "#2a6f97", ("#2a6f97", "#c9c9c9", "#bc4749")


def text(standings: Standings) -> str:
    """The standings for a terminal."""
    width = max(len(row.player) for row in standings.table)
    lines = [
        f"{standings.game}, {standings.format}: {standings.games} games, {standings.distinct_games} of them distinct"
        + (f", {standings.unfinished} cut off" if standings.unfinished else ""),
        "",
        f"{'':>4} {'player':{width}}  {'Elo':>6} {'95 % interval':>16} {'ahead':>6} {'games':>6} {'score':>6}",
    ]
    for row in standings.table:
        interval = "anchor" if row.player == standings.anchor else interval_text(row.low, row.high, ELO_FORM)
        ahead = "" if row.superiority is None else f"{row.superiority:.1%}"
        forfeits = f"  {row.forfeits} forfeited" if row.forfeits else ""
        lines.append(
            f"{row.rank:>4} {row.player:{width}}  {row.elo:>+z6.0f} {interval:>16} {ahead:>6} {row.games:>6}"
            f" {row.score:>6.1%}{forfeits}"
        )
    lines += ["", f"Elo: by the expected score, draws counted half; {standings.anchor} = 0"]
    lines += ["ahead: likelihood that the player is stronger than the next one"]
    if 2 < len(standings.table) <= MOST_COLUMNS:
        lines += ["", *_cross_table(standings, width)]
    lines += [f"forfeit: {reason}" for reason in standings.forfeits]
    if standings.sprt:
        lines.append(_sprt_text(standings))
    return "\n".join(lines)


def write(standings: Standings, folder: Path, diagrams: Sequence[Diagram] = ()) -> Path:
    """Write `report.html`, with `diagrams` of games, and one PNG a picture; returns the page."""
    pictures = {name: draw_picture(standings, name) for name in PICTURES}
    for name, png in pictures.items():
        publish(folder / f"{name}.png", png)
    path = folder / "report.html"
    publish(path, _page(standings, pictures, diagrams).encode())
    return path


def _sprt_text(standings: Standings) -> str:
    state = standings.sprt
    assert state is not None
    first, second = standings.meetings[0].first, standings.meetings[0].second
    verdict = {"H1": "H1 accepted: stronger", "H0": "H0 accepted: not stronger", "": "open"}[state["verdict"]]
    return (
        f"SPRT: {verdict}  (log ratio {state['log_ratio']:+.2f}, bounds {state['low']:+.2f} and {state['high']:+.2f}; "
        f"{first} at {state['elo0']:+g} Elo by H0 or {state['elo1']:+g} by H1, {second} = 0)"
    )


def score_of(standings: Standings, row: str, column: str) -> float | None:
    """The score of one player against another; None where they did not meet."""
    for meeting in standings.meetings:
        if (meeting.first, meeting.second) == (row, column):
            return meeting.score
        if (meeting.first, meeting.second) == (column, row):
            return 1.0 - meeting.score
    return None


def _cross_table(standings: Standings, width: int) -> list[str]:
    players = [row.player for row in standings.table]
    lines = [f"{'':>4} {'score against':{width}}" + "".join(f"{i:>7}" for i in range(1, len(players) + 1))]
    for i, player in enumerate(players, start=1):
        cells = [score_of(standings, player, other) for other in players]
        lines.append(
            f"{i:>4} {player:{width}}" + "".join(f"{'' if cell is None else f'{cell:.1%}':>7}" for cell in cells)
        )
    return lines


# Pictures.


def draw_picture(standings: Standings, name: str) -> bytes:
    """The picture with a name of `PICTURES`, as PNG."""
    figure = _figure(len(standings.table))
    PICTURES[name](standings, figure)
    return as_png(figure)


def draw_curve(curve: dict[str, Any]) -> bytes:
    """The ratings of a run over its minutes, anchors as lines across, as PNG; the dictionary of `selfplay rate`."""
    figure = _figure(rows=8)
    axes = figure.subplots()
    points = curve["checkpoints"]
    minutes, elo, low, high = (np.array([point[key] for point in points]) for key in ("minutes", "elo", "low", "high"))
    axes.fill_between(minutes, low, high, color=LINE_COLOUR, alpha=0.15, linewidth=0)
    axes.plot(minutes, elo, "o-", color=LINE_COLOUR, markersize=4)
    for anchor in curve["anchors"]:
        axes.axhline(anchor["elo"], color="gray", linestyle="--", linewidth=1, zorder=0)
        axes.annotate(
            anchor["player"], (1.0, anchor["elo"]), (-4, 2), xycoords=("axes fraction", "data"), fontsize=8,
            textcoords="offset points", ha="right", color="dimgray",
        )  # fmt: skip
    axes.set(xlabel="minutes of training", ylabel=f"Elo, {curve['anchors'][0]['player']} = 0, with 95 % intervals")
    axes.grid(alpha=0.3)
    return as_png(figure)


def _figure(rows: int) -> Figure:
    """An empty figure as wide as a page, and high enough for `rows` rows."""
    return new_figure(7.0, max(3.2, 0.42 * rows + 1.4))


def _draw_ratings(standings: Standings, figure: Figure) -> None:
    axes = figure.subplots()
    rows = np.arange(len(standings.table))
    elo = np.array([row.elo for row in standings.table])
    spread = np.array([(row.elo - row.low, row.high - row.elo) for row in standings.table]).T
    axes.errorbar(elo, rows, xerr=spread, fmt="o", color=LINE_COLOUR, capsize=3)
    for row, value in zip(rows, elo):
        axes.annotate(f"{value:+z.0f}", (value, row), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    axes.set_ylim(-0.6, len(rows) - 0.4)  # before the axis is turned around
    axes.spines[["top", "right"]].set_visible(False)
    _name_rows(axes, [row.player for row in standings.table])
    axes.set(xlabel=f"Elo, {standings.anchor} = 0, with 95 % intervals")
    axes.grid(axis="x", alpha=0.3)


def _draw_cross_table(standings: Standings, figure: Figure) -> None:
    axes = figure.subplots()
    players = [row.player for row in standings.table]
    cells = [[score_of(standings, row, column) for column in players] for row in players]
    scores = np.array([[np.nan if cell is None else cell for cell in row] for row in cells])
    image = axes.imshow(scores, cmap="RdYlBu", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), score in np.ndenumerate(scores):
        if np.isfinite(score):
            colour = "black" if 0.15 < score < 0.85 else "white"
            axes.text(j, i, f"{100 * score:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(players)), [str(i + 1) for i in range(len(players))])
    axes.set_yticks(range(len(players)), [f"{_short(player)}  {i + 1}" for i, player in enumerate(players)])
    figure.colorbar(image, label="score of the row against the column")


def _draw_lengths(standings: Standings, figure: Figure) -> None:
    axes = figure.subplots()
    longest = max(standings.lengths)
    bins = list(range(min(standings.lengths), longest + 2)) if longest <= 60 else 40
    axes.hist(standings.lengths, bins=bins, color=LINE_COLOUR)
    axes.set(xlabel="moves of players in a game", ylabel="games")


def _draw_seats(standings: Standings, figure: Figure) -> None:
    axes = figure.subplots()
    counts = np.array(standings.seats, np.float64).reshape(-1, 3)
    shares = 100 * counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True))
    left = np.zeros(len(shares))
    for share, label, colour in zip(shares.T, ("won", "drawn", "lost"), WIN_COLOURS):
        axes.barh(range(len(shares)), share, left=left, label=label, color=colour)
        left += share
    _name_rows(axes, [f"seat {i}{', moves first' if i == standings.first_seat else ''}" for i in range(len(shares))])
    axes.set(xlabel="% of all games, whoever played", xlim=(0, 100))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.invert_yaxis()


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


PICTURES = {
    "ratings": _draw_ratings,
    "cross_table": _draw_cross_table,
    "lengths": _draw_lengths,
    "seats": _draw_seats,
}

_TITLES = {
    "ratings": "Ratings",
    "cross_table": "Who scored what against whom",
    "lengths": "How long the games were",
    "seats": "Results by seat",
}


def answer(standings: Standings) -> str:
    """Who is strongest, and how sure that is, in a sentence."""
    first, *others = standings.table
    if not others:
        return f"{first.player} played alone."
    second = others[0]
    likelihood = first.superiority if first.superiority is not None else 0.5
    sure = "more than 99.9%" if likelihood > 0.999 else f"{likelihood:.1%}"
    return (
        f"{first.player} is ahead of {second.player} by {first.elo - second.elo:.0f} Elo; "
        f"it is the stronger one with a likelihood of {sure}."
    )


def _page(standings: Standings, pictures: dict[str, bytes], diagrams: Sequence[Diagram]) -> str:
    head = ("rank", "player", "Elo", "95 % interval", "ahead of the next", "games", "won", "drawn", "lost", "score")
    rows = []
    for row in standings.table:
        interval = "anchor" if row.player == standings.anchor else interval_text(row.low, row.high, ELO_FORM)
        ahead = "" if row.superiority is None else f"{row.superiority:.1%}"
        cells = (row.rank, row.player, f"{row.elo:+z.0f}", interval, ahead, row.games, row.wins, row.draws, row.losses)
        rows.append((*map(str, cells), f"{row.score:.1%}"))
    first, *others = (html_picture(_TITLES[name], png) for name, png in pictures.items())
    boards = html_boards("Games that were won", [(one.text, one.png) for one in diagrams]) if diagrams else ""
    images = "\n".join([boards, *others])
    notes = [f"{standings.games} games, {standings.distinct_games} distinct, {standings.unfinished} cut off."]
    notes += [f"Elo by the expected score, draws counted half; {standings.anchor} = 0."]
    notes += [f"Forfeit: {reason}." for reason in standings.forfeits]
    notes += [f"{_sprt_text(standings)}."] if standings.sprt else []
    meetings = [
        (str(i), f"{m.first} – {m.second}", *map(str, (m.wins, m.draws, m.losses, m.distinct_games)))
        for i, m in enumerate(standings.meetings, start=1)
    ]
    body = f"""{html_answer(answer(standings))}
{first}
{"".join(f"<p>{html.escape(note)}</p>" for note in notes)}
{html_table(head, rows, text_column=1)}
{images}
<h2>Meetings</h2>
{html_table(("", "players", "won", "drawn", "lost", "distinct games"), meetings, text_column=1)}"""
    return page(f"{standings.game}: {standings.format} tournament", body)
