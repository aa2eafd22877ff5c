"""The table "what is shared with whom", as plain text for a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaps_agents.diagnostics.sharing_map import SharingMap
from adaps_agents.schemes.base import PARTS

__all__ = ["brief_agents", "sharing_table"]

# More rows than these say less than one line about all of them.
MAX_ROWS = 24
MAX_MATRIX = 8
_AGENTS_WIDTH = 34


def sharing_table(sharing: SharingMap) -> str:
    """Return a few lines that say what is shared with whom, whatever the size of the team.

    A row is a set of agents that use the same parameters. ``uses`` counts the parameters that one of its agents uses,
    ``own`` is the share of them that no other set uses, and ``shared`` the share that another set uses too, on average.
    A small number of sets is followed by the shares for every two of them.
    """
    lines = [_heading(sharing)]
    if len(sharing.sets) == 1:
        return "\n".join([*lines, f"all agents share every parameter{_sample(sharing)}"])
    alone = all(len(members) == 1 for members in sharing.sets)
    if not sharing.complete or (alone and len(sharing.sets) > MAX_MATRIX):
        return "\n".join([*lines, *_overview(sharing)])
    lines += _rows(sharing)
    if len(sharing.sets) <= MAX_MATRIX:
        lines += _matrix(sharing)
    return "\n".join(lines)


def brief_agents(names: Sequence[str], members: Sequence[int], width: int = _AGENTS_WIDTH) -> str:
    """Return agents by name, runs shortened to ``agent_0 .. agent_4``, cut with their number where too long."""
    runs: list[list[int]] = []
    for member in members:
        if runs and runs[-1][-1] == member - 1:
            runs[-1].append(member)
        else:
            runs.append([member])
    parts = [
        names[run[0]] if len(run) == 1 else f"{names[run[0]]}{' .. ' if len(run) > 2 else ', '}{names[run[-1]]}"
        for run in runs
    ]
    text = ", ".join(parts)
    if len(text) <= width:
        return text
    kept: list[str] = []
    for part in parts:
        if len(", ".join([*kept, part])) > width - 5:
            break
        kept.append(part)
    return ", ".join([*kept, "..."])


def _heading(sharing: SharingMap) -> str:
    found = f" ({sharing.identity_steps:,} environment steps to find them)" if sharing.identity_steps else ""
    number = 0 if sharing.groups is None else len(set(sharing.groups))
    groups = f" in {number} group{'s' if number > 1 else ''}{found}" if number else ""
    return f"{sharing.scheme}: {len(sharing.agents)} agents{groups}, {sharing.trainable:,} trainable parameters"


def _rows(sharing: SharingMap) -> list[str]:
    header = ["set", "agents", *(name for part in PARTS for name in (f"{part} uses", "own", "shared"))]
    cells = [header]
    for place, members in enumerate(sharing.sets[:MAX_ROWS]):
        agents = brief_agents(sharing.agents, members)
        number = f" ({len(members)})" if len(members) > 1 else ""
        row = [str(place), agents + number]
        for part in PARTS:
            found = sharing.parts[part]
            others = np.delete(found.shared[place], place)
            row += [f"{found.used[place]:,}", _percent(found.own[place]), _percent(float(others.mean()))]
        cells.append(row)
    lines = _aligned(cells)
    left_out = len(sharing.sets) - MAX_ROWS
    return [*lines, f"... and {left_out} more sets"] if left_out > 0 else lines


def _matrix(sharing: SharingMap) -> list[str]:
    """Return, part by part, the share of a row's parameters that a column uses too."""
    tables = []
    for part in PARTS:
        shared = sharing.parts[part].shared
        numbers = [str(place) for place in range(len(shared))]
        cells = [[part, *numbers]]
        cells += [[number, *(_percent(value) for value in row)] for number, row in zip(numbers, shared, strict=True)]
        tables.append(_aligned(cells))
    lines = [f"  {'     '.join(pair)}" for pair in zip(*tables, strict=True)]
    return ["share of a row's parameters that a column uses too:", *lines]


def _overview(sharing: SharingMap) -> list[str]:
    """Return one line a part about all pairs of sets, where listing them would fill pages."""
    number = len(sharing.sets)
    alone = all(len(members) == 1 for members in sharing.sets)
    what = "no two agents use the same parameters" if alone else f"agents use {number} different sets of parameters"
    lines = [f"{what}{_sample(sharing)}"]
    for part in PARTS:
        found = sharing.parts[part]
        pairs = found.shared[~np.eye(number, dtype=bool)]
        low, mean, high = (_percent(share) for share in (pairs.min(), pairs.mean(), pairs.max()))
        shares = mean if low == high else f"{low} to {high} ({mean} on average)"
        lines.append(f"{part}: an agent uses {_span(found.used)} parameters; another one uses {shares} of them too")
    return lines


def _sample(sharing: SharingMap) -> str:
    return "" if sharing.complete else f" (as far as {sum(map(len, sharing.sets))} of them tell)"


def _span(counts: np.ndarray) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _percent(share: float) -> str:
    # Shares have four digits where they are stored: what is shown must not depend on the fifth.
    return f"{100 * round(share, 3):.0f} %"


def _aligned(cells: list[list[str]]) -> list[str]:
    """Return rows with columns of one width, numbers to the right and names to the left."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    aligned = []
    for row in cells:
        texts = [
            text.ljust(width) if cells[0][column] == "agents" else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        aligned.append("  ".join(texts).rstrip())
    return aligned
