"""Bare torch loops: A2C or PPO as a researcher would write it by hand for one way of sharing.

Random observations, neither an environment nor a framework: what is left is the arithmetic that no learner of the same
scheme can avoid. Private networks are one batched product, on observations that lie in its order; masked ones are
one network whose hidden activations are multiplied by the agents' masks. Letters: B lanes, N agents, F features, A
actions, T steps, K networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BARE_SCHEMES", "BareLoop", "BareTask"]

GAMMA = 0.95
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class BareTask:
    """Sizes of a bare loop: B lanes, N agents, F features, A actions, T steps, hidden widths."""

    lanes: int
    agents: int
    obs_dim: int
    num_actions: int
    steps: int
    hidden: tuple[int, ...]


class _Plain(nn.Sequential):
    """One network for all agents; observations are ``[B, N, F]``."""

    rows_axis = 0

    @staticmethod
    def layout(task: BareTask) -> tuple[int, int]:
        return task.lanes, task.agents

    def __init__(self, task: BareTask, outputs: int) -> None:
        layers: list[nn.Module] = []
        for fan_in, out in pairwise([task.obs_dim, *task.hidden]):
            layers += [nn.Linear(fan_in, out), nn.ReLU()]
        super().__init__(*layers, nn.Linear(task.hidden[-1], outputs))


class _Masked(nn.Module):
    """One network of which the agents of each of three groups keep half of the hidden neurons."""

    rows_axis = 0
    layout = _Plain.layout

    def __init__(self, task: BareTask, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise([task.obs_dim, *task.hidden, outputs]))
        group = torch.arange(task.agents) * GROUPS // task.agents
        self.masks = [(torch.rand(GROUPS, width).argsort(dim=1) < width // 2).float()[group] for width in task.hidden]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O] float32`` for observations ``[B, N, F] float32``."""
        for layer, mask in zip(self.layers[:-1], self.masks, strict=True):
            x = torch.relu(layer(x)) * mask
        out: Tensor = self.layers[-1](x)
        return out


class _Stacked(nn.Module):
    """K networks of N / K agents each, run as one batched product on observations ``[K, B * N / K, F]``."""

    rows_axis = 1

    def __init__(self, task: BareTask, outputs: int) -> None:
        super().__init__()
        sizes, number = list(pairwise([task.obs_dim, *task.hidden, outputs])), self.layout(task)[0]
        self.weights = nn.ParameterList(torch.randn(number, fan_in, out) / fan_in**0.5 for fan_in, out in sizes)
        self.biases = nn.ParameterList(torch.zeros(number, 1, out) for _, out in sizes)

    @staticmethod
    def layout(task: BareTask) -> tuple[int, int]:
        return GROUPS, task.lanes * task.agents // GROUPS

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[K, B * N / K, O] float32`` for observations ``[K, B * N / K, F] float32``."""
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.relu(torch.baddbmm(b, x, w))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])


class _Private(_Stacked):
    """A network for every agent."""

    @staticmethod
    def layout(task: BareTask) -> tuple[int, int]:
        return task.agents, task.lanes


GROUPS = 3
BARE_SCHEMES: dict[str, Any] = {"fups": _Plain, "adaps": _Masked, "seps": _Stacked, "nops": _Private}


class BareLoop:
    """Hand-written A2C (or clipped PPO, with ``epochs``) without an environment.

    Args:
        scheme: one of ``BARE_SCHEMES``.
        task: sizes.
        epochs: None for A2C's single step on the rollout, or PPO's number of passes.
        batch: PPO's minibatch size in single-agent rows.
    """

    def __init__(self, scheme: str, task: BareTask, *, epochs: int | None = None, batch: int = 0) -> None:
        network = BARE_SCHEMES[scheme]
        self.actor, self.critic = network(task, task.num_actions), network(task, 1)
        self.axis, layout = network.rows_axis, network.layout(task)
        self.epochs, self.rows = epochs, max(1, batch // layout[1 - self.axis])
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, fused=True)
        generator = np.random.default_rng(0)
        frames = generator.standard_normal((task.steps + 1, *layout, task.obs_dim), dtype=np.float32)
        self.frames = torch.from_numpy(frames)
        self.rewards = torch.from_numpy(generator.standard_normal((task.steps, *layout), dtype=np.float32))
        self.agent_steps = task.steps * task.lanes * task.agents

    def iterate(self) -> None:
        """Collect one rollout and learn from it."""
        actions, values, log_probs = [], [], []
        with torch.no_grad():
            for frame in self.frames[:-1]:
                logits = self.actor(frame).log_softmax(dim=-1)
                action = (logits - torch.empty_like(logits).exponential_().log_()).argmax(dim=-1)
                actions.append(action)
                log_probs.append(logits.gather(-1, action[..., None]).squeeze(-1))
                values.append(self.critic(frame).squeeze(-1))
            following = self.critic(self.frames[-1]).squeeze(-1)
            returns = []
            for reward in self.rewards.flip(0):
                following = reward + GAMMA * following
                returns.append(following)
        stored = (list(self.frames[:-1]), actions, returns[::-1], values, log_probs)
        obs, action, target, value, old = (torch.cat(tensors, dim=self.axis) for tensors in stored)
        self._learn(obs, action, target, target - value, old)

    def _learn(self, *rollout: Tensor) -> None:
        if self.epochs is None:
            self._step(*rollout)
            return
        for _ in range(self.epochs):
            for rows in torch.randperm(rollout[0].shape[self.axis]).split(self.rows):
                self._step(*(tensor.index_select(self.axis, rows) for tensor in rollout))

    def _step(self, obs: Tensor, actions: Tensor, target: Tensor, advantage: Tensor, old: Tensor) -> None:
        log_probs = self.actor(obs).log_softmax(dim=-1)
        chosen = log_probs.gather(-1, actions[..., None]).squeeze(-1)
        if self.epochs is None:
            policy_loss = -(advantage * chosen).mean()
        else:
            ratio = (chosen - old).exp()
            policy_loss = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
        entropy = (log_probs.exp() * log_probs).sum(dim=-1).mean()
        loss = policy_loss + 0.5 * functional.mse_loss(self.critic(obs).squeeze(-1), target) + 0.01 * entropy
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 0.5)
        self.optimizer.step()
