"""Transitions of the untrained team: the raw material of the identity phase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

__all__ = ["Collector", "Transitions"]


@dataclass(frozen=True)
class Transitions:
    """M transitions of single agents.

    Attributes:
        agents: ``[M] int64``, who acted.
        obs, next_obs: ``[M, F] float32``.
        actions: ``[M] int64``.
        rewards: ``[M] float32``.
    """

    agents: NDArray[np.int64]
    obs: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    next_obs: NDArray[np.float32]

    def split(self, fraction: float) -> tuple[Transitions, Transitions]:
        """Return the first ``1 - fraction`` of the rows, and the rest."""
        cut = round(len(self.agents) * (1 - fraction))
        arrays = vars(self)
        return (
            Transitions(**{name: array[:cut] for name, array in arrays.items()}),
            Transitions(**{name: array[cut:] for name, array in arrays.items()}),
        )

    def with_shuffled_agents(self, generator: np.random.Generator) -> Transitions:
        """Return a copy whose rows are dealt to random agents: the control in which there is no identity to find."""
        return replace(self, agents=generator.permutation(self.agents))


class Collector:
    """Plays uniform random actions in the learner's own vectorised environment and records every agent's transitions.

    Attributes:
        num_agents: N.
        num_actions: A.
        env_steps: environment steps spent so far (one step of one lane moves all N agents).
    """

    def __init__(self, env: VecEnv, num_agents: int, num_actions: int, generator: np.random.Generator) -> None:
        self._env = env
        self._generator = generator
        self.num_agents = num_agents
        self.num_actions = num_actions
        self.num_lanes = env.num_envs // num_agents
        self.env_steps = 0

    def collect(self, env_steps: int) -> Transitions:
        """Return the transitions of at least ``env_steps`` environment steps, N rows a step, in time order.

        The environment is left in need of a ``reset``.
        """
        obs = _array(self._env.reset())
        rows: list[dict[str, NDArray[Any]]] = []
        agents = np.tile(np.arange(self.num_agents), self.num_lanes)
        for _ in range(-(-env_steps // self.num_lanes)):
            actions = self._generator.integers(0, self.num_actions, self._env.num_envs)
            next_obs, rewards, dones, infos = self._env.step(actions)
            landed = _array(next_obs).copy()
            for slot in np.flatnonzero(dones):
                landed[slot] = infos[slot]["terminal_observation"]
            rows.append({"agents": agents, "obs": obs, "actions": actions, "rewards": rewards, "next_obs": landed})
            obs = _array(next_obs)
            self.env_steps += self.num_lanes
        return Transitions(**{name: np.concatenate([row[name] for row in rows]) for name in rows[0]})


def _array(obs: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = np.asarray(obs, dtype=np.float32)
    return array
