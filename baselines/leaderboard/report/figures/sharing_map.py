"""Who shares what with whom, as SVG text: agents by group, and how far the groups' masks overlap."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adaps_envs.core.palette import colour_of
from baselines.leaderboard.records.metadata_files import Sharing

__all__ = ["group_labels", "mask_overlaps", "sharing_map"]

MAX_AGENTS = 1_024

_OVERLAP_KEY = re.compile(r"([a-z]{1,20})_mask_overlap")
_AGENT_KEY = re.compile(r"agent_(\d{1,4})")
_WIDTH = 420
_CELL, _GAP, _LINE = 26, 8, 48
_MATRIX = 180
# From paper to the darkest ink of an overlap of 1.
_PAPER, _INK = np.array([247, 251, 255]), np.array([8, 48, 107])


def group_labels(sharing: Sharing) -> list[int] | None:
    """Return the group ``[N]`` of each agent, also of schemes that do not look for groups; None if unknown."""
    agents = sharing.summary.get("agents")
    if isinstance(agents, dict):
        found = {int(match[1]): group for name, group in agents.items() if (match := _AGENT_KEY.fullmatch(name))}
        labels = [found.get(agent) for agent in range(len(sharing.agent_types))]
        if all(isinstance(label, int) and 0 <= label < MAX_AGENTS for label in labels):
            return [int(label) for label in labels]  # type: ignore[arg-type]
    return sharing.assignment


def mask_overlaps(sharing: Sharing) -> dict[str, NDArray[np.float64]]:
    """Return, for each masked network, the share ``[K, K]`` of a row group's units that the column keeps, too."""
    found = {}
    for key, value in sorted(sharing.summary.items()):
        match = _OVERLAP_KEY.fullmatch(key)
        if match is not None and (matrix := _square(value)) is not None:
            found[match[1]] = matrix
    return found


def sharing_map(sharing: Sharing) -> str | None:
    """Return the picture of a run's sharing; None if nothing in the record says who shares.

    Agents are squares in the colour of their hidden type, in the order of their groups, which a line holds together.
    Below, one matrix a masked network: the darker, the more of the row group's units the column group keeps, too.
    """
    labels, overlaps = group_labels(sharing), mask_overlaps(sharing)
    agents = len(sharing.agent_types)
    if (labels is None and not overlaps) or not 0 < agents <= MAX_AGENTS:
        return None
    parts: list[str] = []
    height = 0
    if labels is not None:
        height = _draw_agents(parts, labels, sharing.agent_types)
    for place, (network, matrix) in enumerate(overlaps.items()):
        x, y = (place % 2) * (_WIDTH // 2), height + (place // 2) * (_MATRIX + 56)
        parts += _matrix(network, matrix, x, y)
    height += -(-len(overlaps) // 2) * (_MATRIX + 56)
    text = escape(_description(labels, agents, overlaps), quote=True)
    return (
        f'<svg class="map" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{text}" '
        f'font-family="sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _draw_agents(parts: list[str], labels: list[int], types: list[int]) -> int:
    """Append squares and group lines; return the height that they take."""
    x, y = 0, 16
    for group in sorted(set(labels)):
        members = [agent for agent, label in enumerate(labels) if label == group]
        if x and x + _CELL * len(members) > _WIDTH:
            x, y = 0, y + _LINE
        parts.append(f'<text x="{x}" y="{y - 5}">g{group}</text>')
        for agent in members:
            if x + _CELL > _WIDTH:
                x, y = 0, y + _LINE
            parts += _agent(agent, types[agent], x, y)
            parts.append(f'<rect x="{x}" y="{y + _CELL}" width="{_CELL}" height="3" fill="#333"/>')
            x += _CELL
        x += _GAP
    return y + _LINE


def _agent(agent: int, kind: int, x: int, y: int) -> Iterator[str]:
    red, green, blue = colour_of(max(kind, 0))
    ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#fff"
    yield (
        f'<rect x="{x + 1}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" fill="rgb({red},{green},{blue})">'
        f"<title>agent {agent}, hidden type {kind}</title></rect>"
    )
    yield f'<text x="{x + _CELL // 2}" y="{y + 16}" text-anchor="middle" fill="{ink}">{agent}</text>'


def _matrix(network: str, matrix: NDArray[np.float64], x: int, y: int) -> Iterator[str]:
    shade = (_PAPER + matrix[..., None] * (_INK - _PAPER)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shade).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    lowest = f"{matrix[~np.eye(len(matrix), dtype=bool)].min():.2f}" if len(matrix) > 1 else "1.00"
    yield f'<text x="{x}" y="{y + 12}">{network}: overlap of masks, {len(matrix)} groups</text>'
    # A picture of K x K pixels, drawn large: thousands of rectangles would weigh more than the page.
    yield (
        f'<image x="{x}" y="{y + 20}" width="{_MATRIX}" height="{_MATRIX}" preserveAspectRatio="none" '
        f'image-rendering="pixelated" href="data:image/png;base64,{data}"/>'
        f'<rect x="{x}" y="{y + 20}" width="{_MATRIX}" height="{_MATRIX}" fill="none" stroke="#999"/>'
    )
    yield f'<text x="{x}" y="{y + _MATRIX + 34}">lightest {lowest}, darkest 1.00</text>'


def _description(labels: list[int] | None, agents: int, overlaps: dict[str, NDArray[np.float64]]) -> str:
    groups = "no groups" if labels is None else f"{len(set(labels))} groups"
    networks = "".join(
        f"; masks of the {network} overlap by {matrix.min():.2f} to 1.00" for network, matrix in overlaps.items()
    )
    return f"{agents} agents in {groups}{networks}"


def _square(value: Any) -> NDArray[np.float64] | None:
    """Return a matrix of shares from JSON that somebody else may have written; None if it is none."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_AGENTS:
        return None
    if not all(isinstance(row, list) and len(row) == len(value) for row in value):
        return None
    if not all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for row in value for entry in row):
        return None
    return np.clip(np.array(value, np.float64), 0.0, 1.0)
