"""Shared hidden layers, a private output layer for every agent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adaps_agents import SharingScheme
from adaps_agents.networks.grouped_mlp import Activation, GroupedMLP

__all__ = ["PrivateHeads"]


class TrunkAndHeads(nn.Module):
    """Hidden layers that all agents share, and one output layer an agent."""

    def __init__(self, sizes: list[int], num_agents: int, activation: Activation, gain: float, seed: int, name: str):
        super().__init__()
        everyone, each = torch.zeros(num_agents, dtype=torch.int64), torch.arange(num_agents)
        self.activation = activation
        self.trunk = GroupedMLP(sizes[:-1], everyone, activation, head_gain=2**0.5, seed=seed, name=f"{name} trunk")
        self.heads = GroupedMLP(sizes[-2:], each, activation, head_gain=gain, seed=seed, name=f"{name} heads")

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for observations ``[B, N, F]``."""
        out: Tensor = self.heads(self.activation(self.trunk(x)))
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight, bias) of each layer as ``agent`` uses it."""
        return self.trunk.effective_params(agent) + self.heads.effective_params(agent)

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward."""
        return self.trunk.flops_per_decision + self.heads.flops_per_decision


class PrivateHeads(SharingScheme):
    """One trunk for the whole team, one head an agent: half-way between full sharing and none."""

    name = "private_heads"
    summary = "shared hidden layers, a private output layer for every agent"
    source = "common multi-head architecture"
    parameter_formula = "P + (N - 1)(H + 1)(A + 1)"

    def make_networks(self) -> None:
        """Make actor and critic."""
        agents, seed, activation = self.spaces.num_agents, self.seed, self.activation
        self.actor_net = TrunkAndHeads(self.actor_sizes(), agents, activation, 0.01, seed, "actor")  # type: ignore[assignment]
        self.critic_net = TrunkAndHeads(self.critic_sizes(), agents, activation, 1.0, seed, "critic")  # type: ignore[assignment]
