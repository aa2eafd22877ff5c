"""What every network of a sharing scheme is: an agent axis, a recurrent unit or none, and a report of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from adaps_agents.networks.agent_groups import Activation, AgentGroups, Layer, Layers
from adaps_agents.networks.gru import GRUCell

__all__ = ["AgentNetwork", "mask_bits", "products"]

# Entries of 0 and 1; of -1, 0 and 1; gates.
MASK_BITS = {torch.bool: 1, torch.int8: 2, torch.float32: 32}


class AgentNetwork(nn.Module, ABC):
    """Base of all networks: hidden layers, a recurrent unit if there is one, an output layer.

    A subclass must fill in :meth:`forward` and :meth:`effective_params`. To be recurrent as well, it sets
    ``takes_unit`` and fills in :meth:`run_layers`; :meth:`features` and :meth:`read_out` are those of stacked networks
    unless it overrides them. All else has a default that holds for one network which all agents share.

    Attributes:
        takes_unit: whether the network can hold a recurrent unit.
        sizes: layer sizes ``[F, H_1, ..., O]``, without the unit.
        activation: elementwise function after every hidden layer.
        groups: which of K stacked networks each agent uses.
        cell: the recurrent unit, or None.

    Args:
        sizes: layer sizes.
        labels: ``[N] int64`` stacked network of each agent, values ``0..K-1``, each used.
        activation: elementwise function.
    """

    takes_unit: ClassVar[bool] = False

    cell: GRUCell | None

    def __init__(self, sizes: Sequence[int], labels: Tensor, activation: Activation) -> None:
        super().__init__()
        self.register_module("cell", None)
        self.sizes = tuple(sizes)
        self.activation = activation
        self.groups = AgentGroups(labels)

    # -- must fill in ---------------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``, without the unit."""

    @abstractmethod
    def effective_params(self, agent: int) -> list[Layer]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it.

        They are functions of the parameters, so that gradients pass. A recurrent unit stands as two layers, of its
        inputs and of its state, before the output layer; :meth:`with_unit` inserts them.
        """

    # -- may override: what the network reports -------------------------------------------------------------------

    @property
    def trainable_parameters(self) -> int:
        """Number of parameters that an optimiser would hold."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @property
    def fixed_parameters(self) -> int:
        """Number of weights that are frozen, masks aside."""
        return 0

    @property
    def fixed_bits(self) -> int:
        """Bits of masks and gates that never change."""
        return 0

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward, once its weights are there."""
        return products(self.sizes) + self.unit_flops()

    @property
    def masks(self) -> list[Tensor] | None:
        """Which units are used, ``[K, units]`` a layer, or None without masks.

        A row belongs to a group of the scheme's ``labels``, or to an agent where agents are masked within their groups;
        whatever is not 0 is used, -1 with its sign turned. Units are hidden neurons, or what else is masked.
        """
        return None

    @property
    def whole_labels(self) -> Tensor | None:
        """``[N] int64``, who uses which of K whole networks; None unless the network is nothing but such a stack."""
        return None

    def private_labels(self) -> Tensor | None:
        """Return which agents have which of K networks to themselves, ``[N] int64``; None where networks share.

        The leading axis of every parameter then counts the K networks.
        """
        return None

    def unit_labels(self) -> Tensor:
        """Return which agents share a recurrent unit, ``[N] int64``: all of them."""
        return torch.zeros_like(self.groups.labels)

    # -- may override: how the network runs with a recurrent unit -------------------------------------------------

    def add_unit(self, seed: int, name: str) -> None:
        """Put a recurrent unit, as wide as the last hidden layer, before the output layer."""
        self.cell = GRUCell(self.sizes[-2], self.unit_labels(), seed=seed, name=name)

    @property
    def state_width(self) -> int:
        """Length of an agent's recurrent state, 0 without a unit."""
        return 0 if self.cell is None else self.cell.width

    def run_layers(self) -> Layers:
        """Return the layers to run at present, without the unit's."""
        raise NotImplementedError(f"{type(self).__name__} sets takes_unit and fills in no run_layers()")

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]``, activation included, for inputs ``[B, N, F]``."""
        weights, biases = layers
        return self.activation(self.groups(x, weights[:-1], biases[:-1], self.activation))

    def remember(self, features: Tensor, starts: Tensor, state: Tensor) -> Tensor:
        """Return the unit's states ``[T, B, N, H]`` for features ``[T, B, N, H]``."""
        assert self.cell is not None
        states: Tensor = self.cell(features, starts, state)
        return states

    def read_out(self, states: Tensor, layers: Layers) -> Tensor:
        """Return outputs ``[B, N, O]`` for the unit's states ``[B, N, H]``."""
        weights, biases = layers
        out: Tensor = self.groups(states, weights[-1:], biases[-1:], self.activation)
        return out

    def recurrent_sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and states ``[T, B, N, state_width]`` as :meth:`sequence`, with a unit."""
        steps = x.shape[:2]
        layers = self.run_layers()
        features = self.features(x.flatten(0, 1), layers)
        states = self.remember(features.unflatten(0, steps), starts, state)
        return self.read_out(states.flatten(0, 1), layers).unflatten(0, steps), states

    # -- for callers ----------------------------------------------------------------------------------------------

    def sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and recurrent states ``[T, B, N, state_width]`` after each of T steps.

        Args:
            x: ``[T, B, N, F]``.
            starts: ``[T, B, N] bool``, True where an episode begins: the state before that step is zero.
            state: ``[B, N, state_width]`` before the first step.
        """
        if self.cell is not None:
            return self.recurrent_sequence(x, starts, state)
        return self(x.flatten(0, 1)).unflatten(0, x.shape[:2]), state.expand(len(x), *state.shape)

    def first_step(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``, of a recurrent network in the first step."""
        out: Tensor
        if self.cell is None:
            out = self(x)
            return out
        starts = torch.ones(1, *x.shape[:2], dtype=torch.bool, device=x.device)
        return self.sequence(x[None], starts, self.initial_state(len(x)))[0][0]

    def initial_state(self, lanes: int) -> Tensor:
        """Return the recurrent state ``[B, N, state_width]`` before the first step of an episode: zeros."""
        labels = self.groups.labels
        return torch.zeros(lanes, len(labels), self.state_width, device=labels.device)

    def with_unit(self, layers: list[Layer], agent: int, reads: Tensor | None = None) -> list[Layer]:
        """Return an agent's layers with the unit's two, of inputs and of the state, before the output layer.

        Args:
            layers: the other layers.
            agent: index of the agent.
            reads: ``[H]`` gates of the last hidden layer, which scale what the unit reads of it; None for ones.
        """
        if self.cell is None:
            return layers
        (weight, bias), of_state = self.cell.effective_params(agent)
        return [*layers[:-1], (weight if reads is None else weight * reads, bias), of_state, layers[-1]]

    def unit_flops(self, inputs: int | None = None) -> int:
        """Return the multiplications and additions of the unit's products, a step; ``inputs`` of its H if not all."""
        if self.cell is None:
            return 0
        width = self.cell.width
        return 2 * 3 * width * (width + (width if inputs is None else inputs))


def products(widths: Sequence[int]) -> int:
    """Return the multiplications and additions of one forward through layers of these sizes."""
    return sum(2 * fan_in * out for fan_in, out in pairwise(widths))


def mask_bits(masks: Sequence[Tensor]) -> int:
    """Return the bits that masks ``[K, units]`` take."""
    return sum(mask.numel() * MASK_BITS[mask.dtype] for mask in masks)
