"""Weights that are worked out from parameters, and kept while nothing changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor

from adaps_agents.networks.agent_groups import Layers
from adaps_agents.networks.gru import AgentNetwork

__all__ = ["Layers", "SubnetworkModule"]


class SubnetworkModule(AgentNetwork, ABC):
    """Base of networks that run weights which they work out from their parameters.

    Weights are worked out once a forward, not once a sample. In evaluation mode without gradients, that is all through
    a rollout, they are kept until a tensor they depend on is written to or training mode returns; fused optimisers
    write unseen, so take gradient steps in training mode, as the learners do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: tuple[list[tuple[int, int]], Layers] | None = None

    @abstractmethod
    def subnetworks(self) -> Layers:
        """Return the weights ``[K, out, in]`` and the biases ``[K, out]`` of each layer, one network a group."""

    def run_layers(self) -> Layers:
        """Return the subnetworks."""
        return self._current()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, as ``nn.Module.train``; kept weights are forgotten."""
        self._kept = None
        return super().train(mode)

    def _depends_on(self) -> Iterable[Tensor]:
        """Return the tensors that the weights are worked out from."""
        return (*self.parameters(), *self.buffers())

    def _current(self) -> Layers:
        """Return the weights, kept ones if they still hold."""
        if self.training or torch.is_grad_enabled():
            self._kept = None
            return self.subnetworks()
        written = [(tensor.data_ptr(), tensor._version) for tensor in self._depends_on()]
        if self._kept is None or self._kept[0] != written:
            self._kept = written, self.subnetworks()
        return self._kept[1]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load as usual; kept weights are forgotten."""
        self._kept = None
        super()._load_from_state_dict(*args, **kwargs)
