"""Networks whose weights are computed for every agent from parameters that the agents share in some way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaps_agents.networks.cached import Layers, SubnetworkModule
from adaps_agents.networks.grouped_mlp import Activation

__all__ = ["GeneratedMLP", "Layers", "folded_index"]


class GeneratedMLP(SubnetworkModule):
    """Base of networks that generate the weights of all N agents at once and run them as stacked networks.

    A subclass creates its parameters and fills in :meth:`subnetworks`, which returns ``[N, out, in]`` and ``[N, out]``.

    Args:
        sizes: layer sizes ``[F, H_1, ..., O]``.
        num_agents: N.
        activation: elementwise function after every hidden layer.
    """

    def __init__(self, sizes: Sequence[int], num_agents: int, activation: Activation) -> None:
        super().__init__(sizes, torch.arange(num_agents), activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        out: Tensor = self.groups(x, *self._current(), self.activation)
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it."""
        return self.with_unit([(w[agent], b[agent]) for w, b in zip(*self.subnetworks(), strict=True)], agent)


def folded_index(weight: Tensor, bias: Tensor, obs_dim: int) -> tuple[Tensor, Tensor]:
    """Return the first layer without its one-hot inputs: each agent's own column of weights becomes part of its bias.

    Args:
        weight: ``[N, out, F + N]``, of inputs that are an observation and the agent's one-hot index.
        bias: ``[N, out]``.
        obs_dim: F.
    """
    own = weight[..., obs_dim:].diagonal(dim1=0, dim2=2).T
    return weight[..., :obs_dim], bias + own
