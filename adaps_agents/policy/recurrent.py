"""Rollouts and play of recurrent policies: what agents remember, and sequences that keep a lane's steps together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.policy.rollout import AgentRolloutBuffer, Minibatch, rows_at_once
from adaps_envs.errors import InvalidParameterError

__all__ = ["Memory", "RecurrentRolloutBuffer", "SequenceBatch", "SequenceCritic"]

SequenceCritic: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]"


class Memory:
    """What the agents of B lanes remember between two decisions of a recurrent policy.

    Attributes:
        state: ``[B, N, H] float32``.
        starts: ``[B, N] bool``, True for an agent whose next observation is the first of an episode.
    """

    def __init__(self, state: Tensor) -> None:
        self.state = state
        self.starts = torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)

    def forget(self, lanes: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes in ``lanes [B] bool``, or in all of them."""
        self.starts[slice(None) if lanes is None else torch.from_numpy(np.asarray(lanes))] = True

    def keep(self, state: Tensor, agents: Tensor | None = None) -> None:
        """Take over the state ``[B, N, H]`` after a decision of all agents, or of ``agents [A] int64`` alone."""
        chosen = slice(None) if agents is None else agents
        self.state = self.state.clone()
        self.state[:, chosen], self.starts[:, chosen] = state[:, chosen], False


@dataclass(frozen=True)
class SequenceBatch(Minibatch):
    """All T steps of M lanes: the tensors of :class:`Minibatch` have the leading axes ``[T, M]``.

    Attributes:
        starts: ``[T, M, N] bool``, True where an episode begins.
        actor_state, critic_state: ``[M, N, H]`` before the first step, as they were when the rollout began.
    """

    starts: Tensor
    actor_state: Tensor
    critic_state: Tensor


class RecurrentRolloutBuffer(AgentRolloutBuffer):
    """A rollout of a recurrent policy: it begins with what agents remember, and minibatches are whole lanes.

    Arguments as for :class:`AgentRolloutBuffer`.

    Attributes:
        actor_state, critic_state: ``[B, N, H]`` before the first step.
        last_critic_state: ``[B, N, H]`` after the last step, once :meth:`finish` has run.
    """

    actor_state: Tensor
    critic_state: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.starts = torch.zeros(self.rewards.shape, dtype=torch.bool)

    def begin(self, actor_state: Tensor, critic_state: Tensor) -> None:
        """Note the states ``[B, N, H]`` of actor and critic before the first step."""
        self.actor_state, self.critic_state = actor_state, critic_state

    def add_starts(self, starts: Tensor) -> None:
        """Store where episodes begin ``[B, N] bool``, of the step that :meth:`add` stores next."""
        self.starts[self.pos] = starts

    def _all_values(
        self,
        critic: SequenceCritic,  # type: ignore[override]
        last_obs: Tensor,
        last_states: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return values as the base class does; ``critic`` maps what it reads at T steps to values and its states.

        At a time limit the critic goes on from what it remembers of the episode that was cut off.
        """
        ends = self._bootstrap
        stored, remembered = self._in_lane_blocks(
            critic, self.observations, self.states, self.starts, self.critic_state
        )
        self.last_critic_state = remembered[-1]
        frames, states = ([last, *following] for last, following in (
            (last_obs, (end.observations for end in ends)), (last_states, (end.states for end in ends))
        ))  # fmt: skip
        before = torch.cat([remembered[-1], *(remembered[end.step, end.lanes] for end in ends)])
        starts = torch.zeros(before.shape[:2], dtype=torch.bool)
        starts[: self.num_lanes] = self.dones[-1] > 0
        following, _ = self._in_lane_blocks(
            critic, torch.cat(frames)[None], torch.cat(states)[None], starts[None], before
        )
        return stored.cpu(), following[0, : self.num_lanes].cpu(), following[0, self.num_lanes :].cpu()

    def _in_lane_blocks(self, critic: SequenceCritic, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Return values ``[T, B, N]`` and states of all lanes, in several calls where one would take much memory."""
        obs, states, starts, before = (tensor.to(self.device) for tensor in given)
        lanes = max(1, rows_at_once(obs.shape[2], obs.shape[3] + states.shape[2]) // len(obs))
        parts = zip(*(tensor.split(lanes, 1) for tensor in (obs, states, starts)), before.split(lanes), strict=True)
        values, after = zip(*(critic(*part) for part in parts), strict=True)
        return torch.cat(values, dim=1), torch.cat(after, dim=1)

    def get(self, rows: int | None = None, generator: torch.Generator | None = None) -> Iterator[SequenceBatch]:
        """Yield whole lanes in random order, as many at a time as ``rows`` (step, lane) pairs hold, one at least.

        The last minibatch has what is left. With ``rows`` None, all lanes at once in order.
        """
        order = torch.arange(self.num_lanes) if rows is None else torch.randperm(self.num_lanes, generator=generator)
        per_batch = self.num_lanes if rows is None else max(1, rows // self.pos)
        stored = {
            "observations": self.observations, "states": self.states, "actions": self.actions,
            "old_values": self.values, "old_log_prob": self.log_probs, "advantages": self.advantages,
            "returns": self.returns, "starts": self.starts,
        }  # fmt: skip
        on_device = {name: tensor.to(self.device) for name, tensor in stored.items()}
        for lanes in order.to(self.device).split(per_batch):
            chosen = {name: tensor[:, lanes] for name, tensor in on_device.items()}
            states = {"actor_state": self.actor_state[lanes], "critic_state": self.critic_state[lanes]}
            yield SequenceBatch(**chosen, **states)


def stacked_state(state: Any, slots: int, agents: int, width: int) -> Tensor:
    """Return the state ``[B, N, H]`` of B * N slots from ``predict``'s, a tuple with one array ``[1, B * N, H]``.

    Raises:
        InvalidParameterError: it is another one.
    """
    array = np.asarray(state[0] if isinstance(state, tuple) and len(state) == 1 else state, dtype=np.float32)
    if array.shape != (1, slots, width):
        raise InvalidParameterError(
            f"state has shape {list(array.shape)} for {slots} observations; give back what predict() returned with the "
            f"last actions, a tuple with one array [1, {slots}, {width}], or None at the beginning."
        )
    return torch.from_numpy(array).view(-1, agents, width)
