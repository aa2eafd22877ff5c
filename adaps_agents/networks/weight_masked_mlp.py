"""One network of which each group uses the single weights that its mask keeps (unstructured masks)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaps_agents.networks.agent_network import mask_bits
from adaps_agents.networks.cached import Layers, SubnetworkModule
from adaps_agents.networks.grouped_mlp import Activation, entries, orthogonal_stack

__all__ = ["WeightMaskedMLP"]


class WeightMaskedMLP(SubnetworkModule):
    """Layer ``l`` of group ``k`` computes ``activation((W_l * M_k) h + b_l * m_k)``.

    The groups' weights are materialised, ``[K, out, in]``, and run as stacked networks; unlike masked neurons, masked
    weights save no arithmetic. The weights of a recurrent unit are not masked; the unit and the output layer see masked
    neurons of the last hidden layer as zero.

    Args:
        sizes: layer sizes ``[F, H_1, ..., O]``.
        labels: ``[N] int64`` group of each agent.
        weight_masks: one ``[K, out, in]`` tensor a layer, booleans or gates in [0, 1].
        bias_masks: one ``[K, out]`` tensor a layer.
        activation: elementwise function after every hidden layer.
        head_gain, seed, name: as in :class:`~adaps_agents.networks.grouped_mlp.GroupedMLP`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        labels: Tensor,
        weight_masks: Sequence[Tensor],
        bias_masks: Sequence[Tensor],
        activation: Activation,
        *,
        head_gain: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(sizes, labels, activation)
        stack = orthogonal_stack(sizes, 1, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])
        for index, (weight_mask, bias_mask) in enumerate(zip(weight_masks, bias_masks, strict=True)):
            self.register_buffer(f"weight_mask_{index}", weight_mask.clone())
            self.register_buffer(f"bias_mask_{index}", bias_mask.clone())

    @property
    def masks(self) -> list[Tensor]:
        """One ``[K, out * in]`` tensor a layer."""
        return [getattr(self, f"weight_mask_{index}").flatten(1) for index in range(len(self.weights))]

    @property
    def fixed_bits(self) -> int:
        """Bits of the weights' masks."""
        return mask_bits(self.masks)

    def subnetworks(self) -> Layers:
        """Return the groups' weights ``[K, out, in]`` and biases ``[K, out]``, masked entries zero."""
        weights = [w * getattr(self, f"weight_mask_{index}") for index, w in enumerate(entries(self.weights))]
        biases = [b * getattr(self, f"bias_mask_{index}") for index, b in enumerate(entries(self.biases))]
        return weights, biases

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        out: Tensor = self.groups(x, *self._current(), self.activation)
        return out

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]`` for inputs ``[B, N, F]``; masked neurons are zero."""
        return super().features(x, layers) * self._last_gates[self.groups.labels]

    @property
    def _last_gates(self) -> Tensor:
        """Which neurons of the last hidden layer have a bias, ``[K, H]``: those that their group uses."""
        gates: Tensor = getattr(self, f"bias_mask_{len(self.sizes) - 3}")
        return gates

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it."""
        group = int(self.groups.labels[agent])
        weights, biases = self.subnetworks()
        layers = [(w[group], b[group]) for w, b in zip(weights, biases, strict=True)]
        return self.with_unit(layers, agent, reads=self._last_gates[group].float())
