"""Which network each agent uses, and the matrix products that evaluate all networks at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Activation", "AgentGroups", "Layer", "Layers"]

Activation = Callable[[Tensor], Tensor]

Layer: TypeAlias = "tuple[Tensor, Tensor]"
"""Weight ``[out, in]`` and bias ``[out]``."""

Layers: TypeAlias = "tuple[list[Tensor], list[Tensor]]"
"""Weights ``[K, out, in]`` and biases ``[K, out]``, one of each a layer."""


class AgentGroups(nn.Module):
    """Which of K stacked networks each agent uses, and the matrix products that evaluate them.

    Attributes:
        labels: ``[N] int64``.
        number: K.
    """

    labels: Tensor
    _order: Tensor
    _inverse: Tensor

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.register_buffer("labels", labels, persistent=False)
        self.number = int(labels.max()) + 1
        counts = torch.bincount(labels, minlength=self.number)
        assert bool((counts > 0).all()), "every network must serve an agent"
        self._counts: list[int] = counts.tolist()
        order = torch.argsort(labels, stable=True)
        self._sorted = bool((order == torch.arange(len(labels), device=labels.device)).all())
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_inverse", torch.argsort(order), persistent=False)
        self._equal = len(set(self._counts)) == 1

    def forward(self, x: Tensor, weights: list[Tensor], biases: list[Tensor], activation: Activation) -> Tensor:
        """Return ``[B, N, O]`` for ``x [B, N, F]``, weights ``[K, out, in]`` and biases ``[K, out]`` a layer."""
        if self.number == 1:
            return _plain(x, [w[0] for w in weights], [b[0] for b in biases], activation)
        lanes = x.shape[0]
        by_agent = x.transpose(0, 1)
        if not self._sorted:
            by_agent = by_agent.index_select(0, self._order)
        if self._equal:
            stacked = by_agent.reshape(self.number, -1, x.shape[-1])
            out = _batched(stacked, weights, biases, activation).view(len(self.labels), lanes, -1)
        else:
            parts = [
                _plain(part, [w[k] for w in weights], [b[k] for b in biases], activation)
                for k, part in enumerate(by_agent.split(self._counts))
            ]
            out = torch.cat(parts)
        if not self._sorted:
            out = out.index_select(0, self._inverse)
        return out.transpose(0, 1)

    def stack_slices(self) -> list[slice]:
        """Return which networks run together on each of the stacks that :meth:`to_stacks` returns."""
        if self.number == 1 or self._equal:
            return [slice(None)]
        return [slice(k, k + 1) for k in range(self.number)]

    def to_stacks(self, x: Tensor) -> list[Tensor]:
        """Return sequences ``[T, B, N, W]`` as stacks ``[K', T, R, W]`` of networks that serve equally many agents.

        One stack of all K networks where the groups have equal sizes, K stacks of one otherwise; R is B times the
        number of a network's agents. :meth:`from_stacks` is the way back.
        """
        steps, lanes, agents, width = x.shape
        if self.number == 1:
            return [x.reshape(1, steps, lanes * agents, width)]
        by_agent = x.permute(2, 0, 1, 3)
        if not self._sorted:
            by_agent = by_agent.index_select(0, self._order)
        parts = [by_agent] if self._equal else by_agent.split(self._counts)
        number = self.number if self._equal else 1
        return [part.unflatten(0, (number, -1)).transpose(1, 2).reshape(number, steps, -1, width) for part in parts]

    def from_stacks(self, stacks: list[Tensor], lanes: int) -> Tensor:
        """Return stacks ``[K', T, R, W]`` as sequences ``[T, B, N, W]`` of B = ``lanes``."""
        if self.number == 1:
            return stacks[0][0].unflatten(1, (lanes, -1))
        parts = [part.unflatten(2, (-1, lanes)).transpose(1, 2).flatten(0, 1) for part in stacks]
        by_agent = parts[0] if len(parts) == 1 else torch.cat(parts)
        if not self._sorted:
            by_agent = by_agent.index_select(0, self._inverse)
        return by_agent.permute(1, 2, 0, 3)


def _plain(x: Tensor, weights: list[Tensor], biases: list[Tensor], activation: Activation) -> Tensor:
    shape = x.shape[:-1]
    h = x.reshape(-1, x.shape[-1])
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = activation(functional.linear(h, w, b))
    return functional.linear(h, weights[-1], biases[-1]).view(*shape, -1)


def _batched(x: Tensor, weights: list[Tensor], biases: list[Tensor], activation: Activation) -> Tensor:
    h = x
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = activation(torch.baddbmm(b[:, None, :], h, w.transpose(1, 2)))
    return torch.baddbmm(biases[-1][:, None, :], h, weights[-1].transpose(1, 2))
