"""Pictures of grid worlds: values and policies on the map, side by side, and how fast exact values converge.

A panel is what one policy, or one table of action values, makes of a world: colours and numbers are values, arrows the
actions that are taken, all of them where several tie. Pictures are PNG; `selfplay.storage.files.publish` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from games.environments.grid_map import CLIFF, GOAL, LEGEND, MOVES, PIT, START, WALL
from games.environments.grid_world import ACTIONS, GridWorld
from games.environments.mdp import (
    TabularMdp,
    constant_policy,
    greedy_policy,
    optimal_q,
    policy_evaluation,
    uniform_policy,
)
from selfplay.reports.html import as_png, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

WIDTH = 11.0
"""Width of a picture in inches, which panels side by side share as far as `CELL_SIZES` allows."""

CELL_SIZES = (0.55, 1.1)
"""Smallest and largest size of a cell, in inches."""

ROOM_FOR_DIGITS = 0.7
"""Size of a cell in inches that three digits fit into; smaller ones have two."""

FULL_SIZE_CHARACTERS = 4.6
"""Number of characters beyond which numbers are written smaller, so that they stay clear of the arrows."""

INK, WALL_COLOUR = "#1c1c1c", "#4a4e55"

SPECIAL_COLOURS = {GOAL: "#2e7d32", PIT: "#b3261e", CLIFF: "#b3261e"}

CURVE_COLOURS = ("#2a6f97", "#e09f3e", "#bc4749", "#5f7a4d", "#6d597a")


@dataclass(frozen=True, eq=False)
class GridPanel:
    """A picture of one policy."""

    title: str
    values: Float[np.ndarray, " S"]
    policy: Float[np.ndarray, "S A"]  # probabilities; small ones are small arrows


def policy_panel(title: str, mdp: TabularMdp, policy: Float[np.ndarray, "S A"], discount: float) -> GridPanel:
    """A policy with its exact values. Raises GameError where it has none."""
    return GridPanel(title, policy_evaluation(mdp, policy, discount), policy)


def greedy_panel(title: str, q: Float[np.ndarray, "S A"]) -> GridPanel:
    """Action values, exact or learned: the best of each state, and the actions that have it."""
    return GridPanel(title, q.max(axis=1), greedy_policy(q))


def bad_and_optimal(world: GridWorld, discount: float, action: int | None = None) -> list[GridPanel]:
    """The policy that always takes `action`, or the random one without it, beside the optimal one. Raises GameError."""
    mdp = world.to_mdp()
    if action is None:
        bad = policy_panel("uniformly random", mdp, uniform_policy(mdp), discount)
    else:
        bad = policy_panel(f"always {ACTIONS[action]}", mdp, constant_policy(mdp, action), discount)
    return [bad, greedy_panel("optimal", optimal_q(mdp, discount))]


def draw_panels(world: GridWorld, panels: Sequence[GridPanel], same_colours: bool = True) -> bytes:
    """Panels of one world side by side, or one below the other where the map is wide.

    `same_colours` gives all one scale; without it each has its own, for values that are orders of magnitude apart.
    """
    height, width = len(world.grid.rows), len(world.grid.rows[0])
    across, down = (1, len(panels)) if width > 2 * height else (len(panels), 1)
    scales = 1 if same_colours else across
    size = float(np.clip(WIDTH / (across * width), *CELL_SIZES))
    figure = _figure(across * width * size + scales * 1.2 + 0.2, down * (height * size + 0.6))
    all_axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    shown = [panel.values[~world.terminal] for panel in panels]
    for axes, panel, own in zip(all_axes, panels, shown):
        norm, colours = _colours(np.concatenate(shown) if same_colours else own)
        axes.imshow(world.on_grid(np.where(world.terminal, np.nan, panel.values)), cmap=colours, norm=norm, zorder=0)
        _draw_map(axes, world, size)
        _draw_numbers(axes, world, panel, size)
        _draw_arrows(axes, world, panel)
        if not same_colours:
            _draw_scale(figure, [axes], norm, colours)
    if same_colours:
        _draw_scale(figure, all_axes, norm, colours)
    return as_png(figure)


def draw_convergence(residuals: Mapping[float, Float[np.ndarray, " n"]], title: str = "") -> bytes:
    """Residuals of Q-iteration by discount, and the lines that they may not exceed: the first one times discount^k."""
    figure = _figure(8.4, 4.0)
    axes = figure.subplots()
    for (discount, measured), colour in zip(residuals.items(), CURVE_COLOURS * len(residuals)):
        sweeps = np.arange(1, len(measured) + 1)
        shown = measured > 0  # a sweep that changes nothing has no logarithm
        axes.plot(sweeps[shown], measured[shown], color=colour, linewidth=1.8, label=f"discount {discount:g}")
        bound = measured[0] * discount ** (sweeps - 1.0)
        axes.plot(sweeps, bound, color=colour, linewidth=1.0, linestyle="--", alpha=0.8)
    axes.plot([], [], color="gray", linewidth=1.0, linestyle="--", label="bound: first residual\n× discount$^{k−1}$")
    lowest = min(float(measured[measured > 0].min(initial=1.0)) for measured in residuals.values())
    axes.set(xlabel="sweep k", ylabel="greatest change of an action value", yscale="log", title=title)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=lowest / 2)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return as_png(figure)


def _draw_map(axes: Axes, world: GridWorld, size: float) -> None:
    """Walls, cliffs, ends and starts; `size` is that of a cell in inches."""
    from matplotlib.patches import Rectangle

    grid = world.grid
    rewards = {GOAL: grid.goal_reward, PIT: grid.pit_reward, CLIFF: grid.cliff_reward}
    for i, j in grid.cells(WALL).tolist():
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, color=WALL_COLOUR, linewidth=0.5, zorder=2))
    for cell, colour in SPECIAL_COLOURS.items():
        text = f"{LEGEND[cell].partition(':')[0]}\n{_signed(rewards[cell])}"
        for i, j in grid.cells(cell).tolist():
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, alpha=0.16, linewidth=0))
            if cell != CLIFF:
                axes.add_patch(
                    Rectangle((j - 0.42, i - 0.42), 0.84, 0.84, fill=False, edgecolor=colour, linewidth=2.2 * size)
                )
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=12 * size, linespacing=1.15)
    for i, j in grid.cells(START).tolist():
        axes.text(j - 0.44, i - 0.43, "S", ha="left", va="top", color=INK, fontsize=11 * size, fontweight="bold")
    height, width = len(grid.rows), len(grid.rows[0])
    axes.set_xticks(np.arange(0.5, width - 1), [])
    axes.set_yticks(np.arange(0.5, height - 1), [])
    axes.grid(color="white", linewidth=1.2 * size)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    for spine in axes.spines.values():
        spine.set(color=WALL_COLOUR, linewidth=1.5)


def _draw_numbers(axes: Axes, world: GridWorld, panel: GridPanel, size: float) -> None:
    digits = 3 if size >= ROOM_FOR_DIGITS else 2
    decimals = _decimals(panel.values[~world.terminal], digits)
    for (i, j), value, terminal in zip(world.cells.tolist(), panel.values.tolist(), world.terminal):
        if not terminal:
            text = _number(value, decimals)
            fitting = min(1.0, FULL_SIZE_CHARACTERS / len(text))
            axes.text(j, i, text, ha="center", va="center", color=INK, fontsize=13 * size * fitting)
    from_start = _number(float(panel.values[world.starts].mean()), _decimals(panel.values[~world.terminal], 3))
    axes.set_title(f"{panel.title}: {from_start} from the start", fontsize=13, color=INK)


def _draw_arrows(axes: Axes, world: GridWorld, panel: GridPanel) -> None:
    """A head at the side of the cell for every action that is taken, as large as it is likely."""
    from matplotlib.collections import PolyCollection

    heads = []
    for state in np.flatnonzero(~world.terminal):
        row, column = world.cells[state]
        for (down, right), share in zip(MOVES, panel.policy[state] / panel.policy[state].max()):
            if share > 0:
                ahead, aside = np.array([right, down]), np.array([-down, right])
                tip, base, half = 0.45, 0.45 - 0.15 * np.sqrt(share), 0.13 * np.sqrt(share)
                corners = np.array([tip * ahead, base * ahead + half * aside, base * ahead - half * aside])
                heads.append(np.array([column, row]) + corners)
    axes.add_collection(PolyCollection(heads, facecolors=INK, edgecolors="white", linewidths=0.4, zorder=3))


def _draw_scale(figure: Figure, all_axes: Sequence[Axes], norm: Normalize, colours: Colormap) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, colours), ax=all_axes, label="value", aspect=30, pad=0.02)
    bar.outline.set_visible(False)


def _colours(values: np.ndarray) -> tuple[Normalize, Colormap]:
    """Blue is good and red is bad, 0 between them; where values have one sign, darker is better.

    The dark ends are left off, so that black numbers and arrows can be read on every colour.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, Normalize

    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        most = max(-low, high)
        return Normalize(-most, most), ListedColormap(colormaps["RdBu"](np.linspace(0.18, 0.82, 256)))
    norm = Normalize(low, high if high > low else low + 1.0)
    return norm, ListedColormap(colormaps["YlGnBu"](np.linspace(0.0, 0.58, 256)))


def _decimals(values: np.ndarray, digits: int) -> int:
    """Number of decimals with which the largest number has `digits` digits, at most `digits`; 0 for whole ones."""
    if np.allclose(values, np.round(values), rtol=0.0, atol=1e-6):
        return 0
    largest = float(np.abs(values).max())
    return int(np.clip(digits - 1 - np.floor(np.log10(largest)), 0, digits))


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}".replace("-", "−")
    return text.lstrip("−") if float(text.replace("−", "-")) == 0 else text


def _signed(reward: float) -> str:
    return f"{reward:+g}".replace("-", "−") if reward else "0"


def _figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches, with some air around it."""
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    return figure
