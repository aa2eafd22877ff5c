"""A masked network whose groups read their inputs through gates of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adaps_agents.networks.agent_groups import Layers
from adaps_agents.networks.grouped_mlp import MaskedMLP

__all__ = ["GatedMLP"]

# Steps of a trained gain are this much larger than those of a weight.
GAIN_SCALE = 5.0


class GatedMLP(MaskedMLP):
    """One network, of which group ``k`` reads ``gates[k] * x`` and uses the hidden neurons that its mask keeps.

    With gates of one everywhere this is :class:`~adaps_agents.networks.grouped_mlp.MaskedMLP`, bit for bit.

    Args:
        gates: ``[K, F] float32``, factors of the input entries.
        gains: None for fixed gates; ``[K, K]`` (an identity matrix) to train one gain for each group and entry; or
            codes ``[K, D]`` to train a linear map from a group's code to its gains. Gains start at zero:
            group ``k`` reads ``(gates[k] + GAIN_SCALE * gains[k] @ map) * x``.
        **options: as for :class:`~adaps_agents.networks.grouped_mlp.MaskedMLP`.
    """

    gates: Tensor
    gain_codes: Tensor

    def __init__(self, *args: Any, gates: Tensor, gains: Tensor | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("gates", gates.clone())
        self.gain_map: nn.Parameter | None = None
        if gains is not None:
            self.register_buffer("gain_codes", gains.clone())
            self.gain_map = nn.Parameter(torch.zeros(gains.shape[1], gates.shape[1]))
        self._choose_gating()

    def _choose_execution(self) -> None:
        """Choose how masks are run; after a load, also whether there is a gate to apply."""
        super()._choose_execution()
        if hasattr(self, "gates"):
            self._choose_gating()

    def _choose_gating(self) -> None:
        self._open = self.gain_map is None and bool((self.gates == 1).all())

    def current_gates(self) -> Tensor:
        """Return the factors of the input entries, ``[K, F]``, trained gains included."""
        return self.gates if self.gain_map is None else self.gates + GAIN_SCALE * self.gain_codes @ self.gain_map

    def _gated(self, x: Tensor) -> Tensor:
        """Return inputs ``[B, N, F]`` as the agents' groups read them."""
        return x if self._open else x * self.current_gates()[self.groups.labels]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        return super().forward(self._gated(x))

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]`` for inputs ``[B, N, F]``."""
        return super().features(self._gated(x), layers)

    @property
    def fixed_bits(self) -> int:
        """Bits of masks and gates; one group has no gate."""
        return super().fixed_bits + (32 * self.gates.numel() if len(self.gates) > 1 else 0)

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer; gates scale its first columns."""
        (weight, bias), *rest = super().effective_params(agent)
        return [(weight * self.current_gates()[int(self.groups.labels[agent])], bias), *rest]
