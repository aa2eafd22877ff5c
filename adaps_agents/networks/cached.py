"""Weights that are computed from parameters, and cached while nothing changes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from adaps_agents.networks.agent_groups import Activation, Layers
from adaps_agents.networks.agent_network import AgentNetwork

__all__ = ["Layers", "SubnetworkModule"]


class SubnetworkModule(AgentNetwork):
    """Base of networks that compute the weights they run from their parameters.

    Weights are computed once per forward, not once a sample. In evaluation mode without gradients, that is all through
    a rollout, they are cached until a tensor they depend on is written to or training mode returns; fused optimisers
    write unseen, so take gradient steps in training mode, as the learners do.
    """

    takes_unit: ClassVar[bool] = True

    def __init__(self, sizes: Sequence[int], labels: Tensor, activation: Activation) -> None:
        super().__init__(sizes, labels, activation)
        self._cached: tuple[list[tuple[int, int]], Layers] | None = None

    @abstractmethod
    def subnetworks(self) -> Layers:
        """Return the weights ``[K, out, in]`` and the biases ``[K, out]`` of each layer, one network a group."""

    def run_layers(self) -> Layers:
        """Return the subnetworks."""
        return self._current()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, as ``nn.Module.train``; cached weights are dropped."""
        self._cached = None
        return super().train(mode)

    def _depends_on(self) -> Iterable[Tensor]:
        """Return the tensors that the weights are computed from."""
        return (*self.parameters(), *self.buffers())

    def _current(self) -> Layers:
        """Return the weights, cached ones if they still hold."""
        if self.training or torch.is_grad_enabled():
            self._cached = None
            return self.subnetworks()
        written = [(tensor.data_ptr(), tensor._version) for tensor in self._depends_on()]
        if self._cached is None or self._cached[0] != written:
            self._cached = written, self.subnetworks()
        return self._cached[1]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load as usual; cached weights are dropped."""
        self._cached = None
        super()._load_from_state_dict(*args, **kwargs)
