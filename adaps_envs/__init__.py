"""Heterogeneous multi-agent environments with hidden agent types: one batched core, five faces.

    >>> import adaps_envs
    >>> env = adaps_envs.make_batched("BPS-1", num_envs=64, seed=0)
    >>> env.reset().shape
    (64, 15, 10)

Importing compiles and draws nothing. It registers every id with Gymnasium and PettingZoo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adaps_envs.errors import (
    AdapsError,
    InvalidActionError,
    InvalidParameterError,
    InvalidStateError,
    InvalidWeightsError,
    ResetNeededError,
    UnknownNameError,
)
from adaps_envs.registry import EnvSpec, list_envs, make_batched, spec

if TYPE_CHECKING:
    from adaps_envs.core.batched import BatchedEnv
    from adaps_envs.policies import Policy

__all__ = [
    "make",
    "make_batched",
    "list_envs",
    "spec",
    "EnvSpec",
    "make_policy",
    "list_policies",
    "AdapsError",
    "InvalidActionError",
    "InvalidParameterError",
    "InvalidStateError",
    "InvalidWeightsError",
    "ResetNeededError",
    "UnknownNameError",
]


def make(env_id: str, *, api: str = "parallel", **kwargs: Any) -> Any:
    """Create an environment behind one of its faces.

    Args:
        env_id: registered id, e.g. ``"BPS-1"``, ``"BPS-1-v0"`` or ``"adaps/BPS-1-v0"``.
        api: ``parallel`` or ``aec`` (PettingZoo), ``gym`` or ``gym_vector`` (Gymnasium, team view), ``sb3``
            (stable-baselines3 VecEnv, one slot an agent) or ``batched``; the last three take ``num_envs``.
        **kwargs: the face's options and the family's parameters.

    Raises:
        UnknownNameError: unknown id or face.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    from adaps_envs.adapters import make_face

    return make_face(api, env_id, **kwargs)


def make_policy(name: str, env: BatchedEnv) -> Policy:
    """Return the scripted policy ``name`` (``random``, ``expert`` or ``blind``) for a batched environment."""
    from adaps_envs.policies import make_policy as build

    return build(name, env)


def list_policies(env_id: str) -> list[str]:
    """Return the names of an environment's scripted policies."""
    from adaps_envs.policies import list_policies as names

    return names(env_id)


def _register() -> None:
    from adaps_envs.registration import register_all

    register_all()


_register()
