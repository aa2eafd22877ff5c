"""The physics of BPS beside that of the installed mpe2 package, by state injection: forces, damping, speed limits.

mpe2 moves a particle by its old velocity, the older package that BPS comes from by the new one; so its velocities are
compared directly, and its positions one integration later.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaps_envs import make_batched

spread = pytest.importorskip("mpe2.simple_spread_v3", reason="mpe2 is not installed")


@given(limit=st.none() | st.floats(0.1, 3.0), agents=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_velocities_and_positions_are_mpe2s(limit: float | None, agents: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    env = make_batched("BPS-1", 1, roster=[{"count": agents, "max_speed": limit}])
    env.reset(seed=0)
    theirs = spread.parallel_env(N=agents, max_cycles=1000)
    theirs.reset(seed=0)
    world = theirs.unwrapped.world
    for agent in world.agents:
        agent.collide, agent.max_speed = False, limit
    pos, vel = generator.uniform(-1, 1, (agents, 2)), generator.uniform(-0.05, 0.05, (agents, 2))
    for _ in range(8):
        actions = generator.integers(0, 5, agents)
        env.set_state({"pos": pos[None], "vel": vel[None]})
        env.step(actions[None])
        state = env.get_state()
        _place(world, pos, vel)
        theirs.step(dict(zip(theirs.agents, actions.tolist(), strict=True)))
        moved = np.array([agent.state.p_vel for agent in world.agents])
        assert np.allclose(state["vel"][0], moved, rtol=0, atol=1e-15)
        if limit is None:
            assert np.array_equal(state["vel"][0], moved)
        _place(world, pos, state["vel"][0])
        theirs.step(dict.fromkeys(theirs.agents, 0))
        assert np.array_equal(state["pos"][0], np.array([agent.state.p_pos for agent in world.agents]))
        pos, vel = state["pos"][0], state["vel"][0]


def _place(world: object, pos: np.ndarray, vel: np.ndarray) -> None:
    for agent, place, speed in zip(world.agents, pos, vel, strict=True):  # type: ignore[attr-defined]
        agent.state.p_pos, agent.state.p_vel = place.copy(), speed.copy()
