"""Compiled rules of BPS. ``reference.py`` says the same in plain Python; read that first.

Arithmetic is in float64 and in the original's order, so that a step reproduces it bit for bit. Lanes are independent,
each range ``[start, stop)`` can run on its own thread.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit
from adaps_envs.core.native import values_of
from adaps_envs.core.rng import uniform

__all__ = ["observe_lanes", "reset_lanes", "step_lanes"]


@njit(nogil=True, cache=True)
def reset_lane(rng, pos, vel, landmark_pos, agent_range, landmark_range):  # type: ignore[no-untyped-def]
    """Draw one lane's start: agents in order, then landmarks; x before y."""
    for i in range(pos.shape[0]):
        pos[i, 0] = uniform(rng, -agent_range, agent_range)
        pos[i, 1] = uniform(rng, -agent_range, agent_range)
        vel[i, 0] = 0.0
        vel[i, 1] = 0.0
    for g in range(landmark_pos.shape[0]):
        landmark_pos[g, 0] = uniform(rng, -landmark_range, landmark_range)
        landmark_pos[g, 1] = uniform(rng, -landmark_range, landmark_range)


@njit(nogil=True, cache=True)
def observe_lane(pos, vel, landmark_pos, order, shuffled, obs):  # type: ignore[no-untyped-def]
    """Write one lane's observations ``[N, F]``."""
    num_landmarks = landmark_pos.shape[0]
    if not shuffled:
        for i in range(pos.shape[0]):
            x = pos[i, 0]
            y = pos[i, 1]
            obs[i, 0] = vel[i, 0]
            obs[i, 1] = vel[i, 1]
            obs[i, 2] = x
            obs[i, 3] = y
            for g in range(num_landmarks):
                obs[i, 4 + 2 * g] = landmark_pos[g, 0] - x
                obs[i, 5 + 2 * g] = landmark_pos[g, 1] - y
        return
    vector = np.empty(4 + 2 * num_landmarks, np.float32)
    for i in range(pos.shape[0]):
        vector[0] = vel[i, 0]
        vector[1] = vel[i, 1]
        vector[2] = pos[i, 0]
        vector[3] = pos[i, 1]
        for g in range(num_landmarks):
            vector[4 + 2 * g] = landmark_pos[g, 0] - pos[i, 0]
            vector[5 + 2 * g] = landmark_pos[g, 1] - pos[i, 1]
        for j in range(vector.shape[0]):
            obs[i, j] = vector[order[i, j]]


@njit(nogil=True, cache=True)
def move_lane(actions, pos, vel, acceleration, max_speed):  # type: ignore[no-untyped-def]
    """Apply one lane's actions: damp, push, limit the speed, then move with the new velocity."""
    for i in range(pos.shape[0]):
        action = actions[i]
        # Branchless: 1 pushes to -x, 2 to +x, 3 to -y, 4 to +y, 0 not at all.
        push_x = acceleration[i] * (np.float64(action == 2) - np.float64(action == 1))
        push_y = acceleration[i] * (np.float64(action == 4) - np.float64(action == 3))
        vx = vel[i, 0] * 0.75 + push_x * 0.1
        vy = vel[i, 1] * 0.75 + push_y * 0.1
        if max_speed[i] < np.inf:
            speed = np.sqrt(vx * vx + vy * vy)
            if speed > max_speed[i]:
                vx = vx / speed * max_speed[i]
                vy = vy / speed * max_speed[i]
        vel[i, 0] = vx
        vel[i, 1] = vy
        pos[i, 0] += vx * 0.1
        pos[i, 1] += vy * 0.1


@njit(nogil=True, cache=True)
def reward_lane(pos, landmark_pos, landmark_of, local_ratio, cooperative, rewards):  # type: ignore[no-untyped-def]
    """Pay each agent of one lane for its distance to its own landmark, or all of them for the sum."""
    total = 0.0
    for i in range(pos.shape[0]):
        dx = pos[i, 0] - landmark_pos[landmark_of[i], 0]
        dy = pos[i, 1] - landmark_pos[landmark_of[i], 1]
        distance = np.sqrt(dx * dx + dy * dy)
        total += distance
        rewards[i] = -distance * local_ratio
    if cooperative:
        for i in range(pos.shape[0]):
            rewards[i] = -total * (1.0 - local_ratio)


@njit(nogil=True, cache=True)
def reset_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Reset the lanes of ``[start, stop)`` where ``mask`` holds."""
    rng, pos, vel, landmark_pos, cur_steps, agent_range, landmark_range = values_of(fixed)
    (mask,) = values_of(call)
    for b in range(start, stop):
        if mask[b]:
            reset_lane(rng[b], pos[b], vel[b], landmark_pos[b], agent_range, landmark_range)
            cur_steps[b] = 0


@njit(nogil=True, cache=True)
def observe_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F]`` of lanes ``[start, stop)``."""
    pos, vel, landmark_pos, order, shuffled = values_of(fixed)
    (obs,) = values_of(call)
    for b in range(start, stop):
        observe_lane(pos[b], vel[b], landmark_pos[b], order, shuffled, obs[b])


@njit(nogil=True, cache=True)
def step_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Advance lanes ``[start, stop)`` by one step: move, pay, count, observe."""
    (
        pos, vel, landmark_pos, cur_steps, landmark_of, acceleration, max_speed, order, shuffled,
        local_ratio, cooperative, max_cycles,
    ) = values_of(fixed)  # fmt: skip
    actions, obs, rewards, terminated, truncated = values_of(call)
    for b in range(start, stop):
        move_lane(actions[b], pos[b], vel[b], acceleration, max_speed)
        reward_lane(pos[b], landmark_pos[b], landmark_of, local_ratio, cooperative, rewards[b])
        cur_steps[b] += 1
        terminated[b] = False
        truncated[b] = cur_steps[b] >= max_cycles
        observe_lane(pos[b], vel[b], landmark_pos[b], order, shuffled, obs[b])
