"""The rules of BPS for one lane in short plain Python: the thing to read first.

The compiled kernel must agree with this to the last bit; a differential test ties the two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.roster import deal_types
from adaps_envs.families.bps.params import BPSParams

__all__ = ["agent_kinds", "observe", "step"]

FORCES = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))


def agent_kinds(params: BPSParams) -> list[Any]:
    """Return the type of each agent, agents ordered by type."""
    assert params.roster is not None
    in_order = [index for index, kind in enumerate(params.roster) for _ in range(kind.count)]
    return [params.roster[index] for index in deal_types(in_order, params.deal_seed)]


def step(params: BPSParams, state: dict[str, Any], actions: list[int]) -> tuple[dict[str, Any], list[float], bool]:
    """Return the next state, the rewards (float64) and whether the time limit is reached.

    Args:
        params: the parameters.
        state: one lane of ``get_state()``: ``pos [N, 2]``, ``vel [N, 2]``, ``landmark_pos [G, 2]``, ``cur_steps``.
        actions: N integers.
    """
    kinds = agent_kinds(params)
    pos, vel = np.array(state["pos"]), np.array(state["vel"])
    landmarks = state["landmark_pos"]
    distances = []
    for i, kind in enumerate(kinds):
        for axis in range(2):
            vel[i, axis] = vel[i, axis] * 0.75 + FORCES[actions[i]][axis] * kind.acceleration * 0.1
        speed = math.sqrt(vel[i, 0] * vel[i, 0] + vel[i, 1] * vel[i, 1])
        if kind.max_speed is not None and speed > kind.max_speed:
            vel[i] = vel[i] / speed * kind.max_speed
        pos[i] = pos[i] + vel[i] * 0.1
        dx, dy = pos[i] - landmarks[kind.landmark]
        distances.append(math.sqrt(dx * dx + dy * dy))
    if params.cooperative:
        rewards = [-sum(distances) * (1.0 - params.local_ratio)] * len(kinds)
    else:
        rewards = [-distance * params.local_ratio for distance in distances]
    steps = int(state["cur_steps"]) + 1
    after = {"pos": pos, "vel": vel, "landmark_pos": np.array(landmarks), "cur_steps": steps}
    return after, rewards, steps >= params.max_cycles


def observe(params: BPSParams, state: dict[str, Any]) -> NDArray[np.float32]:
    """Return the observations ``[N, F] float32`` of one lane's state."""
    rows = []
    for i, kind in enumerate(agent_kinds(params)):
        offsets = [landmark - state["pos"][i] for landmark in state["landmark_pos"]]
        vector = np.concatenate([state["vel"][i], state["pos"][i], *offsets])
        rows.append(vector[list(kind.obs_permutation)])
    return np.array(rows, dtype=np.float32)
