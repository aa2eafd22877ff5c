"""The compiled rules of foraging against the readable ones from states that no start gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adaps_envs.families.lbf import reference
from adaps_envs.families.lbf.env import LBF
from adaps_envs.families.lbf.params import LBFParams


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
