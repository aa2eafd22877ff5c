"""A picture of who shares what with whom."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adaps_agents.diagnostics.sharing_map import SharingMap, sharing_map
from adaps_agents.schemes.base import PARTS
from adaps_envs.errors import InvalidParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FORMATS", "draw_sharing"]

FORMATS = (".svg", ".png")
# Okabe and Ito's colours, told apart by colour-blind readers; they repeat from the ninth set on, the numbers do not.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_COLUMNS = 25
_MAX_NUMBERED = 10
_MAX_TICKS = 16


def draw_sharing(sharing: Any, path: str | Path) -> None:
    """Draw the team, coloured by the sets of agents that use the same parameters, over what the sets share.

    The same sharing gives the same SVG bytes.

    Args:
        sharing: a :class:`SharingMap`, its JSON form, or a learner, policy or scheme to map.
        path: ``.svg`` or ``.png``; missing folders are made.

    Raises:
        InvalidParameterError: another suffix, or nothing to draw.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InvalidParameterError(f"cannot draw {target.name!r}; its suffix must be one of {', '.join(FORMATS)}.")
    if isinstance(sharing, dict):
        sharing = SharingMap.from_json(sharing)
    elif not isinstance(sharing, SharingMap):
        sharing = sharing_map(sharing)
    target.parent.mkdir(parents=True, exist_ok=True)
    _draw(sharing, target)


def _draw(sharing: SharingMap, target: Path) -> None:
    # Loaded on use: importing matplotlib takes longer than most runs' set-up.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    lines = math.ceil(len(sharing.agents) / _COLUMNS)
    height = 3.6 + 0.3 * lines
    with mpl.rc_context({"svg.hashsalt": "sharing", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.4, height), layout="constrained")
        team, *matrices = _axes(figure, lines)
        number = len(sharing.sets)
        what = f"{number} different sets of parameters" if number > 1 else "every parameter shared by all"
        sample = "" if sharing.complete else f" among {sum(map(len, sharing.sets))} of them"
        figure.suptitle(f"{sharing.scheme}: {len(sharing.agents)} agents, {what}{sample}")
        _draw_team(team, sharing)
        for axes, part in zip(matrices, PARTS, strict=True):
            _draw_matrix(axes, sharing, part)
        metadata = {"Date": None} if target.suffix.lower() == ".svg" else None
        figure.savefig(target, format=target.suffix[1:].lower(), metadata=metadata, dpi=120)


def _axes(figure: Any, lines: int) -> list[Axes]:
    grid = figure.add_gridspec(2, 2, height_ratios=[0.3 * lines + 0.15, 3.0])
    return [figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])]


def _draw_team(axes: Axes, sharing: SharingMap) -> None:
    """Draw one square an agent, in agent order, with the number of its set."""
    from matplotlib.patches import Rectangle

    set_of = {agent: place for place, members in enumerate(sharing.sets) for agent in members}
    for agent in range(len(sharing.agents)):
        x, y, place = agent % _COLUMNS, agent // _COLUMNS, set_of.get(agent)
        colour = "#FFFFFF" if place is None else _COLOURS[place % len(_COLOURS)]
        axes.add_patch(Rectangle((x, y), 0.92, 0.92, facecolor=colour, edgecolor="#555555", linewidth=0.5))
        if place is not None:
            axes.text(x + 0.46, y + 0.48, str(place), ha="center", va="center", fontsize=7, color=_ink(colour))
    axes.set_xlim(-0.1, _COLUMNS)
    axes.set_ylim(math.ceil(len(sharing.agents) / _COLUMNS), -0.1)
    axes.set_axis_off()
    axes.set_title(f"{sharing.agents[0]} to {sharing.agents[-1]}, with the number of the set", fontsize=9, loc="left")


def _draw_matrix(axes: Axes, sharing: SharingMap, part: str) -> None:
    """Draw the share of a row's parameters that a column uses too."""
    shared = sharing.parts[part].shared
    number = len(shared)
    axes.imshow(shared, vmin=0.0, vmax=1.0, cmap="Blues", aspect="equal", interpolation="nearest")
    axes.set_title(f"{part}: % of a row's parameters that a column uses too", fontsize=8)
    if number <= _MAX_NUMBERED:
        for row, column in np.ndindex(number, number):
            value = float(shared[row, column])
            ink = "#FFFFFF" if value > 0.6 else "#000000"
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=8)
    ticks = range(0, number, math.ceil(number / _MAX_TICKS))
    axes.set_xticks(list(ticks))
    axes.set_yticks(list(ticks))
    axes.set_xlabel("set")
    axes.set_ylabel("set")


def _ink(colour: str) -> str:
    """Return black or white, whichever is read better on a colour."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#FFFFFF"
