"""What the networks of an actor or a critic are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from adaps_agents.networks.agent_groups import Activation
from adaps_agents.networks.grouped_mlp import GroupedMLP, MaskedMLP

__all__ = ["NetworkSpec"]


@dataclass(frozen=True)
class NetworkSpec:
    """Sizes, activation and random stream of the actor or the critic; makes the two common kinds of network.

    Attributes:
        sizes: layer sizes ``[F, H, ..., O]``.
        activation: elementwise function after hidden layers.
        head_gain: gain of the last layer's initial weights.
        seed, name: key of the random stream; the name is ``actor`` or ``critic``.
        recurrent: whether the network gets a recurrent unit.
    """

    sizes: list[int]
    activation: Activation
    head_gain: float
    seed: int
    name: str
    recurrent: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that every network class here takes."""
        return {name: getattr(self, name) for name in ("sizes", "activation", "head_gain", "seed", "name")}

    @property
    def mask_widths(self) -> list[int]:
        """How many neurons each mask is over: hidden layers, and what the output layer reads of a recurrent state.

        Recurrent states and gates themselves are never masked.
        """
        hidden = self.sizes[1:-1]
        return [*hidden, hidden[-1]] if self.recurrent else hidden

    def grouped(self, labels: Tensor) -> GroupedMLP:
        """Return one private network per group of ``labels [N] int64``."""
        return GroupedMLP(labels=labels, **self.options)

    def masked(self, labels: Tensor, masks: Sequence[Tensor], execution: str = "auto") -> MaskedMLP:
        """Return one network whose hidden neurons are masked for each group of ``labels [N] int64``.

        Args:
            labels: group of each agent.
            masks: one ``[K, width]`` tensor for each of :attr:`mask_widths`.
            execution: see :class:`~adaps_agents.networks.grouped_mlp.MaskedMLP`.
        """
        return MaskedMLP(labels=labels, masks=masks, execution=execution, **self.options)
