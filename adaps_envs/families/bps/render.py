"""Pictures of BPS without a display: a fixed window on the plane, drawn with Pillow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.drawing import Canvas, Scene, raster, write
from adaps_envs.core.palette import Colour, colour_of

__all__ = ["EXTENT", "SIZE", "TRAIL", "Trails", "colour_of", "draw", "pixels", "scene"]

# Half the width of the window in length units: landmarks lie within 3, and experts never leave it.
EXTENT = 4.0
SIZE = 400
# Radius of an agent, in length units; agents nearer than that to each other are counted as a stack.
_RADIUS = 0.1
# Where their number stands, to the right and above, outside of a landmark's ring.
_COUNT = 0.4
# How many steps a trail leads back.
TRAIL = 10

_BACKGROUND: Colour = (255, 255, 255)
_GRID: Colour = (232, 232, 232)
_AXIS: Colour = (200, 200, 200)
_INK: Colour = (40, 40, 40)
_UNUSED: Colour = (150, 150, 150)


def draw(
    pos: NDArray[np.float64],
    landmark_pos: NDArray[np.float64],
    agent_types: NDArray[np.int64],
    landmark_of: NDArray[np.int64],
    past: Sequence[NDArray[np.float64]] = (),
) -> NDArray[np.uint8]:
    """Draw one lane; arguments as for :func:`scene`.

    Returns:
        ``[SIZE, SIZE, 3] uint8``, a fresh array.
    """
    return raster(scene(pos, landmark_pos, agent_types, landmark_of, past))


def scene(
    pos: NDArray[np.float64],
    landmark_pos: NDArray[np.float64],
    agent_types: NDArray[np.int64],
    landmark_of: NDArray[np.int64],
    past: Sequence[NDArray[np.float64]] = (),
) -> Scene:
    """Return the picture of one lane.

    Agents are discs in their type's colour, landmarks are crosses with one ring for each type that they pay; grid lines
    are one length unit apart. An agent outside the window is a hollow disc at its border. A trail leads back to where
    an agent was, and a number tells how many agents lie on each other.

    Args:
        pos: ``[N, 2]`` positions (x to the right, y upwards), length units.
        landmark_pos: ``[G, 2]``.
        agent_types: ``[N]`` type of each agent.
        landmark_of: ``[N]`` index of the landmark that pays each agent.
        past: earlier ``pos``, oldest first; see :class:`Trails`.
    """
    kinds = [colour_of(kind) for kind in agent_types.tolist()]

    def paint(canvas: Canvas, zoom: int) -> None:
        _draw_grid(canvas, zoom)
        for index, point in enumerate(landmark_pos):
            types = np.unique(agent_types[landmark_of == index]).tolist()
            _draw_landmark(canvas, point, [colour_of(kind) for kind in types] or [_UNUSED], zoom)
        for before, after in itertools.pairwise([*past, pos]):
            moved = np.flatnonzero((before != after).any(axis=1))
            ends = np.concatenate([_places(before[moved], zoom), _places(after[moved], zoom)], axis=1)
            for agent, (x, y, to_x, to_y) in zip(moved.tolist(), ends.tolist(), strict=True):
                canvas.line((x, y, to_x, to_y), fill=_paler(kinds[agent]), width=2 * zoom)
        for agent, (x, y) in enumerate(_places(pos, zoom).tolist()):
            _draw_agent(canvas, x, y, kinds[agent], zoom, inside=bool((np.abs(pos[agent]) <= EXTENT).all()))
        for members in _stacks(pos):
            x, y = _place(pos[members].mean(axis=0), zoom)
            shift = _pixels(_COUNT, zoom)
            x, y = min(x + shift, (SIZE - 12) * zoom), max(y - shift, 10 * zoom)
            write(canvas, x, y, f"x{len(members)}", 13 * zoom, _INK)

    return Scene(SIZE, SIZE, _BACKGROUND, paint)


class Trails:
    """Where the agents of a lane were in its pictures of the last :data:`TRAIL` steps.

    Pictures remember this, and not the state: the game does not need it, and lanes that nobody draws pay nothing.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]] = {}

    def before(
        self, lane: int, step: int, landmark_pos: NDArray[np.float64], pos: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Return earlier ``pos [N, 2]`` of the lane, oldest first, and remember this one.

        Args:
            lane: index of the lane.
            step: steps of the episode.
            landmark_pos: ``[G, 2]``; other landmarks mean another episode.
            pos: ``[N, 2]`` positions.
        """
        landmarks, seen = self._seen.get(lane, (landmark_pos, {}))
        same = np.array_equal(landmarks, landmark_pos)
        past = {at: where for at, where in seen.items() if same and step - TRAIL <= at < step}
        self._seen[lane] = landmark_pos.copy(), past | {step: pos.copy()}
        return list(past.values())


def pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where ``points [N, 2]`` are in the picture, ``[N, 2]`` pixels (x, y); at its border if outside."""
    inside = np.clip(points, -EXTENT, EXTENT)
    return np.stack([inside[:, 0] + EXTENT, EXTENT - inside[:, 1]], axis=1) * SIZE / (2 * EXTENT)


def _stacks(pos: NDArray[np.float64]) -> list[list[int]]:
    """Return the sets of at least two agents that lie on each other, by their indices."""
    # Whoever is near lies in one of nine cells: of a large team, all pairs would be too many.
    cells: dict[tuple[float, float], list[int]] = {}
    of_agent = [(x, y) for x, y in np.floor(pos / _RADIUS).tolist()]
    for agent, cell in enumerate(of_agent):
        cells.setdefault(cell, []).append(agent)
    left, stacks = np.ones(len(pos), np.bool_), []
    for first, (x, y) in enumerate(of_agent):
        if not left[first]:
            continue
        around = {(x + dx, y + dy) for dx, dy in itertools.product((-1, 0, 1), repeat=2)}
        found = np.array(sorted(agent for cell in around for agent in cells.get(cell, ())), np.int64)
        found = found[left[found]]
        members = found[np.linalg.norm(pos[found] - pos[first], axis=1) < _RADIUS]
        left[members] = False
        stacks.append(members.tolist())
    return [members for members in stacks if len(members) > 1]


def _paler(colour: Colour) -> Colour:
    red, green, blue = ((255 + channel) // 2 for channel in colour)
    return red, green, blue


def _pixels(length: float, zoom: int) -> float:
    return length * SIZE * zoom / (2 * EXTENT)


def _place(point: NDArray[np.float64], zoom: int) -> tuple[float, float]:
    x, y = _places(point[None], zoom)[0].tolist()
    return x, y


def _places(points: NDArray[np.float64], zoom: int) -> NDArray[np.float64]:
    """Return where ``points [N, 2]`` are on the canvas, ``[N, 2]``; at its border if outside."""
    return pixels(points) * zoom


def _disc(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


def _draw_grid(canvas: Canvas, zoom: int) -> None:
    end = _pixels(2 * EXTENT, zoom)
    for unit in range(-int(EXTENT), int(EXTENT) + 1):
        at = _pixels(unit + EXTENT, zoom)
        colour = _AXIS if unit == 0 else _GRID
        canvas.line((at, 0, at, end), fill=colour, width=zoom)
        canvas.line((0, at, end, at), fill=colour, width=zoom)


def _draw_landmark(canvas: Canvas, point: NDArray[np.float64], colours: list[Colour], zoom: int) -> None:
    x, y = _place(point, zoom)
    arm = _pixels(0.17, zoom)
    for dx, dy in ((1, 1), (1, -1)):
        canvas.line((x - arm * dx, y - arm * dy, x + arm * dx, y + arm * dy), fill=colours[0], width=4 * zoom)
    for ring, colour in enumerate(colours):
        canvas.ellipse(_disc(x, y, _pixels(0.32 + 0.12 * ring, zoom)), outline=colour, width=2 * zoom)


def _draw_agent(canvas: Canvas, x: float, y: float, colour: Colour, zoom: int, *, inside: bool) -> None:
    fill, outline = (colour, _INK) if inside else (_BACKGROUND, colour)
    canvas.ellipse(_disc(x, y, _pixels(_RADIUS, zoom)), fill=fill, outline=outline, width=zoom)
