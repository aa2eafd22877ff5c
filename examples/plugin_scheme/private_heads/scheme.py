"""Shared hidden layers, a private output layer for every agent."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from adaps_agents import SharingScheme
from adaps_agents.networks.agent_network import AgentNetwork
from adaps_agents.networks.build import NetworkSpec

__all__ = ["PrivateHeads"]


class TrunkAndHeads(AgentNetwork):
    """Hidden layers that all agents share, and one output layer per agent."""

    def __init__(self, spec: NetworkSpec, num_agents: int) -> None:
        everyone, each = torch.zeros(num_agents, dtype=torch.int64), torch.arange(num_agents)
        super().__init__(spec.sizes, each, spec.activation)
        self.trunk = replace(spec, sizes=spec.sizes[:-1], head_gain=2**0.5, name=f"{spec.name} trunk").grouped(everyone)
        self.heads = replace(spec, sizes=spec.sizes[-2:], name=f"{spec.name} heads").grouped(each)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for observations ``[B, N, F]``."""
        out: Tensor = self.heads(self.activation(self.trunk(x)))
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as ``agent`` uses it."""
        return self.trunk.effective_params(agent) + self.heads.effective_params(agent)


class PrivateHeads(SharingScheme):
    """One trunk for the whole team, one head per agent: half-way between full sharing and none."""

    name = "private_heads"
    summary = "shared hidden layers, a private output layer for every agent"
    source = "common multi-head architecture"
    parameter_formula = "P + (N - 1)(H + 1)(A + 1)"

    def make_networks(self) -> None:
        """Make actor and critic."""
        self.actor_net = TrunkAndHeads(self.actor_spec, self.spaces.num_agents)
        self.critic_net = TrunkAndHeads(self.critic_spec, self.spaces.num_agents)
