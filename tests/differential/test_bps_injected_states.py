"""The compiled rules of BPS against the readable ones from states that no start gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adaps_envs import make_batched
from adaps_envs.families.bps import reference


@given(
    speed=st.sampled_from([0.0, 1e-300, 1e-6, 1.0, 2.0]),
    place=st.sampled_from([0.0, 1e-300, 1.0, 11.0]),
    seed=st.integers(0, 2**32),
)
def test_kernel_equals_reference_from_injected_states(speed: float, place: float, seed: int) -> None:
    env = make_batched("BPS-1", 1, roster=[{"count": 3, "max_speed": 1.0}, {"count": 2}], cooperative=seed % 2 == 1)
    env.reset(seed=0)
    generator = np.random.default_rng(seed)
    vel, pos = (generator.uniform(-scale, scale, (1, 5, 2)) for scale in (speed, place))
    env.set_state({"vel": vel, "pos": pos, "landmark_pos": np.zeros((1, 2, 2))})
    before = {name: array[0] for name, array in env.get_state().items()}
    actions = generator.integers(0, 5, (1, 5))
    obs, rewards, _, _ = env.step(actions)
    state, pay, _ = reference.step(env.params, before, actions[0].tolist())
    after = env.get_state()
    assert all(np.array_equal(after[name][0], value) for name, value in state.items())
    assert np.array_equal(rewards[0], np.array(pay, np.float32))
    assert np.array_equal(obs[0], reference.observe(env.params, state))
