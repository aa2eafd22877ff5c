"""The compiled kernel against the family's readable reference, by injection of states."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidParameterError

__all__ = ["DifferentialReport", "compare_with_reference", "reference_of"]


@dataclass(frozen=True)
class DifferentialReport:
    """What a comparison found.

    Attributes:
        steps: steps compared, lanes counted one by one.
        mismatches: number of entries that differ, by array.
    """

    steps: int
    mismatches: dict[str, int]

    @property
    def total(self) -> int:
        """All mismatches together."""
        return sum(self.mismatches.values())


def reference_of(env: BatchedEnv) -> Any:
    """Return the family's ``reference`` module: ``step(params, state, actions)`` and ``observe(params, state)``."""
    return importlib.import_module(type(env).__module__.rsplit(".", 1)[0] + ".reference")


def compare_with_reference(env: BatchedEnv, num_steps: int, generator: np.random.Generator) -> DifferentialReport:
    """Step the environment and the reference from the same states with random actions; every entry must be equal.

    Args:
        env: B lanes; reset with a seed drawn from ``generator``, lanes that end are reset.
        num_steps: T; every step is injected afresh, so that differences do not pile up.
        generator: draws seed and actions.

    Raises:
        InvalidParameterError: the environment pays the team's reward, which the core computes, not the rules.
    """
    if env.params.reward != "individual":
        raise InvalidParameterError(
            f"reward is {env.params.reward!r}; the reference pays each agent its own reward only."
        )
    reference = reference_of(env)
    counts: dict[str, int] = {}

    def count(name: str, ours: Any, theirs: Any) -> None:
        counts[name] = counts.get(name, 0) + int((np.asarray(ours) != np.asarray(theirs)).sum())

    env.reset(seed=int(generator.integers(2**31)))
    for _ in range(num_steps):
        if env.ended.any():
            env.reset(mask=env.ended)
        before = env.get_state()
        actions = generator.integers(0, env.num_actions, (env.num_envs, env.num_agents))
        obs, rewards, terminated, truncated = env.step(actions)
        after = env.get_state()
        if env.padding.replacements is not None:
            # The rules know no masks: the core replaces actions before they reach the kernel.
            actions = env.padding.replacements[np.arange(env.num_agents), actions]
        for lane in range(env.num_envs):
            start = {name: array[lane] for name, array in before.items()}
            state, pay, at_limit = reference.step(env.params, start, actions[lane].tolist())
            for name, value in state.items():
                count(name, after[name][lane], value)
            count("rewards", rewards[lane], np.array(pay, np.float32))
            count("ended", terminated[lane] | truncated[lane], at_limit)
            seen = reference.observe(env.params, state)
            count("obs", obs[lane], np.where(env.obs_mask, seen, np.float32(0)))
    return DifferentialReport(num_steps * env.num_envs, counts)
