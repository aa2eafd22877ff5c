"""Scripted policies: the floor and the ceiling of every score, and a semantic test of the rules.

Each family offers ``random`` (uniform actions), ``expert`` (knows the hidden types) and ``blind`` (plans
without them). A policy is made for one :class:`~adaps_envs.core.batched.BatchedEnv`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import UnknownNameError, quoted, suggest
from adaps_envs.registry import families, load, spec

__all__ = ["Policy", "RandomPolicy", "list_policies", "make_policy"]


class Policy(Protocol):
    """A scripted policy of one environment."""

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64`` for observations ``[B, N, F] float32``."""


class RandomPolicy:
    """Uniform random actions; the floor of the normalised score."""

    def __init__(self, env: BatchedEnv) -> None:
        self._shape = (env.num_envs, env.num_agents)
        self._padding = env.padding
        # One number where all agents have all actions: the stream of draws is then the same as without masks.
        equal = self._padding.replacements is None
        self._counts = env.num_actions if equal else self._padding.action_mask.sum(axis=1)

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator | None = None) -> NDArray[np.int64]:
        """Draw actions ``[B, N] int64``, of each agent's own; without a ``generator``, from system entropy."""
        rng = np.random.default_rng() if generator is None else generator
        return self._padding.from_own(rng.integers(0, self._counts, self._shape))


def _policies(env_id: str) -> dict[str, Any]:
    return {"random": RandomPolicy, **load(families()[spec(env_id).family].policies)}


def list_policies(env_id: str) -> list[str]:
    """Return the names of the scripted policies of an environment id."""
    return list(_policies(env_id))


def make_policy(name: str, env: BatchedEnv) -> Policy:
    """Return the scripted policy ``name`` for ``env``.

    Raises:
        UnknownNameError: the family has no such policy.
    """
    known = _policies(env.spec_id)
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(f"{env.spec_id} has no scripted policy {quoted(name)}. {suggest(name, known)}")
    policy: Policy = known[name](env)
    return policy
