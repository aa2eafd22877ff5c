"""Rollout storage with the agent axis kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.policy.categorical import log_probabilities

__all__ = ["AgentRolloutBuffer", "Critic", "Minibatch", "rows_at_once"]

Critic: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
# Numbers that a critic is given at once: a centralised one reads the whole state once for every agent.
BLOCK = 2**25


@dataclass(frozen=True)
class Minibatch:
    """Rows of (step, lane) with all agents of the lane.

    Attributes:
        observations: ``[M, N, F] float32``.
        states: ``[M, S] float32``, S = 0 without a centralised critic.
        actions: ``[M, N] int64``.
        old_values, old_log_prob, advantages, returns: ``[M, N] float32``.
    """

    observations: Tensor
    states: Tensor
    actions: Tensor
    old_values: Tensor
    old_log_prob: Tensor
    advantages: Tensor
    returns: Tensor


@dataclass(frozen=True)
class Truncated:
    """Lanes that hit the time limit in one step.

    Attributes:
        step: index of the step in the rollout.
        lanes: ``[M] int64``.
        agents: ``[M, N] float32``, 1 for an agent that hit it; in teams all do together.
        observations: ``[M, N, F] float32`` as they were before the reset.
        states: ``[M, S] float32`` likewise.
    """

    step: int
    lanes: Tensor
    agents: Tensor
    observations: Tensor
    states: Tensor


class AgentRolloutBuffer:
    """T steps of B lanes of N agents, as tensors ``[T, B, N, ...]``.

    Takes stable-baselines3's constructor arguments, so that it can be a ``rollout_buffer_class``.

    Args:
        buffer_size: T.
        n_envs: slots of the vectorised environment, B * N.
        num_agents: N.
        state_dim: S, or 0 if the critic is not centralised.
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
        state_dim: int = 0,
    ) -> None:
        self.buffer_size, self.n_envs, self.num_agents = buffer_size, n_envs, num_agents
        self.num_lanes = n_envs // num_agents
        self.gae_lambda, self.gamma, self.device = gae_lambda, gamma, torch.device(device)
        shape = (buffer_size, self.num_lanes, num_agents)
        self.observations = torch.zeros(*shape, *observation_space.shape)
        self.states = torch.zeros(*shape[:2], state_dim)
        self.logits = torch.zeros(*shape, int(action_space.n))
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.rewards, self.dones = torch.zeros(shape), torch.zeros(shape)
        self.values, self.advantages, self.returns = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape)
        self.log_probs = torch.zeros(shape)
        self.reset()

    def reset(self) -> None:
        """Start a new rollout; contents are overwritten as it fills."""
        self.pos = 0
        self._bootstrap: list[Truncated] = []

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

    def add_state(self, states: NDArray[np.float32]) -> None:
        """Store the global states ``[B, S]`` of the step that :meth:`add` stores next."""
        self.states[self.pos] = torch.from_numpy(states)

    def add_truncated(self, lanes: Tensor, agents: Tensor, final_obs: Tensor, final_states: Tensor) -> None:
        """Note what hit the time limit in the last stored step; shapes and dtypes as in :class:`Truncated`."""
        self._bootstrap.append(Truncated(self.pos - 1, lanes, agents, final_obs, final_states))

    def finish(self, critic: Critic, last_obs: Tensor, last_states: Tensor) -> None:
        """Compute values, log-probabilities, advantages and returns with one critic call for everything.

        Args:
            critic: maps observations ``[M, N, F]`` and states ``[M, S]`` to values ``[M, N]``.
            last_obs: ``[B, N, F]``, observations after the last step.
            last_states: ``[B, S]`` likewise.
        """
        self.values, last_values, final_values = self._all_values(critic, last_obs, last_states)
        self._add_bootstrap(final_values)
        self._generalised_advantages(last_values)
        log_probs = log_probabilities(self.logits)
        self.log_probs = log_probs.gather(-1, self.actions[..., None]).squeeze(-1)

    def _all_values(self, critic: Critic, last_obs: Tensor, last_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return values of all steps ``[T, B, N]``, after the last ``[B, N]``, and at time limits ``[M, N]``."""
        steps, lanes = self.pos, self.num_lanes
        frames = [self.observations.flatten(0, 1), last_obs, *(end.observations for end in self._bootstrap)]
        states = [self.states.flatten(0, 1), last_states, *(end.states for end in self._bootstrap)]
        values = _in_blocks(critic, torch.cat(frames).to(self.device), torch.cat(states).to(self.device)).cpu()
        stored, rest = values[: steps * lanes], values[steps * lanes :]
        return stored.view(steps, lanes, self.num_agents), rest[:lanes], rest[lanes:]

    def _add_bootstrap(self, values: Tensor) -> None:
        """Add the discounted value of the final observation to the reward of every truncated step."""
        row = 0
        for end in self._bootstrap:
            following = values[row : row + len(end.lanes)]
            self.rewards[end.step, end.lanes] += self.gamma * end.agents * following
            row += len(following)

    def _generalised_advantages(self, last_values: Tensor) -> None:
        running = self.gamma * (1.0 - self.dones)
        deltas = self.rewards + running * torch.cat([self.values[1:], last_values[None]]) - self.values
        advantages, following = [], torch.zeros_like(last_values)
        # Only the sum over later steps goes step by step: small operations cost more than their arithmetic.
        for delta, carried in zip(deltas.flip(0), (running * self.gae_lambda).flip(0), strict=True):
            following = delta + carried * following
            advantages.append(following)
        self.advantages = torch.stack(advantages[::-1])
        self.returns = self.advantages + self.values

    def get(self, rows: int | None = None, generator: torch.Generator | None = None) -> Iterator[Minibatch]:
        """Yield minibatches of ``rows`` (step, lane) pairs in random order, or everything at once in order if None."""
        tensors = (
            self.observations, self.states, self.actions, self.values, self.log_probs, self.advantages, self.returns
        )  # fmt: skip
        flat = [tensor.flatten(0, 1).to(self.device) for tensor in tensors]
        if rows is None:
            yield Minibatch(*flat)
            return
        order = torch.randperm(len(flat[0]), generator=generator)
        for chosen in order.to(self.device).split(rows):
            yield Minibatch(*(tensor.index_select(0, chosen) for tensor in flat))


def rows_at_once(agents: int, entries: int) -> int:
    """Return how many rows of N agents, each reading so many entries, a critic is given in one call."""
    return max(1, BLOCK // (agents * entries))


def _in_blocks(critic: Critic, frames: Tensor, states: Tensor) -> Tensor:
    """Return the values ``[M, N]`` of all rows, in several calls where one would take too much memory."""
    rows = rows_at_once(frames.shape[1], frames.shape[2] + states.shape[-1])
    if len(frames) <= rows:
        return critic(frames, states)
    return torch.cat([critic(*block) for block in zip(frames.split(rows), states.split(rows), strict=True)])
