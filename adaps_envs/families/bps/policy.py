"""Scripted policies of BPS: one that knows the types, and the best compromise of one that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.bps.env import BPS
from adaps_envs.families.bps.params import DAMPING, TIME_STEP
from adaps_envs.families.bps.reference import FORCES

__all__ = ["POLICIES", "BlindPolicy", "ExpertPolicy"]

# Look-ahead in time units: values from 0.1 to 0.25 differ by less than 2 % in return.
LOOK_AHEAD = 0.15


class ExpertPolicy:
    """Fly to the landmark of the agent's true type: push so that the position ``LOOK_AHEAD`` ahead is nearest to it."""

    def __init__(self, env: BPS) -> None:
        self._env = env
        kinds = [env.params.roster[index] for index in env.agent_types]  # type: ignore[index]
        acceleration = np.array([kind.acceleration for kind in kinds])
        self._pushes = np.array(FORCES)[None] * acceleration[:, None, None] * TIME_STEP  # [N, A, 2]

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64``; deterministic, the observations and the generator are not used."""
        state = self._env.get_state()
        velocity = state["vel"][:, :, None] * (1.0 - DAMPING) + self._pushes[None]  # [B, N, A, 2]
        ahead = state["pos"][:, :, None] + LOOK_AHEAD * velocity
        distance = np.linalg.norm(ahead - self._targets(state)[:, :, None], axis=-1)
        actions: NDArray[np.int64] = distance.argmin(axis=-1)
        return actions

    def _targets(self, state: dict[str, Any]) -> NDArray[np.float64]:
        targets: NDArray[np.float64] = state["landmark_pos"][:, self._env.landmark_of]  # [B, N, 2]
        return targets


class BlindPolicy(ExpertPolicy):
    """Everybody flies to the geometric median of the landmarks, weighted by how many agents each one pays.

    It minimises the expected distance of an agent that does not know its type: the ceiling of full sharing without ids.
    """

    def _targets(self, state: dict[str, Any]) -> NDArray[np.float64]:
        landmarks = state["landmark_pos"]
        weights = np.bincount(self._env.landmark_of, minlength=landmarks.shape[1]) / self._env.num_agents
        median = geometric_median(landmarks, weights)
        return np.broadcast_to(median[:, None], (len(landmarks), self._env.num_agents, 2))


def geometric_median(points: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted geometric median ``[B, 2]`` of ``points [B, G, 2]`` (Weiszfeld's iteration, 200 rounds)."""
    median = np.einsum("g,bgd->bd", weights, points)
    for _ in range(200):
        distance = np.linalg.norm(points - median[:, None], axis=-1)
        pull = weights / np.maximum(distance, 1e-9)
        median = np.einsum("bg,bgd->bd", pull, points) / pull.sum(axis=1, keepdims=True)
    return median


POLICIES = {"expert": ExpertPolicy, "blind": BlindPolicy}
