"""Pictures of the warehouses: stored ones, and what must be seen where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adaps_envs import make_batched, make_policy
from adaps_envs.core.drawing import svg
from adaps_envs.core.palette import colour_of
from adaps_envs.families.crware.params import RWAREParams
from adaps_envs.families.crware.render import cell_size, draw, scene

GOLDEN = Path(__file__).parent / "golden"
PLAN = RWAREParams(layout="x....x\n......\n..gg..\nx....x", num_agents=1, request_queue_size=1).plan
CELL = cell_size(PLAN)


def _played(env_id: str) -> Any:
    env = make_batched(env_id, 1, seed=0)
    policy, obs = make_policy("expert", env), env.reset()
    for _ in range(45):
        obs = env.step(policy(obs))[0]
    return env


@pytest.mark.parametrize(
    ("env_id", "name"), [("CRWARE-tiny-4a-2c", "crware_tiny_seed_0.png"), ("RWARE-small-8a", "rware_small_seed_0.png")]
)
def test_picture_equals_the_stored_one(env_id: str, name: str) -> None:
    frame = _played(env_id).render_frame(0).astype(np.int16)
    stored = np.asarray(Image.open(GOLDEN / name).convert("RGB"), np.int16)
    frame = frame[: len(stored)]  # the floor, without the legend
    assert frame.shape == stored.shape
    # Smoothed edges may differ a little between versions of the drawing library.
    assert (np.abs(frame - stored).max(axis=-1) > 48).mean() < 0.002


def _state(carrying: int = -1, facing: int = 0, queue: tuple[int, ...] = (3,)) -> dict[str, np.ndarray]:
    state = {
        "agent_x": [2], "agent_y": [1], "agent_dir": [facing], "carrying": [carrying], "request_queue": list(queue),
        "shelf_x": [2 if carrying == 0 else 0, 5, 0, 5], "shelf_y": [1 if carrying == 0 else 0, 0, 3, 3],
    }  # fmt: skip
    return {name: np.array(value) for name, value in state.items()}


def _draw(carrying: int = -1, facing: int = 0, queue: tuple[int, ...] = (3,), colours: Any = None) -> np.ndarray:
    return draw(PLAN, _state(carrying, facing, queue), np.array([1]), None if colours is None else np.array(colours))


def _part(frame: np.ndarray, x: int, y: int) -> np.ndarray:
    return frame[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL]


def _has(part: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((part == colour).all(axis=-1).any())


def test_a_robot_has_its_types_colour_and_an_arrow_where_it_faces() -> None:
    dark = []
    for facing in range(4):
        part = _part(_draw(facing=facing), 2, 1)
        assert _has(part, colour_of(1))
        ink = (part < 60).all(axis=-1)[CELL // 4 : -CELL // 4, CELL // 4 : -CELL // 4]
        dark.append(np.argwhere(ink).mean(axis=0) - (np.array(ink.shape) - 1) / 2)
    up, down, left, right = dark
    assert up[0] < down[0]
    assert left[1] < right[1]


def test_shelves_show_their_colour_and_whether_they_are_requested() -> None:
    frame = _draw(colours=[0, 2, 0, 2])
    assert _has(_part(frame, 0, 0), colour_of(0))
    assert _has(_part(frame, 5, 0), colour_of(2))
    white = (255, 255, 255)
    assert _has(_part(frame, 5, 3), white)
    assert not _has(_part(frame, 5, 0), white)
    assert not _has(_part(_draw(), 0, 0), colour_of(0))


def test_a_load_is_seen() -> None:
    loaded, free = _part(_draw(carrying=0, colours=[2, 2, 2, 2]), 2, 1), _part(_draw(colours=[2, 2, 2, 2]), 2, 1)
    assert _has(loaded, colour_of(2))
    assert not _has(free, colour_of(2))


def test_a_legend_below_the_floor_shows_every_sign() -> None:
    legend = _draw(colours=[2, 2, 2, 2])[PLAN.height * CELL :]
    assert legend.shape[0] >= 24
    for colour in (colour_of(0), (30, 30, 30), (255, 255, 255)):
        assert _has(legend, colour)
    text = svg(scene(PLAN, _state(), np.array([1]), None))
    for meaning in ("goal", "shelf", "requested", "robot", "loaded robot"):
        assert f">{meaning}</text>" in text


def test_goals_are_chequered() -> None:
    goal = _part(_draw(), 3, 2)
    assert 0.3 < (goal < 60).all(axis=-1).mean() < 0.7


def test_frames_are_fresh_and_fit_large_floors() -> None:
    env = _played("CRWARE-tiny-4a-2c")
    left, right = env.render_frame(0), env.render_frame(0)
    left[:] = 0
    assert right.any()
    large = make_batched("RWARE-tiny-4a", 1, shelf_rows=9, shelf_columns=21, seed=0)
    large.reset()
    height, width, _ = large.render_frame(0).shape
    assert width == 64 * 8
    assert height > 83 * 8
