"""HyperMARL with a linear hypernetwork on the one-hot index: a table of networks, one an agent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers
from adaps_agents.networks.grouped_mlp import Activation, GroupedMLP, entries, orthogonal_stack
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import NETWORKS, check_choice, check_flag

__all__ = ["SCHEME", "HyperMARLLinear", "OffsetMLP"]


class OffsetMLP(GeneratedMLP):
    """Networks ``theta_i = W e_i + b``: a private column for every agent on a base that all share.

    Parameters: (N + 1) P. The base starts at zero, the columns as private networks do.

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.networks.generated_mlp.GeneratedMLP`.
        head_gain: gain of the last layer.
        seed, name: key of the random streams.
    """

    def __init__(
        self, sizes: Sequence[int], num_agents: int, activation: Activation, *, head_gain: float, seed: int, name: str
    ) -> None:
        super().__init__(sizes, num_agents, activation)
        stack = orthogonal_stack(sizes, num_agents, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])
        self.base_weights = nn.ParameterList([nn.Parameter(torch.zeros(1, *layer.shape[1:])) for layer in stack])
        self.base_biases = nn.ParameterList([nn.Parameter(torch.zeros(1, layer.shape[1])) for layer in stack])

    def subnetworks(self) -> Layers:
        """Return the sums of base and column, ``[N, out, in]`` and ``[N, out]``."""
        weights = [base + own for base, own in zip(entries(self.base_weights), entries(self.weights), strict=True)]
        biases = [base + own for base, own in zip(entries(self.base_biases), entries(self.biases), strict=True)]
        return weights, biases


class TableMLP(GroupedMLP):
    """Private networks of which all share the recurrent unit: the authors generate feed-forward layers only."""

    def unit_labels(self) -> Tensor:
        """Return one unit for all agents, ``[N] int64``."""
        return torch.zeros_like(self.groups.labels)


class HyperMARLLinear(SharingScheme):
    """Agent-conditioned linear hypernetworks: ``theta_i = W e_i (+ b)`` with ``e_i`` one-hot.

    Without ``b``, the authors' default, this is a table of private networks, equal to NoPS in function, gradients and
    initial weights, and run as one: no one-hot vector is multiplied. With ``b`` all agents share a base. A recurrent
    unit is not generated but shared by all, as in the authors' StarCraft networks.

    Args:
        bias: add the shared base ``b``.
        networks: generate ``both`` actor and critic, or the ``actor`` only, with one critic for all agents.
    """

    name = "hypermarl_linear"
    summary = "a linear hypernetwork on the one-hot index: private networks, on a shared base if asked for"
    source = "Tessera et al., NeurIPS 2025, arXiv 2412.04233"
    parameter_formula = "N P (with bias: N P + P)"

    def __init__(self, *, bias: bool = False, networks: str = "both") -> None:
        super().__init__()
        check_flag("bias", bias)
        check_choice("networks", networks, NETWORKS)
        self.bias, self.networks = bias, networks

    def make_networks(self) -> None:
        """Make every agent's networks."""
        self.actor_net = self._generated(self.actor_spec)
        both = self.networks == "both"
        self.critic_net = self._generated(self.critic_spec) if both else self.critic_spec.grouped(self.labels)

    def _generated(self, spec: NetworkSpec) -> TableMLP | OffsetMLP:
        if self.bias:
            return OffsetMLP(num_agents=self.spaces.num_agents, **spec.options)
        return TableMLP(labels=torch.arange(self.spaces.num_agents, device=self.labels.device), **spec.options)


SCHEME = HyperMARLLinear
