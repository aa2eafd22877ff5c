"""One network that is told an index: of the agent, or of its group."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from adaps_agents.networks.agent_groups import Layers
from adaps_agents.networks.grouped_mlp import GroupedMLP, entries

__all__ = ["IndexedMLP"]


class IndexedMLP(GroupedMLP):
    """One network on ``[o, scale * e]``, the observation followed by a one-hot index.

    The index selects a column of the first layer, so it is added as a bias; no one-hot vector is ever multiplied.

    Args:
        sizes: layer sizes ``[F, H, ..., O]`` without the index.
        index: ``[N] int64`` index of each agent, 0..I-1; the first layer has F + I inputs.
        scale: value of the index's entry.
        **options: as for :class:`~adaps_agents.networks.grouped_mlp.GroupedMLP`.
    """

    index: Tensor

    def __init__(self, sizes: list[int], index: Tensor, *, scale: float = 1.0, **options: Any) -> None:
        super().__init__([sizes[0] + int(index.max()) + 1, *sizes[1:]], torch.zeros_like(index), **options)
        self.register_buffer("index", index.clone(), persistent=False)
        self.obs_dim = sizes[0]
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for observations ``[B, N, F]``."""
        return self._run(x, entries(self.weights), entries(self.biases))

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]`` for observations ``[B, N, F]``."""
        weights, biases = layers
        return self.activation(self._run(x, weights[:-1], biases[:-1]))

    def _run(self, x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
        first = weights[0][0]
        columns = first[:, self.obs_dim :].T.index_select(0, self.index)
        h = functional.linear(x, first[:, : self.obs_dim]) + (biases[0][0] + self.scale * columns)
        if len(weights) == 1:
            return h
        out: Tensor = self.groups(self.activation(h), weights[1:], biases[1:], self.activation)
        return out

    @property
    def whole_labels(self) -> Tensor | None:
        """None in place of ``[N] int64``: agents differ by their index."""
        return None

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer, the index folded into the first bias."""
        (first, bias), *rest = super().effective_params(agent)
        column = first[:, self.obs_dim + int(self.index[agent])]
        return [(first[:, : self.obs_dim], bias + self.scale * column), *rest]
