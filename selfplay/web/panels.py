"""Which curves of a run are drawn together, in what order, and under which words.

In the flow: `selfplay.web.curves` reads the rows of a run, and asks here how to show their names. A reader wants to
know first how strong the player is, then whether it still learns, then how fast; everything else follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

STRENGTH, LOSSES, SPEED, PLAY, REST = "Strength", "Losses", "Speed", "Self-play", "Everything else"

SECTIONS = (STRENGTH, LOSSES, SPEED, PLAY, REST)
"""Parts of the page, in their order."""


@dataclass(frozen=True)
class Panel:
    """One plot: the metrics whose names match a pattern, each a line."""

    section: str
    title: str
    pattern: str
    """A regular expression for whole names; what its group finds is the label of the line."""
    band: tuple[str, str] | None = None
    """Metrics between which a band is drawn: the ends of an interval."""
    is_share: bool = False
    """Whether values are from 0 to 1."""
    is_return: bool = False
    """Whether it shows strength where a run plays in an environment, whose returns need no opponent."""


PANELS = (
    Panel(STRENGTH, "Rating", "eval/(elo)", ("eval/elo_low", "eval/elo_high")),
    Panel(STRENGTH, "Return of an episode, evaluated", "eval/(return)", ("eval/return_low", "eval/return_high")),
    Panel(STRENGTH, "Score against each opponent", "eval/score/(.+)", is_share=True),
    Panel(LOSSES, "Loss that is minimised", "train/(loss)"),
    Panel(LOSSES, "Parts of the loss", "train/(.+)_loss"),
    Panel(LOSSES, "Error against the targets", "train/(td_error|bellman_residual)"),
    Panel(SPEED, "Positions a second", "selfplay/(positions)_per_second"),
    Panel(SPEED, "Simulations a second", "selfplay/(simulations)_per_second"),
    Panel(SPEED, "Games a minute", "selfplay/(games)_per_minute"),
    Panel(PLAY, "Results of games", "selfplay/(first_player_win|draw|second_player_win)", is_share=True),
    Panel(PLAY, "Length of a game", "selfplay/game_(length)"),
    Panel(PLAY, "Return while playing", "selfplay/(return)", is_return=True),
    Panel(PLAY, "Value at the root", "selfplay/(root_value)"),
)
"""The plots before those of `REST`, which has one for each other name."""


def panels_of(
    names: Iterable[str], meaning: dict[str, list[str]], in_environment: bool = False
) -> list[dict[str, Any]]:
    """The plots of the metrics `names` as plain values, in order.

    `meaning` has unit and meaning of each name; `in_environment` says that the run plays in one, and not a game.
    """
    left = dict.fromkeys(names)
    found = []
    for panel in PANELS:
        lines = [(name, match) for name in left if (match := re.fullmatch(panel.pattern, name))]
        if lines:
            band = list(panel.band) if panel.band and all(name in left for name in panel.band) else None
            section = STRENGTH if panel.is_return and in_environment else panel.section
            plot = _plot(section, panel.title, lines[0][0], meaning, panel.is_share)
            plot["lines"] = [{"name": name, "label": _words(match[1])} for name, match in lines]
            found.append(plot | {"band": band})
            for name in (*(name for name, _ in lines), *(band or ())):
                del left[name]
    for name in left:
        plot = _plot(REST, _words(name.partition("/")[2] or name).capitalize(), name, meaning, False)
        found.append(plot | {"lines": [{"name": name, "label": _words(name)}], "band": None})
    return sorted(found, key=lambda plot: SECTIONS.index(plot["section"]))


def _plot(section: str, title: str, name: str, meaning: dict[str, list[str]], is_share: bool) -> dict[str, Any]:
    unit, about = meaning.get(name, ["", ""])
    is_share = is_share or unit == "share"
    return {"section": section, "title": title, "unit": unit, "about": about, "is_share": is_share}


def _words(name: str) -> str:
    """A name as people write it; the text of a player stays as it is."""
    return name if ":" in name else name.replace("_", " ")
