"""A team as SVG text: agents by group, and how much the groups have in common. It needs no plotting library."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adaps_envs.core.palette import colour_of

__all__ = ["team_figure"]

_WIDTH = 420
_CELL, _GAP, _LINE = 26, 8, 48
_MATRIX = 180
# From paper to the darkest ink of a share of 1.
_PAPER, _INK = np.array([247, 251, 255]), np.array([8, 48, 107])


def team_figure(
    description: str,
    labels: Sequence[int | None] | None,
    kinds: Sequence[int],
    matrices: Mapping[str, NDArray[np.float64]],
    *,
    kind: str,
) -> str:
    """Return an ``<svg>`` element; the same arguments give the same text.

    Agents are squares in the order of their groups, which a line holds together. Below, one matrix for each caption:
    the darker, the more of what the row group has the column group has, too.

    Args:
        description: text for those who don't see the picture.
        labels: ``[N]`` group of each agent, None for an agent that is left out; None draws no agents.
        kinds: ``[N]`` number that gives the colour of each agent.
        matrices: ``[K, K] float64`` shares from 0 to 1, by caption.
        kind: what the numbers are.
    """
    parts: list[str] = []
    height = 0 if labels is None else _draw_agents(parts, labels, kinds, kind)
    for place, (caption, matrix) in enumerate(matrices.items()):
        parts += _matrix(caption, matrix, (place % 2) * (_WIDTH // 2), height + (place // 2) * (_MATRIX + 56))
    height += -(-len(matrices) // 2) * (_MATRIX + 56)
    return (
        f'<svg class="map" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(description, quote=True)}" '
        f'font-family="sans-serif" font-size="11">{"".join(parts)}</svg>'
    )


def _draw_agents(parts: list[str], labels: Sequence[int | None], kinds: Sequence[int], kind: str) -> int:
    """Append squares and group lines; return the height that they take."""
    x, y = 0, 16
    for group in sorted({label for label in labels if label is not None}):
        members = [agent for agent, label in enumerate(labels) if label == group]
        if x and x + _CELL * len(members) > _WIDTH:
            x, y = 0, y + _LINE
        parts.append(f'<text x="{x}" y="{y - 5}">g{group}</text>')
        for agent in members:
            if x + _CELL > _WIDTH:
                x, y = 0, y + _LINE
            parts += _agent(agent, kinds[agent], kind, x, y)
            parts.append(f'<rect x="{x}" y="{y + _CELL}" width="{_CELL}" height="3" fill="#808080"/>')
            x += _CELL
        x += _GAP
    return y + _LINE


def _agent(agent: int, number: int, kind: str, x: int, y: int) -> Iterator[str]:
    red, green, blue = colour_of(max(number, 0))
    ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#fff"
    yield (
        f'<rect x="{x + 1}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" fill="rgb({red},{green},{blue})">'
        f"<title>agent {agent}, {kind} {number}</title></rect>"
    )
    yield f'<text x="{x + _CELL // 2}" y="{y + 16}" text-anchor="middle" fill="{ink}">{agent}</text>'


def _matrix(caption: str, matrix: NDArray[np.float64], x: int, y: int) -> Iterator[str]:
    shade = (_PAPER + matrix[..., None] * (_INK - _PAPER)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shade).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    lowest = f"{matrix[~np.eye(len(matrix), dtype=bool)].min():.2f}" if len(matrix) > 1 else "1.00"
    yield f'<text x="{x}" y="{y + 12}">{escape(caption)}</text>'
    # A picture of K x K pixels, drawn large: thousands of rectangles would weigh more than the page.
    yield (
        f'<image x="{x}" y="{y + 20}" width="{_MATRIX}" height="{_MATRIX}" preserveAspectRatio="none" '
        f'image-rendering="pixelated" href="data:image/png;base64,{data}"/>'
        f'<rect x="{x}" y="{y + 20}" width="{_MATRIX}" height="{_MATRIX}" fill="none" stroke="#999"/>'
    )
    yield f'<text x="{x}" y="{y + _MATRIX + 34}">lightest {lowest}, darkest 1.00</text>'
