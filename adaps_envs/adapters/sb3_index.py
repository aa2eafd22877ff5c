"""Stock stable-baselines3 learners shuffle slots; the agent's index then has to travel in the observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from adaps_envs.errors import InvalidParameterError

__all__ = ["AgentIndexBox", "AgentIndexed", "declared_action_mask"]


def declared_action_mask(venv: Any) -> NDArray[np.bool_] | None:
    """Return which actions each agent has, ``[N, A] bool``; None if all have all, or ``venv`` does not say."""
    padding = getattr(getattr(venv, "batched", None), "padding", None)
    if padding is None or padding.replacements is None:
        return None
    mask: NDArray[np.bool_] = padding.action_mask
    return mask


class AgentIndexBox(spaces.Box):
    """Observations ``[F + 1]`` whose last entry is the agent's index, 0 to N - 1.

    Attributes:
        num_agents: N.
        action_mask: ``[N, A] bool``, the actions that each agent has; None if all have all.
    """

    # Files from before there were masks hold spaces without one.
    action_mask: NDArray[np.bool_] | None = None

    def __init__(self, box: spaces.Box, num_agents: int, action_mask: NDArray[np.bool_] | None = None) -> None:
        low, high = np.append(box.low, np.float32(0)), np.append(box.high, np.float32(num_agents - 1))
        super().__init__(low, high, dtype=np.float32)
        self.num_agents, self.action_mask = num_agents, action_mask


class AgentIndexed(VecEnvWrapper):
    """Appends the agent's index to every observation, ``terminal_observation`` included.

    The index is for policies that take it off again, such as ``adaps_agents.SharingPolicy``; any other network would be
    told who it plays for. A wrapper that changes observations (``VecNormalize``) goes inside this one.

    Args:
        venv: environment with ``num_agents`` whose slot ``b * N + i`` is agent ``i`` of lane ``b``.

    Raises:
        InvalidParameterError: ``venv`` does not say how its slots divide into agents, or its observations are not flat
            or carry an index already.
    """

    def __init__(self, venv: VecEnv) -> None:
        number, space = getattr(venv, "num_agents", None), venv.observation_space
        if not isinstance(number, int) or not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise InvalidParameterError(
                f"{type(venv).__name__} has observations {space} and num_agents {number}; give slots of teams with "
                "flat observations, as adaps_envs.make(id, api='sb3') makes them."
            )
        if isinstance(space, AgentIndexBox):
            raise InvalidParameterError("observations carry the agent's index already; wrap once.")
        super().__init__(venv, observation_space=AgentIndexBox(space, number, declared_action_mask(venv)))
        self._index = np.tile(np.arange(number, dtype=np.float32), venv.num_envs // number)

    def reset(self) -> NDArray[np.float32]:
        """Reset and return ``[B*N, F + 1] float32``, a fresh array."""
        return self._indexed(self.venv.reset())

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step as ``venv`` does, with indexed observations ``[B*N, F + 1] float32``, a fresh array."""
        obs, rewards, dones, infos = self.venv.step_wait()
        for slot in np.flatnonzero(dones):
            last = infos[slot].get("terminal_observation")
            if last is not None:
                infos[slot]["terminal_observation"] = np.append(last, self._index[slot])
        return self._indexed(obs), rewards, dones, infos

    def _indexed(self, obs: Any) -> NDArray[np.float32]:
        return np.column_stack([np.asarray(obs, dtype=np.float32), self._index])
