"""Playing recorded actions again, in environments that a record names: nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs import AdapsError, make_batched
from adaps_envs.core.batched import BatchedEnv
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.files import canonical_json
from baselines.leaderboard.spec.config import RunConfig, TaskConfig

__all__ = [
    "RETURN_TOLERANCE",
    "SCORE_TOLERANCE",
    "ReplayError",
    "first_difference",
    "lane_bytes",
    "open_environment",
    "replay",
    "returns_apart",
    "tolerance",
]

RETURN_TOLERANCE = 1e-6
"""Replayed and recorded returns may differ by this much, absolutely plus relative to the recorded one.

On one machine they are equal to the last bit. Continuous games round differently on other processors, by some units in
the last place of their 32-bit rewards.
"""

SCORE_TOLERANCE = 1e-4
"""But never by more than this in the score: where rewards are small, any return is within the other tolerance."""

# What a record may ask for; the registered environments and suites stay far below.
MAX_PARAMETER = 10_000
MAX_PARAMETER_VALUES = 1_024
MAX_PARAMETER_BYTES = 1 << 15
MAX_LANE_OBSERVATION = 1 << 22
MAX_DECISIONS = 1 << 27
_CHUNK_BYTES = 1 << 26


class ReplayError(ValueError):
    """A log that its environment cannot play, or an environment that cannot be made.

    Attributes:
        where: field of the record that is at fault.
    """

    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.where = where


def open_environment(config: RunConfig, lanes: int = 1) -> BatchedEnv:
    """Create a run's environment after checking that its parameters ask for nothing enormous.

    Raises:
        ReplayError: it is unknown here, its parameters are refused, or it would be too large.
    """
    params: dict[str, Any] = config.task.params
    if (size := len(canonical_json(params))) > MAX_PARAMETER_BYTES:
        raise ReplayError("config.task.params", f"{size:,} bytes; at most {MAX_PARAMETER_BYTES:,} are verified")
    values = list(_leaves(params))
    if len(values) > MAX_PARAMETER_VALUES:
        raise ReplayError("config.task.params", f"{len(values)} values; at most {MAX_PARAMETER_VALUES} are verified")
    for value in values:
        if isinstance(value, (int, float)) and abs(value) > MAX_PARAMETER:
            raise ReplayError("config.task.params", f"the value {value} is above {MAX_PARAMETER}, the most verified")
    try:
        env = make_batched(config.task.env, lanes, **environment_params(config))
    except AdapsError as error:
        raise ReplayError("config.task.env", str(error)) from None
    except Exception as error:  # a family may raise anything on parameters of types that it did not expect
        raise ReplayError("config.task.params", f"{type(error).__name__}: {error}") from None
    if env.num_agents * env.obs_dim > MAX_LANE_OBSERVATION:
        raise ReplayError(
            "config.task.params",
            f"{env.num_agents} agents that observe {env.obs_dim} numbers each are more than can be verified",
        )
    return env


def replay(
    config: RunConfig, log: str, seeds: NDArray[np.int64], actions: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Play an action log.

    Args:
        config: names environment and parameters.
        log: field name of the log, for messages.
        seeds: ``[E] int64`` environment seeds.
        actions: ``[T, E, N] uint8``; 0 after the end of an episode.
        lengths: ``[E] int64`` steps of each episode.

    Returns:
        Team returns ``[E] float64``, summed over agents and steps.

    Raises:
        ReplayError: the log does not fit its environment, or an episode does not end where the log ends.
    """
    env = open_environment(config)
    _check_log(env, log, actions, lengths)
    chunk = max(1, _CHUNK_BYTES // lane_bytes(env))
    parts = []
    for start in range(0, len(seeds), chunk):
        part = slice(start, start + chunk)
        lanes = open_environment(config, len(seeds[part]))
        parts.append(_replay_lanes(lanes, log, start, seeds[part], actions[:, part], lengths[part]))
    return np.concatenate(parts)


def returns_apart(task: TaskConfig, replayed: NDArray[np.float64], recorded: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the returns ``[E]`` of a task differ beyond their :func:`tolerance`."""
    differ: NDArray[np.bool_] = ~(np.abs(replayed - recorded) <= tolerance(task, recorded))
    return differ


def tolerance(task: TaskConfig, recorded: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much returns ``[E]`` may differ: :data:`RETURN_TOLERANCE` or the score's, whichever is less."""
    allowed: NDArray[np.float64] = RETURN_TOLERANCE * (1.0 + np.abs(recorded))
    if task.random_score is not None and task.scripted_score is not None:
        allowed = np.minimum(allowed, SCORE_TOLERANCE * (task.scripted_score - task.random_score))
    return allowed


def first_difference(task: TaskConfig, replayed: NDArray[np.float64], recorded: NDArray[np.float64]) -> tuple[int, int]:
    """Return how many of the returns ``[E]`` are :func:`returns_apart`, and the first of them."""
    differ = returns_apart(task, replayed, recorded)
    return int(differ.sum()), int(differ.argmax())


def lane_bytes(env: BatchedEnv) -> int:
    """Return what one more episode at once takes, by the environment's own account: its observations and its state."""
    state = sum(array.nbytes for array in env.get_state().values()) // env.num_envs
    return 4 * env.num_agents * env.obs_dim + state


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for entry in value.values():
            yield from _leaves(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value


def _check_log(env: BatchedEnv, log: str, actions: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
    steps, _, agents = actions.shape
    if agents != env.num_agents:
        raise ReplayError(log, f"actions of {agents} agents; the environment has {env.num_agents}")
    if actions.size > MAX_DECISIONS:
        raise ReplayError(log, f"{actions.size:,} decisions; at most {MAX_DECISIONS:,} are replayed")
    if steps != lengths.max():
        raise ReplayError(log, f"{steps} steps are stored, the longest episode has {lengths.max()}")
    over = np.arange(steps)[:, None] >= lengths
    if actions[over].any():
        step, episode = np.argwhere(over & actions.any(axis=2))[0]
        raise ReplayError(f"{log}[{step}, {episode}]", "an action after the end of its episode")
    outside = actions >= env.num_actions
    if outside.any():
        place = np.argwhere(outside)[0].tolist()
        raise ReplayError(
            f"{log}{place}", f"action {actions[tuple(place)]} is not one of the {env.num_actions} actions"
        )


def _replay_lanes(
    env: BatchedEnv,
    log: str,
    offset: int,
    seeds: NDArray[np.int64],
    actions: NDArray[np.uint8],
    lengths: NDArray[np.int64],
) -> NDArray[np.float64]:
    env.reset(seed=seeds.tolist())
    returns = np.zeros(len(seeds), np.float64)
    for step, chosen in enumerate(actions[: lengths.max()].astype(np.int64)):
        running = lengths > step
        early = np.flatnonzero(running & env.ended)
        if early.size:
            episode = int(early[0])
            where = f"{log}_lengths[{offset + episode}]"
            raise ReplayError(where, f"{lengths[episode]} steps are recorded; the episode ends after {step}")
        rewards = env.step(chosen, mask=None if running.all() else running)[1]
        returns += np.where(running, rewards.sum(axis=1, dtype=np.float64), 0.0)
    late = np.flatnonzero(~env.ended)
    if late.size:
        episode = int(late[0])
        where = f"{log}_lengths[{offset + episode}]"
        raise ReplayError(where, f"the episode goes on after the {lengths[episode]} steps that are recorded")
    return returns
