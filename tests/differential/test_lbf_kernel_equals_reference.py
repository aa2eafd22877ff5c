"""The compiled rules of foraging against the readable ones, over random games; and without the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbf_games import games

from adaps_envs.lbf import reference
from adaps_envs.lbf.env import LBF
from adaps_envs.lbf.params import LBFParams
from adaps_envs.testing import compare_with_reference

KEYS = {
    "player_row", "player_col", "player_level", "player_score", "field", "current_step", "game_over", "valid_actions",
    "food_spawned", "rewards", "ended", "obs",
}  # fmt: skip
LANES, STEPS = 3, 14


def _compare(params: dict[str, Any], seed: int, steps: int = STEPS) -> int:
    report = compare_with_reference(LBF(LANES, LBFParams(**params)), steps, np.random.default_rng(seed))
    assert report.mismatches == dict.fromkeys(KEYS, 0), params
    return report.steps


@given(params=games(), seed=st.integers(0, 2**32))
@settings(max_examples=240)
def test_kernel_equals_reference(params: dict[str, Any], seed: int) -> None:
    _compare(params, seed)


@pytest.mark.slow
@given(params=games(), seed=st.integers(0, 2**32))
@settings(max_examples=1000)
def test_kernel_equals_reference_at_length(params: dict[str, Any], seed: int) -> None:
    assert _compare(params, seed, steps=35) == 105


@given(
    seed=st.integers(0, 2**32), num_players=st.integers(1, 7), sight=st.integers(0, 5), grid=st.booleans(),
    penalty=st.sampled_from([0.0, 0.25]), normalize=st.booleans(),
)  # fmt: skip
@settings(max_examples=150)
def test_kernel_equals_reference_in_crowds(
    seed: int, num_players: int, sight: int, grid: bool, penalty: float, normalize: bool
) -> None:
    """From injected states that no start gives: players on one cell, foods side by side and on the border."""
    params = LBFParams(
        players=num_players, field_size=(4, 5), max_num_food=6, sight=sight, grid_observation=grid, penalty=penalty,
        normalize_reward=normalize, max_player_level=3, max_food_level=4, max_cycles=30,
    )  # fmt: skip
    env, generator = LBF(1, params), np.random.default_rng(seed)
    for _ in range(6):
        field = np.zeros(20, int)
        field[generator.choice(20, generator.integers(0, 7), replace=False)] = generator.integers(1, 5)
        state = {
            "player_row": generator.integers(0, 4, (1, num_players)),
            "player_col": generator.integers(0, 5, (1, num_players)),
            "player_level": generator.integers(1, 4, (1, num_players)),
            "field": field.reshape(1, 4, 5),
            "food_spawned": np.array([float(max(field.sum(), 1))]),
            "current_step": generator.integers(0, 30, 1),
        }
        env.set_state(state)
        lane = {name: array[0] for name, array in env.get_state().items()}
        assert np.array_equal(env.observe()[0], reference.observe(params, lane))
        actions = generator.choice([0, 1, 2, 3, 4, 5, 5, 5, 5], (1, num_players))
        obs, rewards, terminated, truncated = env.step(actions)
        after, pay, over = reference.step(params, lane, actions[0].tolist())
        now = env.get_state()
        for name, value in after.items():
            assert np.array_equal(now[name][0], value), name
        assert np.array_equal(rewards[0], np.float32(pay))
        assert bool(terminated[0] | truncated[0]) == over
        assert np.array_equal(obs[0], reference.observe(params, after))


def test_food_that_was_never_spawned_pays_nothing() -> None:
    env = LBF(1, LBFParams(players=1, max_player_level=1, max_food_level=1, field_size=4))
    env.reset(seed=0)
    field = np.zeros((1, 4, 4), int)
    field[0, 1, 1] = 1
    env.set_state({"field": field, "food_spawned": [0.0], "player_row": [[1]], "player_col": [[2]]})
    _, rewards, terminated, _ = env.step(np.array([[5]]))
    assert rewards[0, 0] == 0.0
    assert terminated[0]


def test_a_fault_in_the_rules_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "STEPS", ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1), (0, 0)))
    report = compare_with_reference(LBF(2, LBFParams()), 5, np.random.default_rng(0))
    assert report.mismatches["player_row"] > 0
    assert report.mismatches["obs"] > 0


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_same_game_without_the_compiler_and_with_bounds_checks(
    switch: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "from adaps_envs.testing import digest; digest._STEPS = 25\n"
        "games = {'LBF-8x8-2p-3f': dict(max_cycles=9), 'LBF-10x10-3p-3f-2s': dict(field_size=(6, 7), penalty=0.1),\n"
        "  'LBF-10x10-6p-5f-3t': dict(max_cycles=9, grid_observation=True, sight=2),\n"
        "  'LBF-8x8-2p-2f-coop': dict(field_size=(3, 4), players=5, max_num_food=1, sight=1,\n"
        "    min_player_level=[1, 2, 3, 1, 1], max_player_level=[2, 2, 9, 9, 1])}\n"
        "print(*(digest.trace_digest(name, **params) for name, params in games.items()))"
    )
    answers = []
    for extra in ({}, {switch: "1", "NUMBA_CACHE_DIR": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**clean_environment, **extra}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers.append(done.stdout)
    assert answers[0] == answers[1]
    assert len(set(answers[0].split())) == 4
