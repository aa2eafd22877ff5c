"""Gated recurrent units with an explicit agent axis.

A recurrent network is hidden layers, a GRU as wide as the last of them, and the output layer (rMAPPO's and EPyMARL's
order). Letters: T steps, B lanes, N agents, H width of the unit, K independent units, R rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from adaps_agents.networks.agent_groups import AgentGroups, Layer
from adaps_agents.random_streams import torch_stream

__all__ = ["GRUCell", "GRULayers", "gated_recurrence"]

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
        stacks = self.groups.to_stacks(inputs)
        slices = self.groups.stack_slices()
        # All steps' inputs meet their weights in one product; only what depends on the state goes step by step.
        gates = [
            torch.baddbmm(bias[k, None], x.flatten(1, 2), weight[k].transpose(1, 2)).view(*x.shape[:3], -1)
            for x, k in zip(stacks, slices, strict=True)
        ]
        return self._recur(gates, hidden, starts, state)

    def recur(self, gates: Tensor, starts: Tensor, state: Tensor) -> Tensor:
        """Return the states as :meth:`forward` does, from ``W_i x + b_i`` ``[T, B, N, 3H]`` of all steps."""
        return self._recur(self.groups.to_stacks(gates), list(self.layers()[2:]), starts, state)

    def _recur(self, gates: list[Tensor], hidden: list[Tensor], starts: Tensor, state: Tensor) -> Tensor:
        weight, bias = hidden
        keep = (
            self.groups.to_stacks((~starts).to(state.dtype)[..., None]) if bool(starts.any()) else [None] * len(gates)
        )
        before = self.groups.to_stacks(state[None])
        after = [
            gated_recurrence(gate, weight[k], bias[k], h[:, 0], kept)
            for gate, k, h, kept in zip(gates, self.groups.stack_slices(), before, keep, strict=True)
        ]
        return self.groups.from_stacks(after, starts.shape[1])

    def effective_params(self, agent: int) -> list[Layer]:
        """Return (``W_i [3H, H]``, ``b_i [3H]``) and (``W_h``, ``b_h``) as agent ``agent`` uses them."""
        k = int(self.groups.labels[agent])
        weight_ih, bias_ih, weight_hh, bias_hh = self.layers()
        return [(weight_ih[k], bias_ih[k]), (weight_hh[k], bias_hh[k])]


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
        """Return states ``[K, T, R, H]``; arguments and their shapes are those of :func:`gated_recurrence`."""
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
        """Return the gradients of all arguments but ``keep``, of their shapes, for that of the states."""
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
