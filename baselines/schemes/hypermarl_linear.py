"""HyperMARL with a linear hypernetwork on the one-hot index: a table of networks, one an agent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers
from adaps_agents.networks.grouped_mlp import Activation, GroupedMLP, entries, orthogonal_stack
from adaps_agents.schemes.base import Network, SharingScheme
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
        self.make_parts(self._generated, self.networks)

    def _generated(self, part: str) -> GroupedMLP | OffsetMLP:
        if self.bias:
            return OffsetMLP(num_agents=self.spaces.num_agents, **self.network_options(part))
        index = torch.arange(self.spaces.num_agents, device=self.labels.device)
        return GroupedMLP(labels=index, **self.network_options(part))

    def private_stacks(self) -> bool:
        """Return True if actor and critic are tables of private networks."""
        return not self.bias and self.networks == "both" and super().private_stacks()

    def unit_labels(self, net: Network) -> Tensor:
        """Return one group: the authors generate feed-forward layers only, and all agents share the recurrent unit."""
        return torch.zeros_like(self.labels)


SCHEME = HyperMARLLinear
