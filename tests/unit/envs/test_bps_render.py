"""Pictures of BPS: a stored one, and what must be seen where."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adaps_envs
from adaps_envs.core.drawing import svg
from adaps_envs.families.bps.render import EXTENT, SIZE, colour_of, draw, scene

GOLDEN = Path(__file__).parent / "golden" / "bps_1_seed_0.png"


def _pixel(x: float, y: float) -> tuple[int, int]:
    scale = SIZE / (2 * EXTENT)
    return round((EXTENT - y) * scale), round((x + EXTENT) * scale)


def _draw(pos: list[list[float]], landmarks: list[list[float]], types: list[int]) -> np.ndarray:
    return draw(np.array(pos, float), np.array(landmarks, float), np.array(types), np.array(types))


def test_picture_equals_the_stored_one() -> None:
    env = adaps_envs.make_batched("BPS-1", 1)
    env.reset(seed=0)
    stored = np.asarray(Image.open(GOLDEN).convert("RGB"), np.int16)
    frame = env.render_frame(0).astype(np.int16)
    assert frame.shape == stored.shape == (SIZE, SIZE, 3)
    # Smoothed edges may differ a little between versions of the drawing library.
    assert (np.abs(frame - stored).max(axis=-1) > 48).mean() < 0.002


@pytest.mark.parametrize(("x", "y"), [(0.5, 2.5), (-3.5, 1.5), (2.5, -3.5)])
def test_an_agent_is_where_it_stands_in_its_types_colour(x: float, y: float) -> None:
    frame = _draw([[x, y]], [[-2.0, -2.0], [3.0, 3.0]], [1])
    assert tuple(frame[_pixel(x, y)]) == colour_of(1)


def test_a_landmark_has_the_colour_of_the_type_that_it_pays() -> None:
    frame = _draw([[0.0, 0.0], [1.0, 0.0]], [[-2.5, -2.5], [2.5, 2.5]], [0, 1])
    assert tuple(frame[_pixel(-2.5, -2.5)]) == colour_of(0)
    assert tuple(frame[_pixel(2.5, 2.5)]) == colour_of(1)


def test_an_agent_outside_is_a_hollow_disc_at_the_border() -> None:
    frame = _draw([[9.0, 0.5]], [[-2.5, -2.5]], [0])
    row = frame[_pixel(0, 0.5)[0]]
    assert tuple(row[-1]) != colour_of(0)
    assert any(tuple(pixel) == colour_of(0) for pixel in row[-8:])


def test_a_trail_leads_back_along_the_velocity() -> None:
    pos, landmarks, types = np.array([[0.5, 0.5]]), np.array([[-3.0, -3.0]]), np.array([0])
    still = draw(pos, landmarks, types, types, np.zeros((1, 2)))
    moving = draw(pos, landmarks, types, types, np.array([[2.0, 0.0]]))
    rows, columns = np.nonzero((still != moving).any(axis=-1))
    assert abs(columns.min() - _pixel(-0.5, 0.5)[1]) <= 2
    assert columns.max() < _pixel(0.5, 0.5)[1]
    assert abs(rows.mean() - _pixel(-0.5, 0.5)[0]) < 2


@pytest.mark.parametrize(
    ("pos", "counts"),
    [
        ([[0.0, 0.0], [1.0, 1.0]], []),
        ([[0.0, 0.0], [0.02, 0.01], [0.0, 0.05], [2.0, 2.0]], [3]),
        ([[0.0, 0.0], [0.0, 0.0], [-3.9, 3.9], [-3.9, 3.9], [9.0, 0.0]], [2, 2]),
    ],
)
def test_agents_on_each_other_are_counted(pos: list[list[float]], counts: list[int]) -> None:
    types = np.zeros(len(pos), int)
    text = svg(scene(np.array(pos), np.array([[-3.0, -3.0]]), types, types))
    assert [int(count) for count in re.findall(r">x(\d+)</text>", text)] == counts


def test_colours_stay_distinct_beyond_the_palette() -> None:
    assert len({colour_of(index) for index in range(21)}) == 21


def test_every_frame_is_fresh() -> None:
    env = adaps_envs.make_batched("BPS-1", 2)
    env.reset(seed=0)
    left, right = env.render_frame(0), env.render_frame(0)
    left[:] = 0
    assert right.any()
    assert not np.array_equal(right, env.render_frame(1))
