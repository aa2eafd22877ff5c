"""Networks whose weights are computed for every agent from parameters that the agents share in some way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from adaps_agents.sharing.layers import Activation, AgentGroups

__all__ = ["GeneratedMLP", "Layers"]

Layers: TypeAlias = "tuple[list[Tensor], list[Tensor]]"


class GeneratedMLP(nn.Module, ABC):
    """Base of networks that generate the weights of all N agents at once and run them as stacked networks.

    A subclass creates its parameters and fills in :meth:`subnetworks`. Weights are generated once a forward, not once a
    sample. In evaluation mode without gradients they are kept until a parameter or buffer is written to or training
    mode returns; fused optimisers write unseen, so take gradient steps in training mode, as the learners do.

    Args:
        sizes: layer sizes ``[F, H_1, ..., O]``.
        num_agents: N.
        activation: elementwise function after every hidden layer.
    """

    def __init__(self, sizes: Sequence[int], num_agents: int, activation: Activation) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.activation = activation
        self.groups = AgentGroups(torch.arange(num_agents))
        self._kept: tuple[list[tuple[int, int]], Layers] | None = None

    @abstractmethod
    def subnetworks(self) -> Layers:
        """Return all agents' weights, ``[N, out, in]`` a layer, and biases, ``[N, out]`` a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        out: Tensor = self.groups(x, *self._current(), self.activation)
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it."""
        return [(w[agent], b[agent]) for w, b in zip(*self.subnetworks(), strict=True)]

    def train(self, mode: bool = True) -> GeneratedMLP:
        """Set training mode, as ``nn.Module.train``; kept weights are forgotten."""
        self._kept = None
        return super().train(mode)

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward, once its weights are generated."""
        return sum(2 * fan_in * out for fan_in, out in zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def _current(self) -> Layers:
        if self.training or torch.is_grad_enabled():
            self._kept = None
            return self.subnetworks()
        written = [(tensor.data_ptr(), tensor._version) for tensor in (*self.parameters(), *self.buffers())]
        if self._kept is None or self._kept[0] != written:
            self._kept = written, self.subnetworks()
        return self._kept[1]
