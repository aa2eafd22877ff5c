"""Rollouts with seeded random actions, and their comparison bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import AdapsError

__all__ = ["ConformanceError", "Trace", "assert_same_trace", "random_rollout"]


class ConformanceError(AdapsError):
    """An environment breaks a rule; the message names the rule and what was seen."""


@dataclass(frozen=True)
class Trace:
    """Everything that B lanes returned over T steps.

    Attributes:
        obs: ``[T, B, N, F] float32`` after each step (before any reset).
        rewards: ``[T, B, N] float32``.
        terminated, truncated: ``[T, B] bool``.
        states: ``[T, B, S] float32`` global states after each step.
    """

    obs: NDArray[np.float32]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    states: NDArray[np.float32]

    def lane(self, index: int) -> Trace:
        """Return the trace of one lane, lane axis of 1 kept (views)."""
        return Trace(*(getattr(self, item.name)[:, index : index + 1] for item in fields(self)))


def random_rollout(env: BatchedEnv, num_steps: int, *, action_seeds: Sequence[int]) -> Trace:
    """Step ``env`` with random actions; lanes that end are reset before the next step. ``reset`` must come first.

    Args:
        env: B lanes.
        num_steps: T.
        action_seeds: one seed a lane, so that a lane gets the same actions in a batch of any size.
    """
    generators = [np.random.default_rng(seed) for seed in action_seeds]
    rows = []
    for _ in range(num_steps):
        if env.ended.any():
            env.reset(mask=env.ended)
        actions = np.stack([generator.integers(0, env.num_actions, env.num_agents) for generator in generators])
        rows.append((*env.step(actions), env.global_state()))
    return Trace(*(np.stack(column) for column in zip(*rows, strict=True)))


def assert_same_trace(ours: Trace, theirs: Trace, what: str) -> None:
    """Compare two traces bit for bit.

    Raises:
        ConformanceError: they differ; the message tells ``what`` was compared and where the first difference is.
    """
    for item in fields(Trace):
        left, right = getattr(ours, item.name), getattr(theirs, item.name)
        if left.shape != right.shape or left.dtype != right.dtype:
            shapes = f"{left.dtype}{left.shape} against {right.dtype}{right.shape}"
            raise ConformanceError(f"{what}: {item.name} is {shapes}.")
        # Bytes, not values: -0.0 and 0.0 are different, NaN equals itself.
        differing = left.view(np.uint8).reshape(len(left), -1) != right.view(np.uint8).reshape(len(right), -1)
        if differing.any():
            step = int(np.flatnonzero(differing.any(axis=1))[0])
            raise ConformanceError(f"{what}: {item.name} differ from step {step} on.")
