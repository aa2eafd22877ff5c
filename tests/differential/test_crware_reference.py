"""The compiled warehouses against the readable rules over random configurations; and without the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaps_envs import make_batched
from adaps_envs.crware import reference
from adaps_envs.crware.params import IMAGE_LAYERS
from adaps_envs.testing import compare_with_reference

REWARDS = ["individual", "global", "two_stage"]


@st.composite
def floors(draw: st.DrawFn) -> str:
    """Draw a small floor as text, crowded enough for deliveries, rings and queues in random play."""
    width, height = draw(st.integers(3, 6)), draw(st.integers(2, 5))
    signs = draw(st.lists(st.sampled_from("xx...g"), min_size=width * height, max_size=width * height))
    # At least one goal and two shelves.
    signs[:3] = "gxx"
    order = draw(st.permutations(range(width * height)))
    cells = [signs[k] for k in order]
    return "\n".join("".join(cells[row * width : (row + 1) * width]) for row in range(height))


@st.composite
def common(draw: st.DrawFn, layout: str) -> dict[str, Any]:
    """Draw the options that both warehouses have."""
    shelves = layout.count("x")
    return {
        "layout": layout,
        "request_queue_size": draw(st.integers(max(1, shelves - 3), shelves - 1)),
        "sensor_range": draw(st.integers(1, 3)),
        "reward_type": draw(st.sampled_from(REWARDS)),
        "max_cycles": draw(st.integers(5, 60)),
        "max_inactivity_steps": draw(st.none() | st.integers(3, 20)),
        "normalised_coordinates": draw(st.booleans()),
    }


@st.composite
def coloured(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a C-RWARE configuration with any roster."""
    layout = draw(floors())
    params = draw(common(layout))
    colours = draw(st.integers(1, 3))
    cells = len(layout.replace("\n", ""))
    roster = []
    for index in range(colours):
        others = draw(st.lists(st.integers(0, colours - 1), max_size=1))
        roster.append(
            {
                "count": draw(st.integers(1, max(1, min(4, cells // (colours + 1))))),
                "colours": [index, *others],
                "sensor_range": draw(st.integers(1, params["sensor_range"])),
                "action_rotation": draw(st.none() | st.integers(0, 4)),
            }
        )
    params |= {"num_colours": colours, "roster": roster}
    return {**params, "type_seed": draw(st.integers(0, 9)), "shuffle_obs": draw(st.booleans())}


@st.composite
def plain(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an RWARE configuration with any kind of observation."""
    layout = draw(floors())
    layers = draw(st.lists(st.sampled_from(IMAGE_LAYERS), min_size=1, unique=True))
    return {
        **draw(common(layout)),
        "num_agents": draw(st.integers(1, min(8, len(layout.replace("\n", "")) - 1))),
        "msg_bits": draw(st.integers(0, 2)),
        "observation_type": draw(st.sampled_from(["flattened", "dict", "image", "image_dict"])),
        "image_observation_layers": layers,
        "image_observation_directional": draw(st.booleans()),
    }


def _compare(env_id: str, params: dict[str, Any], steps: int, seed: int) -> None:
    env = make_batched(env_id, 2, **params)
    report = compare_with_reference(env, steps, np.random.default_rng(seed))
    assert report.mismatches == dict.fromkeys(report.mismatches, 0)
    assert {*env.get_state(), "rewards", "ended", "obs"} == set(report.mismatches)


@settings(max_examples=60)
@given(params=coloured(), seed=st.integers(0, 2**32))
def test_coloured_kernel_equals_reference(params: dict[str, Any], seed: int) -> None:
    _compare("CRWARE-tiny-4a-2c", params, 50, seed)


@settings(max_examples=60)
@given(params=plain(), seed=st.integers(0, 2**32))
def test_plain_kernel_equals_reference(params: dict[str, Any], seed: int) -> None:
    _compare("RWARE-tiny-4a", params, 50, seed)


@pytest.mark.slow
@settings(max_examples=500)
@given(params=coloured(), seed=st.integers(0, 2**32))
def test_coloured_kernel_equals_reference_at_length(params: dict[str, Any], seed: int) -> None:
    _compare("CRWARE-tiny-4a-2c", params, 100, seed)


@pytest.mark.slow
@settings(max_examples=500)
@given(params=plain(), seed=st.integers(0, 2**32))
def test_plain_kernel_equals_reference_at_length(params: dict[str, Any], seed: int) -> None:
    _compare("RWARE-tiny-4a", params, 100, seed)


@pytest.mark.parametrize("env_id", ["CRWARE-tiny-4a-2c", "RWARE-small-8a"])
def test_presets_equal_reference(env_id: str) -> None:
    _compare(env_id, {}, 40, 0)


def test_random_play_on_small_floors_reaches_the_rare_branches() -> None:
    """What the comparison above is worth: deliveries, rings and settled chains do happen in it."""
    env = make_batched(
        "CRWARE-tiny-4a-2c", 8, layout=".xx.\n....\n.xg.\nxxg.", num_agents=9, num_colours=1, request_queue_size=4,
    )  # fmt: skip
    generator, happened = np.random.default_rng(0), {"delivery": 0, "ring": 0, "tie": 0, "two": 0}
    env.reset(seed=0)
    for _ in range(150):
        before = env.get_state()
        actions = generator.choice(5, size=(8, 9), p=[0.05, 0.55, 0.15, 0.1, 0.15])
        rewards = env.step(actions)[1]
        happened["delivery"] += int(rewards.sum())
        happened["two"] += int((rewards.sum(axis=1) > 1).sum())
        after = env.get_state()
        for lane in range(8):
            moved = (before["agent_x"] != after["agent_x"])[lane] | (before["agent_y"] != after["agent_y"])[lane]
            old = {*zip(before["agent_x"][lane, moved], before["agent_y"][lane, moved], strict=True)}
            new = {*zip(after["agent_x"][lane, moved], after["agent_y"][lane, moved], strict=True)}
            happened["ring"] += moved.sum() >= 4 and old == new
            happened["tie"] += _ties(env.params, {name: array[lane] for name, array in before.items()}, actions[lane])
    assert happened["delivery"] > 10
    assert happened["two"] > 0
    assert happened["ring"] > 0
    assert happened["tie"] > 5


def _ties(params: Any, state: dict[str, Any], actions: np.ndarray) -> bool:
    tied = []

    def pick(leaders: Any) -> int:
        tied.append(len(leaders) > 1)
        return min(leaders)

    copy = {name: np.array(value) for name, value in state.items()}
    reference.execute(params, copy, reference.mapped_actions(params, actions.tolist()), pick)
    return any(tied)


def test_a_fault_in_the_rules_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "CLOCKWISE", (0, 2, 1, 3))
    report = compare_with_reference(make_batched("CRWARE-tiny-4a-2c", 2), 5, np.random.default_rng(0))
    assert report.mismatches["agent_dir"] > 0
    assert report.total > 0


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_same_game_without_the_compiler_and_with_bounds_checks(
    switch: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "import numpy as np\n"
        "from adaps_envs import make_batched, make_policy\n"
        "from adaps_envs.testing import digest; digest._STEPS = 12\n"
        "floor = dict(layout='.xx.x\\n.....\\nx.gxx\\n..g..', request_queue_size=3, max_cycles=6)\n"
        "runs = [('CRWARE-tiny-4a-2c', dict(num_agents=9, **floor)), ('CRWARE-small-9a-3c', dict(sensor_range=3)),\n"
        "        ('RWARE-tiny-4a', dict(num_agents=10, msg_bits=1, reward_type='two_stage', **floor)),\n"
        "        ('RWARE-tiny-4a', dict(observation_type='image_dict', **floor))]\n"
        "print(*(digest.trace_digest(name, **params) for name, params in runs))\n"
        "env = make_batched('CRWARE-tiny-4a-2c', 1, seed=0); obs = env.reset(); plan = make_policy('expert', env)\n"
        "print(sum(env.step(plan(obs))[0].sum() for _ in range(30)))"
    )
    answers = []
    for extra in ({}, {switch: "1", "NUMBA_CACHE_DIR": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**clean_environment, **extra}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers.append(done.stdout)
    assert answers[0] == answers[1]
    assert len(answers[0].split()) == 5
