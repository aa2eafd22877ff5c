"""Pictures of foraging: a stored one, and what must be seen where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adaps_envs
from adaps_envs.core.palette import colour_of
from adaps_envs.families.lbf.render import LARGEST_CELL, SIZE, SMALLEST_CELL, cell_size, draw

GOLDEN = Path(__file__).parent / "golden" / "lbf_15x15_12p_6f_3t_seed_0.png"


def _draw(
    players: list[tuple[int, int, int]], foods: list[tuple[int, int, int]], types: list[int], shape: tuple[int, int]
) -> np.ndarray:
    field = np.zeros(shape, int)
    for row, col, level in foods:
        field[row, col] = level
    row, col, level = np.array(players).T
    return draw(field, row, col, level, np.array(types))


def _share(frame: np.ndarray, row: int, col: int, cell: int, colour: tuple[int, int, int]) -> float:
    """Return the share of a cell's pixels that have a colour, edges aside."""
    part = frame[row * cell : (row + 1) * cell, col * cell : (col + 1) * cell].astype(int)
    return float((np.abs(part - colour).max(axis=-1) < 12).mean())


def test_picture_equals_the_stored_one() -> None:
    env = adaps_envs.make_batched("LBF-15x15-12p-6f-3t", 1)
    env.reset(seed=0)
    stored = np.asarray(Image.open(GOLDEN).convert("RGB"), np.int16)
    frame = env.render_frame(0).astype(np.int16)
    assert frame.shape == stored.shape == (SIZE, SIZE, 3)
    # Smoothed edges and the digits may differ a little between versions of the drawing library.
    assert (np.abs(frame - stored).max(axis=-1) > 48).mean() < 0.004


def test_players_are_where_they_stand_in_their_types_colour() -> None:
    frame = _draw([(0, 0, 1), (4, 5, 2)], [], [0, 2], (6, 8))
    cell = cell_size(6, 8)
    assert frame.shape == (6 * cell, 8 * cell, 3)
    assert _share(frame, 0, 0, cell, colour_of(0)) > 0.3
    assert _share(frame, 4, 5, cell, colour_of(2)) > 0.3
    assert _share(frame, 4, 5, cell, colour_of(0)) == 0
    assert _share(frame, 2, 2, cell, colour_of(0)) == 0


def test_food_shows_where_it_is_until_it_is_gone() -> None:
    red = (176, 28, 46)
    with_food = _draw([(0, 0, 1)], [(2, 3, 4)], [0], (5, 5))
    without = _draw([(0, 0, 1)], [], [0], (5, 5))
    assert _share(with_food, 2, 3, cell_size(5, 5), red) > 0.25
    assert _share(without, 2, 3, cell_size(5, 5), red) == 0


@pytest.mark.parametrize("level", [1, 2, 9, 12, 345])
def test_levels_tell_pictures_apart(level: int) -> None:
    one = _draw([(1, 1, level)], [(3, 3, level)], [0], (5, 5))
    assert not np.array_equal(one, _draw([(1, 1, level + 1)], [(3, 3, level)], [0], (5, 5)))
    assert not np.array_equal(one, _draw([(1, 1, level)], [(3, 3, level + 1)], [0], (5, 5)))


def test_players_on_one_cell_are_all_seen() -> None:
    frame = _draw([(1, 1, 1), (1, 1, 2), (1, 1, 3)], [], [0, 1, 2], (3, 3))
    for kind in range(3):
        assert _share(frame, 1, 1, cell_size(3, 3), colour_of(kind)) > 0.04


def test_boards_of_any_size_have_pictures() -> None:
    assert cell_size(3, 3) == LARGEST_CELL
    assert cell_size(200, 10) == SMALLEST_CELL
    assert _draw([(99, 3, 1)], [(50, 2, 3)], [0], (100, 5)).shape == (100 * 8, 5 * 8, 3)


def test_every_frame_is_fresh() -> None:
    env = adaps_envs.make_batched("LBF-8x8-2p-3f", 2)
    env.reset(seed=0)
    left, right = env.render_frame(0), env.render_frame(0)
    left[:] = 0
    assert right.any()
    assert not np.array_equal(right, env.render_frame(1))
