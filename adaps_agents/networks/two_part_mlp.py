"""Networks in two parts, each of which agents may share with other agents than the other part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaps_agents.networks.agent_groups import AgentGroups
from adaps_agents.networks.cached import Layers, SubnetworkModule
from adaps_agents.networks.grouped_mlp import Activation, entries, orthogonal_stack
from adaps_agents.networks.gru import GRUCell, GRULayers
from adaps_agents.networks.optimizer_state import copy_moments

__all__ = ["AssignedGRU", "TwoPartMLP"]


class AssignedGRU(GRUCell):
    """N allocated recurrent units, of which agents may share some; see :meth:`assign`."""

    _used: Tensor

    def assign(self, index: Tensor) -> None:
        """Let agent ``i`` use unit ``index[i]`` from now on, ``[N] int64``."""
        used, labels = index.unique(return_inverse=True)
        self.register_buffer("_used", used, persistent=False)
        self.groups = AgentGroups(labels).to(index.device)

    def layers(self) -> GRULayers:
        """Return the weights and biases of the units in use."""
        held = super().layers()
        if len(self._used) == len(held[0]):
            return held
        weight_ih, bias_ih, weight_hh, bias_hh = (tensor.index_select(0, self._used) for tensor in held)
        return weight_ih, bias_ih, weight_hh, bias_hh


class TwoPartMLP(SubnetworkModule):
    """N allocated networks in two parts; agent ``i`` uses shallow part ``shallow[i]`` and deep part ``deep[i]``.

    A recurrent unit belongs to the deep part. Each part that is used is run once, for all of its agents.

    Parameters: N P_net, whether a part is in use or not.

    Args:
        sizes: layer sizes ``[F, H_1, ..., O]``.
        num_agents: N.
        activation: elementwise function after every hidden layer.
        cut: number of layers of the shallow part; the rest are deep.
        head_gain: gain of the last layer.
        seed, name: key of the random stream.
    """

    shallow: Tensor
    deep: Tensor
    _shallow_used: Tensor
    _deep_used: Tensor
    _shallow_groups: AgentGroups
    _deep_groups: AgentGroups

    def __init__(
        self,
        sizes: Sequence[int],
        num_agents: int,
        activation: Activation,
        *,
        cut: int,
        head_gain: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(sizes, torch.arange(num_agents), activation)
        self.cut = cut
        stack = orthogonal_stack(sizes, num_agents, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])

    def assign(self, shallow: Tensor, deep: Tensor) -> None:
        """Let the agents use other parts from now on, ``[N] int64`` each."""
        self._cached = None
        for name, index in (("shallow", shallow), ("deep", deep)):
            used, labels = index.unique(return_inverse=True)
            self.register_buffer(name, index.clone(), persistent=False)
            self.register_buffer(f"_{name}_used", used, persistent=False)
            setattr(self, f"_{name}_groups", AgentGroups(labels).to(index.device))
        if isinstance(self.cell, AssignedGRU):
            self.cell.assign(deep)

    def add_unit(self, seed: int, name: str) -> None:
        """Give each deep part a unit of its own."""
        each = self.groups.labels
        self.cell = AssignedGRU(self.sizes[-2], each, seed=seed, name=name)
        self.assign(self.shallow, self.deep)

    def _used(self, layer: int, tensor: Tensor) -> Tensor:
        """Return the rows ``[K, ...]`` of a layer's tensor ``[N, ...]`` that agents use."""
        used = self._shallow_used if layer < self.cut else self._deep_used
        return tensor if len(used) == len(tensor) else tensor.index_select(0, used)

    def subnetworks(self) -> Layers:
        """Return the used weights ``[K, out, in]`` and biases ``[K, out]``, K being the number of used parts."""
        weights = [self._used(layer, w) for layer, w in enumerate(entries(self.weights))]
        return weights, [self._used(layer, b) for layer, b in enumerate(entries(self.biases))]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        weights, biases = self._current()
        h, cut = self._shallow_part(x, (weights, biases)), self.cut
        out: Tensor = self._deep_groups(h, weights[cut:], biases[cut:], self.activation)
        return out

    def _shallow_part(self, x: Tensor, layers: Layers) -> Tensor:
        weights, biases = layers
        if self.cut == 0:
            return x
        return self.activation(self._shallow_groups(x, weights[: self.cut], biases[: self.cut], self.activation))

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]``, activation included, for inputs ``[B, N, F]``."""
        weights, biases = layers
        h, inner = self._shallow_part(x, layers), slice(self.cut, -1)
        if len(weights) - 1 == self.cut:
            return h
        return self.activation(self._deep_groups(h, weights[inner], biases[inner], self.activation))

    def read_out(self, states: Tensor, layers: Layers) -> Tensor:
        """Return outputs ``[B, N, O]`` for the unit's states ``[B, N, H]``."""
        weights, biases = layers
        out: Tensor = self._deep_groups(states, weights[-1:], biases[-1:], self.activation)
        return out

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it."""
        index = [int((self.shallow if layer < self.cut else self.deep)[agent]) for layer in range(len(self.weights))]
        layers = [(w[k], b[k]) for k, w, b in zip(index, self.weights, self.biases, strict=True)]
        return self.with_unit(layers, agent)

    @torch.no_grad()
    def copy_shallow(self, source: int, target: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Overwrite shallow part ``target`` and its optimiser statistics by those of ``source``."""
        for tensor in (*entries(self.weights)[: self.cut], *entries(self.biases)[: self.cut]):
            tensor[target] = tensor[source]
            if optimizer is not None:
                copy_moments(optimizer, tensor, source, target)
