"""A saved model for ``adaps play``; this module needs torch, scripted policies do not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.export import WeightsHeader, load_policy, saved_header
from adaps_envs import make_batched, spec
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidWeightsError, MissingExtraError

__all__ = ["TrainedModel", "open_model"]

_ROSTER = ("groups", "roster")


class TrainedModel:
    """A saved policy in one lane, which takes the most probable actions, or samples them if ``sampled``.

    Attributes:
        name: what is shown.
        note: what to tell of it, empty for nothing.
    """

    def __init__(self, path: Path, env: BatchedEnv, *, sampled: bool, note: str = "") -> None:
        self._policy = load_policy(path, env)
        self._sampled, self.note = sampled, note
        self.name = f"{self._policy.scheme_name} model, {'sampled' if sampled else 'greedy'}"
        self.begin()

    def begin(self) -> None:
        """Forget the episode before."""
        self._memory = self._policy.new_memory(1)

    def __call__(self, obs: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.int64]:
        """Return actions ``[1, N] int64`` for observations ``[1, N, F] float32``; greedy ones draw nothing."""
        if not self._sampled:
            return self._policy.act(obs, deterministic=True, memory=self._memory)
        stream = torch.Generator().manual_seed(int(generator.integers(2**63)))
        return self._policy.act(obs, generator=stream, memory=self._memory)


def open_model(
    path: Path, env_id: str, params: Mapping[str, Any], *, sampled: bool | None = None
) -> tuple[BatchedEnv, TrainedModel]:
    """Return an environment of one lane and the model in it.

    Args:
        path: what :func:`~adaps_agents.export.load_policy` opens.
        env_id: environment to play.
        params: its parameters; those that it does not name are the ones that the model was trained with, if it was
            trained in this environment and no other roster is asked for.
        sampled: sample actions instead of taking the most probable ones; None plays as the built-in task of this
            environment is scored, and greedily where there is none.

    Raises:
        InvalidWeightsError: no file, none that can be opened, or not one for this environment.
        UnknownNameError, InvalidParameterError: no such environment or parameters.
    """
    torch.set_num_threads(1)
    try:
        header = saved_header(path)
        same = header.environment == spec(env_id).id and not any(name in params for name in _ROSTER)
        env = make_batched(env_id, 1, **{**(header.environment_params if same else {}), **params})
        sampled = _scored_sampled(env.spec_id) if sampled is None else sampled
        return env, TrainedModel(path, env, sampled=sampled, note=_other_roster(header, env))
    except FileNotFoundError:
        raise InvalidWeightsError(
            f"--model: there is no {path}; give a saved model or the directory of a run."
        ) from None


def _other_roster(header: WeightsHeader, env: BatchedEnv) -> str:
    """Tell if the agents had other types when the model was trained in this environment; else nothing."""
    if header.environment != env.spec_id or header.num_agents != env.num_agents:
        return ""  # another team is refused
    trained = make_batched(env.spec_id, 1, **header.environment_params).agent_types.tolist()
    here = env.agent_types.tolist()
    if trained == here:
        return ""
    return f"note: the model was trained on agents of the types {trained}, here they are {here}; its groups stay."


def _scored_sampled(env_id: str) -> bool:
    """Whether the built-in task of an environment is scored by sampled play; no, where the leaderboard is missing."""
    try:
        from baselines.leaderboard.spec.loading import builtin_tasks
    except MissingExtraError:
        return False
    return any(task["env"] == env_id and task.get("scored") == "sampled" for task in builtin_tasks().values())
