"""What optimisers remember of single entries of a parameter, where a method changes these outside gradient steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["clear_moments", "copy_moments"]


def clear_moments(optimizer: torch.optim.Optimizer, parameter: Tensor, where: Tensor) -> None:
    """Set all running statistics that ``optimizer`` keeps of ``parameter`` to zero at ``where``, bool of its shape."""
    for value in _statistics(optimizer, parameter):
        value.masked_fill_(where, 0.0)


def copy_moments(optimizer: torch.optim.Optimizer, parameter: Tensor, source: int, target: int) -> None:
    """Give row ``target`` of ``parameter [K, ...]`` the running statistics of row ``source``."""
    for value in _statistics(optimizer, parameter):
        value[target] = value[source]


def _statistics(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Iterator[Tensor]:
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            yield value
