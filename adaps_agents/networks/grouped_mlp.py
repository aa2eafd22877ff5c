"""Multilayer perceptrons with an explicit agent axis.

Parameters carry a leading network axis K: ``weights[l] [K, out, in]``, ``biases[l] [K, out]``. Agent ``i``
uses network ``labels[i]``. One forward evaluates every agent on its own network only, in K small matrix products (one
batched product where the groups have equal sizes); nothing loops over agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaps_agents.networks.agent_groups import Activation, AgentGroups
from adaps_agents.networks.agent_network import AgentNetwork, mask_bits, products
from adaps_agents.networks.cached import Layers, SubnetworkModule
from adaps_agents.random_streams import torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["EXECUTION", "MAX_STACK", "Activation", "GroupedMLP", "MaskedMLP", "entries", "orthogonal_stack"]

HIDDEN_GAIN = 2**0.5
MAX_STACK = 1 << 28
"""Weights that the networks of one stack may have together."""
EXECUTION = ("auto", "compact", "dense")


def orthogonal_stack(sizes: Sequence[int], num_networks: int, head_gain: float, seed: int, name: str) -> list[Tensor]:
    """Return initial weights, one ``[K, out, in]`` tensor a layer, orthogonal with stable-baselines3's gains.

    Network ``k`` draws from a stream of its own, so that network 0 is the same whatever K: schemes started with one
    seed share their root weights.

    Raises:
        InvalidParameterError: together they have more than :data:`MAX_STACK` values.
    """
    pairs = list(pairwise(sizes))
    values = num_networks * sum(out * fan_in for fan_in, out in pairs)
    if values > MAX_STACK:
        raise InvalidParameterError(
            f"{num_networks:,} networks of sizes {list(sizes)} have {values:,} weights; at most {MAX_STACK:,} are "
            "made. Take fewer or narrower ones."
        )
    layers = [torch.empty(num_networks, out, fan_in) for fan_in, out in pairs]
    for k in range(num_networks):
        generator = torch_stream(seed, "init", name, k)
        for index, layer in enumerate(layers):
            gain = head_gain if index == len(layers) - 1 else HIDDEN_GAIN
            nn.init.orthogonal_(layer[k], gain=gain, generator=generator)
    return layers


class GroupedMLP(AgentNetwork):
    """K independent networks; agent ``i`` uses network ``labels[i]``. With K = 1 this is plain full sharing.

    Args:
        sizes: layer sizes ``[F, H, ..., O]``.
        labels: ``[N] int64`` network of each agent, values ``0..K-1``, each used.
        activation: elementwise function after every hidden layer.
        head_gain: gain of the last layer's orthogonal initialisation.
        seed, name: key of the initialisation's random stream.
    """

    takes_unit: ClassVar[bool] = True

    def __init__(
        self, sizes: Sequence[int], labels: Tensor, activation: Activation, *, head_gain: float, seed: int, name: str
    ) -> None:
        super().__init__(sizes, labels, activation)
        stack = orthogonal_stack(sizes, self.groups.number, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        out: Tensor = self.groups(x, entries(self.weights), entries(self.biases), self.activation)
        return out

    def run_layers(self) -> Layers:
        """Return all networks."""
        return entries(self.weights), entries(self.biases)

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer as agent ``agent`` uses it."""
        k = int(self.groups.labels[agent])
        return self.with_unit([(w[k], b[k]) for w, b in zip(self.weights, self.biases, strict=True)], agent)

    @property
    def whole_labels(self) -> Tensor | None:
        """``[N] int64``, the network of each agent."""
        return self.groups.labels

    def private_labels(self) -> Tensor | None:
        """Return the network of each agent, ``[N] int64``, unless there is but one or all share a recurrent unit."""
        shares_unit = self.cell is not None and self.cell.groups.number != self.groups.number
        return None if shares_unit or self.groups.number == 1 else self.groups.labels

    def unit_labels(self) -> Tensor:
        """Return the network of each agent, ``[N] int64``: private networks have private units."""
        return self.groups.labels


