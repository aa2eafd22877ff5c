"""Compiled rules of BPS. ``reference.py`` says the same in plain Python; read that first.

Arithmetic is in float64 and in the original's order, because floating point is not associative and a step must
reproduce the original bit for bit: do not regroup terms. Lanes are independent; each range ``[start, stop)`` can run on
its own thread. Records are explained in ``state.py``.

Steps of a kernel are compiled into it (``forceinline``): a call that hands over records costs more than the step.
They stay in this file, for numba's cache does not notice an edit in another one.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit
from adaps_envs.core.rng import uniform

__all__ = ["observe_lanes", "reset_lanes", "step_lanes"]


@njit(nogil=True, cache=True)
def reset_lanes(start, stop, state, mask, agent_range, landmark_range):  # type: ignore[no-untyped-def]
    """Draw a start for the lanes of ``[start, stop)`` where ``mask [B] bool`` holds.

    Agents are drawn in order, then landmarks, x before y: seeds and digests depend on this order.
    """
    for b in range(start, stop):
        if not mask[b]:
            continue
        stream = state.rng[b]
        for i in range(state.pos.shape[1]):
            state.pos[b, i, 0] = uniform(stream, -agent_range, agent_range)
            state.pos[b, i, 1] = uniform(stream, -agent_range, agent_range)
            state.vel[b, i, 0] = 0.0
            state.vel[b, i, 1] = 0.0
        for g in range(state.landmark_pos.shape[1]):
            state.landmark_pos[b, g, 0] = uniform(stream, -landmark_range, landmark_range)
            state.landmark_pos[b, g, 1] = uniform(stream, -landmark_range, landmark_range)
        state.cur_steps[b] = 0


@njit(nogil=True, cache=True)
def observe_lanes(start, stop, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F] float32`` of lanes ``[start, stop)``."""
    # Without permutations entries go straight to their place: the detour over a vector takes twice as long.
    plain = np.empty(obs.shape[2], np.float32)
    for b in range(start, stop):
        for i in range(obs.shape[1]):
            if rules.shuffled:
                observe_agent(b, i, state, plain)
                for j in range(plain.shape[0]):
                    obs[b, i, j] = plain[rules.order[i, j]]
            else:
                observe_agent(b, i, state, obs[b, i])


@njit(forceinline=True)
def observe_agent(b, i, state, out):  # type: ignore[no-untyped-def]
    """Write agent ``i``'s observation ``out [F] float32``, not permuted: velocity, position, landmarks' offsets."""
    x = state.pos[b, i, 0]
    y = state.pos[b, i, 1]
    out[0] = state.vel[b, i, 0]
    out[1] = state.vel[b, i, 1]
    out[2] = x
    out[3] = y
    for g in range(state.landmark_pos.shape[1]):
        out[4 + 2 * g] = state.landmark_pos[b, g, 0] - x
        out[5 + 2 * g] = state.landmark_pos[b, g, 1] - y


@njit(nogil=True, cache=True)
def step_lanes(  # type: ignore[no-untyped-def]
    start, stop, state, rules, actions, obs, rewards, terminated, truncated
):
    """Advance lanes ``[start, stop)`` by one step: move, pay for the new positions, count.

    ``actions [B, N] int64`` are read; ``obs [B, N, F] float32``, ``rewards [B, N] float32``, ``terminated [B] bool``
    and ``truncated [B] bool`` are written.
    """
    for b in range(start, stop):
        move(b, state, rules, actions)
        pay(b, state, rules, rewards)
        state.cur_steps[b] += 1
        terminated[b] = False
        truncated[b] = state.cur_steps[b] >= rules.max_cycles
    observe_lanes(start, stop, state, rules, obs)


@njit(forceinline=True)
def move(b, state, rules, actions):  # type: ignore[no-untyped-def]
    """Move one lane's agents: damp, push, limit the speed, then move with the new velocity."""
    for i in range(actions.shape[1]):
        action = actions[b, i]
        # Branchless, for random actions defeat branch prediction: 1 pushes to -x, 2 to +x, 3 to -y, 4 to +y.
        push_x = rules.acceleration[i] * (np.float64(action == 2) - np.float64(action == 1))
        push_y = rules.acceleration[i] * (np.float64(action == 4) - np.float64(action == 3))
        vx = state.vel[b, i, 0] * 0.75 + push_x * 0.1
        vy = state.vel[b, i, 1] * 0.75 + push_y * 0.1
        if rules.max_speed[i] < np.inf:
            speed = np.sqrt(vx * vx + vy * vy)
            if speed > rules.max_speed[i]:
                vx = vx / speed * rules.max_speed[i]
                vy = vy / speed * rules.max_speed[i]
        state.vel[b, i, 0] = vx
        state.vel[b, i, 1] = vy
        state.pos[b, i, 0] += vx * 0.1
        state.pos[b, i, 1] += vy * 0.1


@njit(forceinline=True)
def pay(b, state, rules, rewards):  # type: ignore[no-untyped-def]
    """Pay each agent of one lane for its distance to its own landmark, or all of them for the sum."""
    total = 0.0
    for i in range(rewards.shape[1]):
        own = rules.landmark_of[i]
        dx = state.pos[b, i, 0] - state.landmark_pos[b, own, 0]
        dy = state.pos[b, i, 1] - state.landmark_pos[b, own, 1]
        distance = np.sqrt(dx * dx + dy * dy)
        total += distance
        rewards[b, i] = -distance * rules.local_ratio
    if rules.cooperative:
        for i in range(rewards.shape[1]):
            rewards[b, i] = -total * (1.0 - rules.local_ratio)
