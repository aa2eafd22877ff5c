"""What a policy takes: bytes of parameters, buffers and optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from adaps_agents.schemes.base import SharingScheme

__all__ = ["Memory", "memory_of"]


@dataclass(frozen=True)
class Memory:
    """Bytes that a scheme holds between two steps; activations and rollouts come on top.

    Attributes:
        parameters: trainable and frozen parameters.
        buffers: masks, labels, running statistics, and what is precomputed for speed.
        optimiser: running statistics of the parameters; 0 before the first step.
    """

    parameters: int
    buffers: int
    optimiser: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parameters + self.buffers + self.optimiser


def memory_of(scheme: SharingScheme, optimizer: torch.optim.Optimizer | None = None) -> Memory:
    """Count the bytes of a scheme, and of its optimiser's state if there is one."""
    states = [] if optimizer is None else [value for state in optimizer.state.values() for value in state.values()]
    return Memory(
        parameters=_bytes(scheme.parameters()),
        # Records do not count the flag that says whether groups are known.
        buffers=_bytes(buffer for name, buffer in scheme.named_buffers() if name != "prepared"),
        optimiser=_bytes(value for value in states if isinstance(value, Tensor)),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
