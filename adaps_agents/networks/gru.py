"""Gated recurrent units with an explicit agent axis, and the networks that may hold one.

A recurrent network is hidden layers, a GRU as wide as the last of them, and the output layer (rMAPPO's and EPyMARL's
order). Letters: T steps, B lanes, N agents, H width of the unit, K independent units, R rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adaps_agents.networks.agent_groups import Activation, AgentGroups, Layer, Layers
from adaps_agents.random_streams import torch_stream

__all__ = ["AgentNetwork", "GRUCell", "GRULayers", "gated_recurrence"]

GRULayers: TypeAlias = "tuple[Tensor, Tensor, Tensor, Tensor]"
"""``W_i [K, 3H, H]``, ``b_i [K, 3H]``, ``W_h [K, 3H, H]`` and ``b_h [K, 3H]``."""


class GRUCell(nn.Module):
    """K independent gated recurrent units; agent ``i`` uses unit ``labels[i]``. With K = 1 all agents share one.

    The arithmetic and the layout are PyTorch's: gates reset, update, new, stacked in that order,
    ``r = s(W_ir x + b_ir + W_hr h + b_hr)``, ``z`` likewise, ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))``,
    ``h' = (1 - z) n + z h`` (Cho et al., 2014, arXiv 1406.1078). Weights start orthogonal gate by gate, biases at zero;
    unit ``k`` draws from a stream of its own, so that schemes started with one seed share their root weights.

    Parameters: 6 H (H + 1) a unit.

    Args:
        width: H, of inputs and state.
        labels: ``[N] int64`` unit of each agent, values ``0..K-1``, each used.
        seed, name: key of the initialisation's random stream.
    """

    def __init__(self, width: int, labels: Tensor, *, seed: int, name: str) -> None:
        super().__init__()
        self.width = width
        self.groups = AgentGroups(labels)
        number = self.groups.number
        drawn = torch.empty(number, 2, 3, width, width)
        for k in range(number):
            generator = torch_stream(seed, "init", name, "gru", k)
            for matrix in drawn[k].flatten(0, 1):
                nn.init.orthogonal_(matrix, generator=generator)
        inputs, hidden = (drawn[:, side].reshape(number, 3 * width, width).to(labels.device) for side in (0, 1))
        self.weight_ih, self.weight_hh = nn.Parameter(inputs.clone()), nn.Parameter(hidden.clone())
        biases = torch.zeros(number, 3 * width, device=labels.device)
        self.bias_ih, self.bias_hh = nn.Parameter(biases.clone()), nn.Parameter(biases.clone())

    def layers(self) -> GRULayers:
        """Return the units' weights and biases, see :data:`GRULayers`."""
        return self.weight_ih, self.bias_ih, self.weight_hh, self.bias_hh

    def forward(self, inputs: Tensor, starts: Tensor, state: Tensor) -> Tensor:
        """Return the states ``[T, B, N, H]`` after each step.

        Args:
            inputs: ``[T, B, N, H]``.
            starts: ``[T, B, N] bool``, True where an episode begins: the state before that step is zero.
            state: ``[B, N, H]`` before the first step.
        """
        weight, bias, *hidden = self.layers()
        stacks = self.groups.deal(inputs)
        places = self.groups.places()
        # All steps' inputs meet their weights in one product; only what depends on the state goes step by step.
        gates = [
            torch.baddbmm(bias[k, None], x.flatten(1, 2), weight[k].transpose(1, 2)).view(*x.shape[:3], -1)
            for x, k in zip(stacks, places, strict=True)
        ]
        return self._recur(gates, hidden, starts, state)

    def recur(self, gates: Tensor, starts: Tensor, state: Tensor) -> Tensor:
        """Return the states as :meth:`forward` does, from ``W_i x + b_i`` ``[T, B, N, 3H]`` of all steps."""
        return self._recur(self.groups.deal(gates), list(self.layers()[2:]), starts, state)

    def _recur(self, gates: list[Tensor], hidden: list[Tensor], starts: Tensor, state: Tensor) -> Tensor:
        weight, bias = hidden
        keep = self.groups.deal((~starts).to(state.dtype)[..., None]) if bool(starts.any()) else [None] * len(gates)
        before = self.groups.deal(state[None])
        after = [
            gated_recurrence(gate, weight[k], bias[k], h[:, 0], kept)
            for gate, k, h, kept in zip(gates, self.groups.places(), before, keep, strict=True)
        ]
        return self.groups.collect(after, starts.shape[1])

    def effective_params(self, agent: int) -> list[Layer]:
        """Return (``W_i [3H, H]``, ``b_i [3H]``) and (``W_h``, ``b_h``) as agent ``agent`` uses them."""
        k = int(self.groups.labels[agent])
        weight_ih, bias_ih, weight_hh, bias_hh = self.layers()
        return [(weight_ih[k], bias_ih[k]), (weight_hh[k], bias_hh[k])]


