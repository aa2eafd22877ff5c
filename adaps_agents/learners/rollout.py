"""Rollout storage with the agent axis kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["AgentRolloutBuffer", "Minibatch"]


@dataclass(frozen=True)
class Minibatch:
    """Rows of (step, lane) with all agents of the lane.

    Attributes:
        observations: ``[M, N, F] float32``.
        actions: ``[M, N] int64``.
        old_values, old_log_prob, advantages, returns: ``[M, N] float32``.
    """

    observations: Tensor
    actions: Tensor
    old_values: Tensor
    old_log_prob: Tensor
    advantages: Tensor
    returns: Tensor


class AgentRolloutBuffer:
    """T steps of B lanes of N agents, as tensors ``[T, B, N, ...]``.

    Takes stable-baselines3's constructor arguments, so that it can be a ``rollout_buffer_class``.

    Args:
        buffer_size: T.
        n_envs: slots of the vectorised environment, B * N.
        num_agents: N.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Box,
        action_space: spaces.Discrete,
        device: torch.device | str = "cpu",
        gae_lambda: float = 1.0,
        gamma: float = 0.99,
        n_envs: int = 1,
        *,
        num_agents: int = 1,
    ) -> None:
        self.buffer_size, self.n_envs, self.num_agents = buffer_size, n_envs, num_agents
        self.num_lanes = n_envs // num_agents
        self.gae_lambda, self.gamma, self.device = gae_lambda, gamma, torch.device(device)
        shape = (buffer_size, self.num_lanes, num_agents)
        self.observations = torch.zeros(*shape, *observation_space.shape)
        self.logits = torch.zeros(*shape, int(action_space.n))
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.rewards, self.dones = torch.zeros(shape), torch.zeros(shape)
        self.values, self.advantages, self.returns = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape)
        self.log_probs = torch.zeros(shape)
        self.reset()

    def reset(self) -> None:
        """Start a new rollout; contents are overwritten as it fills."""
        self.pos = 0
        self._bootstrap: list[tuple[int, NDArray[np.int64], Tensor]] = []

    @property
    def full(self) -> bool:
        """Whether T steps are stored."""
        return self.pos == self.buffer_size

    def add(
        self, obs: Tensor, actions: Tensor, logits: Tensor, rewards: NDArray[Any], dones: NDArray[np.bool_]
    ) -> None:
        """Store one step: ``obs [B, N, F]``, ``actions [B, N]``, ``logits [B, N, A]``, ``rewards``, ``dones [B*N]``."""
        step, shape = self.pos, (self.num_lanes, self.num_agents)
        self.observations[step], self.actions[step], self.logits[step] = obs, actions, logits
        self.rewards[step] = torch.from_numpy(np.asarray(rewards, np.float32)).view(shape)
        self.dones[step] = torch.from_numpy(dones).view(shape)
        self.pos += 1

    def add_truncated(self, slots: NDArray[np.int64], final_obs: NDArray[np.float32]) -> None:
        """Note that ``slots [M]`` of the last stored step hit the time limit at ``final_obs [M, F]``.

        Agents of one lane are truncated together, so the rows fill whole lanes.
        """
        self._bootstrap.append((self.pos - 1, slots, torch.from_numpy(final_obs)))

    def finish(self, critic: Any, last_obs: Tensor) -> None:
        """Compute values, log-probabilities, advantages and returns with one critic call for everything.

        Args:
            critic: maps ``[M, N, F]`` to ``[M, N]``.
            last_obs: ``[B, N, F]``, observations after the last step.
        """
        steps, lanes = self.pos, self.num_lanes
        frames = [self.observations.view(-1, *self.observations.shape[2:]), last_obs]
        frames += [final.view(-1, self.num_agents, final.shape[-1]) for _, _, final in self._bootstrap]
        values = critic(torch.cat(frames).to(self.device)).cpu()
        stored, rest = values[: steps * lanes], values[steps * lanes :]
        self.values = stored.view(steps, lanes, self.num_agents)
        self._add_bootstrap(rest[lanes:])
        self._generalised_advantages(rest[:lanes])
        log_probs = self.logits.log_softmax(dim=-1)
        self.log_probs = log_probs.gather(-1, self.actions[..., None]).squeeze(-1)

    def _add_bootstrap(self, values: Tensor) -> None:
        """Add the discounted value of the final observation to the reward of every truncated step."""
        row = 0
        for step, slots, final in self._bootstrap:
            count = len(final) // self.num_agents
            self.rewards[step].view(-1)[torch.from_numpy(slots)] += self.gamma * values[row : row + count].reshape(-1)
            row += count

    def _generalised_advantages(self, last_values: Tensor) -> None:
        advantages, following, next_values = [], torch.zeros_like(last_values), last_values
        running = self.gamma * (1.0 - self.dones)
        for step in reversed(range(self.pos)):
            delta = self.rewards[step] + running[step] * next_values - self.values[step]
            following = delta + running[step] * self.gae_lambda * following
            advantages.append(following)
            next_values = self.values[step]
        self.advantages = torch.stack(advantages[::-1])
        self.returns = self.advantages + self.values

    def get(self, rows: int | None = None, generator: torch.Generator | None = None) -> Iterator[Minibatch]:
        """Yield minibatches of ``rows`` (step, lane) pairs in random order, or everything at once in order if None."""
        tensors = (self.observations, self.actions, self.values, self.log_probs, self.advantages, self.returns)
        flat = [tensor.flatten(0, 1).to(self.device) for tensor in tensors]
        if rows is None:
            yield Minibatch(*flat)
            return
        order = torch.randperm(len(flat[0]), generator=generator)
        for chosen in order.split(rows):
            yield Minibatch(*(tensor[chosen.to(self.device)] for tensor in flat))