class MaskedMLP(SubnetworkModule):
    """One network, of which each group uses the hidden neurons that its mask keeps.

    Hidden layer ``l`` computes ``mask[group, l] * activation(W h + b)``; inputs and outputs are never masked. A masked
    neuron contributes nothing whatever the activation, so a group's subnetwork is a smaller dense network, whose next
    layer has the signs of a signed mask in its columns. It is run as one (``execution="compact"``), which is faster
    even where nine neurons of ten are kept, unless masks are soft: then all neurons are computed and multiplied
    (``"dense"``). Both give the same function. Groups that keep unequal numbers of neurons are filled up with neurons
    of weight zero.

    With a recurrent unit there is one mask more, of the unit's state where the output layer reads it. The state itself
    and the gates are never masked: a masked neuron of the state would still move the others.

    Args:
        sizes: layer sizes ``[F, H_1, ..., O]``.
        labels: ``[N] int64`` group of each agent.
        masks: one ``[K, H_l]`` tensor a hidden layer, and with a recurrent unit one of its width; booleans, int8 signs
            -1, 0 and 1, or soft gates in [0, 1].
        activation, head_gain, seed, name: as in :class:`GroupedMLP`.
        execution: ``auto`` and ``compact`` run smaller networks wherever there are no soft gates, ``dense`` never does.

    Raises:
        InvalidParameterError: unknown ``execution``, or no hidden layer to mask.
    """

    _entries: Tensor
    _signs: Tensor | None
    _read: Tensor
    _read_signs: Tensor
    _shapes: list[torch.Size]

    def __init__(
        self,
        sizes: Sequence[int],
        labels: Tensor,
        masks: Sequence[Tensor],
        activation: Activation,
        *,
        head_gain: float,
        seed: int,
        name: str,
        execution: str = "auto",
    ) -> None:
        if execution not in EXECUTION:
            raise InvalidParameterError(f"execution is {execution!r}; choose one of {', '.join(EXECUTION)}.")
        if not masks:
            raise InvalidParameterError("there is no hidden neuron to mask; give net_arch a layer, e.g. [64, 64].")
        super().__init__(sizes, labels, activation)
        stack = orthogonal_stack(sizes, 1, head_gain, seed, name)
        self.weights = nn.ParameterList([nn.Parameter(layer) for layer in stack])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(layer.shape[:2])) for layer in stack])
        self.num_masks, self.gated = len(masks), len(masks) == len(self.sizes) - 1
        for index, mask in enumerate(masks):
            self.register_buffer(f"mask_{index}", mask.clone())
        self._wanted = execution
        self._choose_execution()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load weights and masks, then decide again how the loaded masks are run."""
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._choose_execution()

    @property
    def masks(self) -> list[Tensor]:
        """One ``[K, H_l]`` tensor a hidden layer, and one of the recurrent unit's state if there is one."""
        return [getattr(self, f"mask_{index}") for index in range(self.num_masks)]

    @property
    def fixed_bits(self) -> int:
        """Bits of the masks."""
        return mask_bits(self.masks)

    @property
    def hidden_masks(self) -> list[Tensor]:
        """One ``[K, H_l]`` tensor a hidden layer."""
        return self.masks[: len(self.sizes) - 2]

    def _choose_execution(self) -> None:
        """Decide how to run, and for compact execution precompute which entries of each weight matrix a group uses."""
        all_on = all(bool((mask == 1).all()) for mask in self.masks)
        hard = not any(mask.is_floating_point() for mask in self.hidden_masks)
        self.execution = "full" if all_on else "compact" if hard and self._wanted != "dense" else "dense"
        self._root = AgentGroups(torch.zeros_like(self.groups.labels))
        for name in {"_entries", "_signs", "_read", "_read_signs"} & dict(self.named_buffers(recurse=False)).keys():
            delattr(self, name)  # of the masks before
        if self.execution == "compact":
            self._index_subnetworks()

    def _compact_widths(self) -> list[int]:
        """Return the layer sizes of the largest subnetwork."""
        return [self.sizes[0], *(int((mask != 0).sum(1).max()) for mask in self.hidden_masks), self.sizes[-1]]

    def _index_subnetworks(self) -> None:
        """Note where, in all weights and biases laid end to end, the entries of the groups' subnetworks lie.

        One more entry behind them is zero and stands for neurons that fill up a layer.
        """
        number, device = self.groups.number, self.groups.labels.device
        kept = [torch.arange(self.sizes[0], device=device).expand(number, -1)]
        kept += [_indices_first(mask != 0) for mask in self.hidden_masks]
        signs = [
            mask.gather(1, place.clamp(min=0)).float() * (place >= 0)
            for mask, place in zip(self.hidden_masks, kept[1:], strict=True)
        ]
        if self.gated:
            # The unit reads what the last hidden layer keeps; the output layer, small as it is, runs whole.
            self.register_buffer("_read", kept[-1].clamp(min=0).reshape(-1), persistent=False)
            self.register_buffer("_read_signs", signs.pop(), persistent=False)
        else:
            kept += [torch.arange(self.sizes[-1], device=device).expand(number, -1)]
        places = [
            torch.where(
                (into[:, None, :] < 0) | (out_of[:, :, None] < 0), -1, out_of[:, :, None] * fan_in + into[:, None]
            )
            for fan_in, into, out_of in zip(self.sizes, kept[:-1], kept[1:], strict=False)
        ]
        places += kept[1:]
        *starts, end = accumulate((tensor.numel() for tensor in self._depends_on()), initial=0)
        flat = [torch.where(place < 0, end, place + start) for place, start in zip(places, starts, strict=True)]
        self._shapes = [place.shape for place in places]
        self._filled_up = any(bool((place < 0).any()) for place in places)
        self.register_buffer("_entries", torch.cat([place.reshape(-1) for place in flat]), persistent=False)
        self.register_buffer("_signs", self._column_signs(signs), persistent=False)

    def _column_signs(self, signs: Sequence[Tensor]) -> Tensor | None:
        """Return the sign of each entry of the subnetworks, that of the neuron it reads; None if masks have none."""
        if all(mask.dtype == torch.bool for mask in self.hidden_masks):
            return None
        factors = [torch.ones(shape, device=self.groups.labels.device) for shape in self._shapes]
        for factor, sign in zip(factors[1:], signs, strict=False):
            factor *= sign[:, None, :]
        return torch.cat([factor.view(-1) for factor in factors])

    def _depends_on(self) -> list[Tensor]:
        """Return the weights and biases of which groups run parts; masks change with a load alone."""
        weights, biases = entries(self.weights), entries(self.biases)
        return weights[:-1] + biases[:-1] if self.gated else weights + biases

    def subnetworks(self) -> Layers:
        """Return the groups' subnetworks as dense stacks: weights ``[K, out', in']`` and biases ``[K, out']``."""
        assert self.execution == "compact"
        # One gather for everything: six small ones cost as much as the products that they serve.
        tensors = [tensor.view(-1) for tensor in self._depends_on()]
        if self._filled_up:
            tensors.append(tensors[0].new_zeros(1))
        joined = torch.cat(tensors).index_select(0, self._entries)
        if self._signs is not None:
            joined = joined * self._signs
        parts = joined.split([shape.numel() for shape in self._shapes])
        stacks = [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        return stacks[: len(stacks) // 2], stacks[len(stacks) // 2 :]

    def run_layers(self) -> Layers:
        """Return the hidden layers of the groups' subnetworks, or whole layers where nothing is cut out of them."""
        return self._current() if self.execution == "compact" else (entries(self.weights), entries(self.biases))

    def features(self, x: Tensor, layers: Layers) -> Tensor:
        """Return the last hidden layer ``[B, N, H]`` for inputs ``[B, N, F]``; kept neurons alone if compact."""
        weights, biases = layers
        if self.execution == "full":
            return self.activation(self._root(x, weights[:-1], biases[:-1], self.activation))
        if self.execution == "compact":
            return self.activation(self.groups(x, weights, biases, self.activation))
        return self._masked_layers(x)

    def remember(self, features: Tensor, starts: Tensor, state: Tensor) -> Tensor:
        """Return the unit's states ``[T, B, N, H]`` for features ``[T, B, N, H]``, kept ones alone if compact."""
        if self.execution != "compact":
            return super().remember(features, starts, state)
        assert self.cell is not None
        weight, bias, *_ = self.cell.layers()
        number = self.groups.number
        read = weight[0].index_select(1, self._read).unflatten(1, (number, -1)) * self._read_signs
        gates = self.groups(features.flatten(0, 1), [read.transpose(0, 1)], [bias.expand(number, -1)], self.activation)
        return self.cell.recur(gates.unflatten(0, features.shape[:2]), starts, state)

    def read_out(self, states: Tensor, layers: Layers) -> Tensor:
        """Return outputs ``[B, N, O]`` for the part of the unit's states ``[B, N, H]`` that the masks keep."""
        if self.execution != "full":
            states = states * self.masks[-1][self.groups.labels]
        return functional.linear(states, self.weights[-1][0], self.biases[-1][0])

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        if self.execution == "full":
            return self._root(x, entries(self.weights), entries(self.biases), self.activation)
        if self.execution == "compact":
            return self.groups(x, *self._current(), self.activation)
        return functional.linear(self._masked_layers(x), self.weights[-1][0], self.biases[-1][0])

    def _masked_layers(self, x: Tensor) -> Tensor:
        h = x
        for mask, w, b in zip(self.hidden_masks, self.weights, self.biases, strict=False):
            h = self.activation(functional.linear(h, w[0], b[0])) * mask[self.groups.labels]
        return h

    def effective_params(self, agent: int) -> list[tuple[Tensor, Tensor]]:
        """Return (weight ``[out, in]``, bias ``[out]``) of each layer with masked rows and columns set to zero.

        A gate or sign scales what the next layer reads of its neuron, so it is folded into that layer's columns.
        """
        group = int(self.groups.labels[agent])
        gates = [mask[group].float() for mask in self.masks]
        hidden = gates[: len(self.sizes) - 2]
        columns = [torch.ones_like(self.weights[0][0, 0]), *hidden[:-1], gates[-1]]
        rows = [*((gate != 0).float() for gate in hidden), torch.ones_like(self.biases[-1][0])]
        layers = zip(self.weights, self.biases, columns, rows, strict=True)
        cut = [(w[0] * after[:, None] * before[None, :], b[0] * after) for w, b, before, after in layers]
        return self.with_unit(cut, agent, reads=hidden[-1])

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward, as executed."""
        widths = self._compact_widths() if self.execution == "compact" else self.sizes
        if not self.gated:
            return products(widths)
        return products(widths[:-1]) + self.unit_flops(widths[-2]) + 2 * self.sizes[-2] * self.sizes[-1]


def _indices_first(kept: Tensor) -> Tensor:
    """Return where each row of ``[K, H] bool`` is True, in order, filled up with -1 to the length of the longest."""
    counts = kept.sum(dim=1)
    order = torch.argsort(~kept, dim=1, stable=True)[:, : int(counts.max())]
    return order.masked_fill(torch.arange(order.shape[1], device=order.device) >= counts[:, None], -1)


def entries(parameters: nn.ParameterList) -> list[Tensor]:
    """Return a ParameterList's tensors (any shapes); its own iteration looks each up by name, too slow at few lanes."""
    return list(parameters._parameters.values())  # type: ignore[arg-type]
