"""The environment of a run: that of its task, with the hidden types dealt by the run's seed."""

from __future__ import annotations

from typing import Any

from adaps_envs import spec
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["DEAL_SEED", "deals_types", "environment_params"]

DEAL_SEED = "deal_seed"
"""The parameter by which a family with several hidden types deals them to its agents."""


def environment_params(config: RunConfig) -> dict[str, Any]:
    """Return the parameters of a run's environment.

    From protocol 2 on, which agent has which hidden type follows from the run's seed, so that no scheme can read it off
    the agents' indices. Families without that parameter have one type; :mod:`~.suite_check` and verification refuse
    others.

    Raises:
        UnknownNameError: the environment is not registered.
    """
    params: dict[str, Any] = dict(config.task.params)
    if config.protocol != "1" and deals_types(config.task.env):
        params[DEAL_SEED] = config.seed
    return params


def deals_types(env: str) -> bool:
    """Whether an environment has the parameter by which types are dealt; UnknownNameError if it is not registered."""
    return DEAL_SEED in spec(env).parameters
