"""Measuring the scores that 0 and 1 stand for: random play, and the scripted policy that knows the types."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs import make_batched, make_policy
from baselines.leaderboard.execution.episodes import play_episodes
from baselines.leaderboard.spec.config import REFERENCE_SEED_START

__all__ = ["Reference", "measure_reference", "measure_references"]

# Frozen field of a task -> scripted policy that it is measured with.
POLICY_OF_FIELD = {"random_score": "random", "scripted_score": "expert"}


@dataclass(frozen=True)
class Reference:
    """Mean team return of a scripted policy over ``episodes`` episodes, and its standard error."""

    policy: str
    mean: float
    standard_error: float
    episodes: int


def measure_references(
    env: str, params: dict[str, Any] | None = None, *, episodes: int = 2_000
) -> dict[str, Reference]:
    """Measure both reference scores of an environment.

    Args:
        env: environment id.
        params: its parameters, as in a task.
        episodes: how many, with seeds that neither training nor evaluation uses.

    Returns:
        ``{"random_score": ..., "scripted_score": ...}``.

    Raises:
        UnknownNameError: no such environment, or it has no scripted policy.
        InvalidParameterError: illegal parameters.
    """
    return {
        field: measure_reference(env, params, policy=policy, episodes=episodes)
        for field, policy in POLICY_OF_FIELD.items()
    }


def measure_reference(env: str, params: dict[str, Any] | None, *, policy: str, episodes: int) -> Reference:
    """Measure one scripted policy; arguments as for :func:`measure_references`."""
    batched = make_batched(env, episodes, **(params or {}))
    scripted = make_policy(policy, batched)
    generator = np.random.default_rng(REFERENCE_SEED_START)

    def act(obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return actions ``[E, N] int64`` for observations ``[E, N, F] float32``."""
        return scripted(obs, generator)

    returns = play_episodes(batched, act, REFERENCE_SEED_START).returns
    error = float(returns.std(ddof=1)) / math.sqrt(episodes) if episodes > 1 else math.nan
    return Reference(policy, float(returns.mean()), error, episodes)
