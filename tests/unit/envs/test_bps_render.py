"""Pictures of BPS: a stored one, and what must be seen where."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adaps_envs
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.drawing import OVERSAMPLING, svg
from adaps_envs.families.bps.render import EXTENT, SIZE, TRAIL, _stacks, colour_of, draw, scene

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


def _trail_ends(env: BatchedEnv, lane: int = 0) -> list[list[float]]:
    """Return where trails begin and bend, ``[x, y]`` in the picture, without where they end."""
    lines = re.findall(r'<path d="M(\S+) (\S+)L\S+ \S+" stroke="(#\w+)"', env.render_svg(lane))
    paler = ["#" + bytes((255 + channel) // 2 for channel in colour_of(kind)).hex() for kind in range(3)]
    return [[float(x), float(y)] for x, y, colour in lines if colour in paler]


def test_a_trail_leads_through_the_places_of_the_last_pictures() -> None:
    env = adaps_envs.make_batched("BPS-1", 1, groups=[1, 1])
    env.reset(seed=0)
    generator, places = np.random.default_rng(0), []
    for step in range(TRAIL + 5):
        ends = _trail_ends(env)
        assert ends == _trail_ends(env), "a second picture of the same state"
        last = np.reshape(places[-TRAIL:], (-1, 2))
        assert len(ends) == 2 * min(step, TRAIL)
        assert np.allclose(np.reshape(ends, (-1, 2)), last, atol=0.1)
        places.append(env.agent_pixels(0) * OVERSAMPLING)
        env.step(generator.integers(1, 5, (1, 2)))


def test_a_trail_ends_where_the_episode_began_and_is_of_its_lane() -> None:
    env = adaps_envs.make_batched("BPS-1", 2, groups=[1, 1])
    env.reset(seed=0)
    for _ in range(3):
        env.render_frame(0)
        env.step(np.full((2, 2), 1))
    start = env.get_state()
    assert (len(_trail_ends(env, 0)), len(_trail_ends(env, 1))) == (6, 0)
    for _ in range(TRAIL + 1):
        env.step(np.full((2, 2), 1))
    assert _trail_ends(env, 0) == [], "its last picture is too long ago"
    env.set_state(start)
    assert _trail_ends(env, 0) == []
    env.reset()
    assert _trail_ends(env, 0) == []
    assert not set(env.get_state()) - set(start)


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


def test_stacks_are_those_of_all_pairs() -> None:
    generator = np.random.default_rng(0)
    for spread in (0.05, 0.3, 3.0):
        pos = generator.normal(size=(80, 2)) * spread
        near = np.linalg.norm(pos[:, None] - pos[None], axis=-1) < 0.1
        left, expected = set(range(80)), []
        while left:
            members = sorted(left & set(np.flatnonzero(near[min(left)]).tolist()))
            left -= set(members)
            expected += [members] if len(members) > 1 else []
        assert _stacks(pos) == expected


def test_stacks_of_a_large_team_take_no_memory_for_all_pairs() -> None:
    pos = np.random.default_rng(0).uniform(-3, 3, (2_000, 2))
    tracemalloc.start()
    try:
        assert _stacks(pos)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