class AgentNetwork(nn.Module):
    """Base of networks with an agent axis: hidden layers, a recurrent unit if there is one, an output layer.

    Without a unit, ``forward`` runs as the subclass writes it. With one, :meth:`sequence` puts it between
    :meth:`features` and :meth:`read_out`, which a subclass overrides where its hidden layers or outputs are not those
    of stacked networks.

    Attributes:
        sizes: layer sizes ``[F, H_1, ..., O]``, without the unit.
        activation: elementwise function after every hidden layer.
        groups: agents dealt to the stacked networks.
        cell: the recurrent unit, or None.
    """

    sizes: tuple[int, ...]
    activation: Activation
    groups: AgentGroups
    cell: GRUCell | None

    def __init__(self) -> None:
        super().__init__()
        self.register_module("cell", None)

    @abstractmethod
    def run_layers(self) -> Layers:
        """Return the layers to run at present, without the unit's."""

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

    def sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and the unit's states ``[T, B, N, H]`` after each step.

        Args:
            x: ``[T, B, N, F]``.
            starts: ``[T, B, N] bool``, True where an episode begins.
            state: ``[B, N, H]`` before the first step.
        """
        steps = x.shape[:2]
        layers = self.run_layers()
        features = self.features(x.flatten(0, 1), layers)
        states = self.remember(features.unflatten(0, steps), starts, state)
        return self.read_out(states.flatten(0, 1), layers).unflatten(0, steps), states

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


def gated_recurrence(gates: Tensor, weight: Tensor, bias: Tensor, state: Tensor, keep: Tensor | None) -> Tensor:
    """Return the states ``[K, T, R, H]`` of K units after each step.

    Args:
        gates: ``[K, T, R, 3H]``, what the inputs add to reset, update and new gate.
        weight, bias: ``[K, 3H, H]`` and ``[K, 3H]``, what the state meets.
        state: ``[K, R, H]`` before the first step.
        keep: ``[K, T, R, 1]``, the factor of the state before each step; None keeps it whole.
    """
    run: Callable[..., Tensor] = _Recurrence.apply
    return run(gates, weight, bias, state, keep)


class _Recurrence(torch.autograd.Function):
    """The time loop with its gradient written out: autograd's own would note a dozen operations a step."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, state: Tensor, keep: Tensor | None) -> Tensor:
        units, steps, rows, wide = gates.shape
        width = wide // 3
        states, new, inner = (gates.new_empty(units, steps, rows, width) for _ in range(3))
        switches = gates.new_empty(units, steps, rows, 2 * width)
        transposed, offset, h = weight.transpose(1, 2), bias[:, None], state
        for t in range(steps):
            if keep is not None:
                h = h * keep[:, t]
            asked = torch.baddbmm(offset, h, transposed)
            rz = torch.add(gates[:, t, :, : 2 * width], asked[..., : 2 * width], out=switches[:, t]).sigmoid_()
            inner[:, t] = asked[..., 2 * width :]
            n = torch.addcmul(gates[:, t, :, 2 * width :], rz[..., :width], inner[:, t], out=new[:, t]).tanh_()
            h = torch.lerp(n, h, rz[..., width:], out=states[:, t])
        ctx.save_for_backward(weight, state, keep, states, switches, new, inner)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        weight, state, keep, states, switches, new, inner = ctx.saved_tensors
        width = states.shape[-1]
        before = torch.cat([state[:, None], states[:, :-1]], dim=1)
        if keep is not None:
            before = before * keep
        r, z = switches[..., :width], switches[..., width:]
        # What a change of the state after a step asks of its gates, but for the factor of that change.
        of_new = (1 - z) * (1 - new.square())
        of_update = (before - new) * z * (1 - z)
        of_reset = inner * r * (1 - r)
        through_state = grad.new_empty(*states.shape[:3], 3 * width)
        through_new = torch.empty_like(states)
        change = torch.zeros_like(state)
        for t in reversed(range(states.shape[1])):
            change = change + grad[:, t]
            back = through_state[:, t]
            n = torch.mul(change, of_new[:, t], out=through_new[:, t])
            torch.mul(n, of_reset[:, t], out=back[..., :width])
            torch.mul(change, of_update[:, t], out=back[..., width : 2 * width])
            torch.mul(n, r[:, t], out=back[..., 2 * width :])
            change = torch.baddbmm(change * z[:, t], back, weight)
            if keep is not None:
                change = change * keep[:, t]
        through_inputs = torch.cat([through_state[..., : 2 * width], through_new], dim=-1)
        flat = through_state.flatten(1, 2)
        return through_inputs, torch.bmm(flat.transpose(1, 2), before.flatten(1, 2)), flat.sum(dim=1), change, None
