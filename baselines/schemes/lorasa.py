"""LoRASA: a shared policy first, then a low-rank correction of it for every agent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from adaps_agents.networks.agent_groups import AgentGroups
from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers
from adaps_agents.networks.grouped_mlp import MAX_STACK, GroupedMLP, entries
from adaps_agents.networks.gru import GRUCell, GRULayers
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import MAX_UNITS, check_count, check_fires, check_flag, check_number
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "LoRASA", "LowRankCell", "LowRankMLP"]


class LowRankMLP(GeneratedMLP):
    """Frozen shared layers ``W_0``, corrected for agent ``i`` to ``W_i = W_0 + (alpha / r) B_i A_i``.

    ``B_i [out, r]`` is drawn and ``A_i [r, in]`` starts at zero, so that nothing changes at first. Parameters:
    N sum r (in + out), and N sum out more with biases.

    Args:
        base: the shared network; its layers become buffers.
        num_agents: N.
        rank, alpha: r and alpha.
        bias: correct the biases too.
        full_rank: give layers with ``r >= min(in, out)`` an unfactored correction instead.
        seed, name: key of the random streams.
    """

    def __init__(
        self,
        base: GroupedMLP,
        num_agents: int,
        *,
        rank: int,
        alpha: float,
        bias: bool,
        full_rank: bool,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(base.sizes, num_agents, base.activation)
        values = num_agents * rank * sum(w.shape[1] + w.shape[2] for w in base.weights)
        if values > MAX_STACK:
            raise InvalidParameterError(
                f"rank is {rank:,} for {num_agents:,} agents: their corrections have {values:,} values; at most "
                f"{MAX_STACK:,} are made. Take a smaller rank."
            )
        self.factor, self.depth = alpha / rank, len(base.weights)
        down, up, generator = [], [], torch_stream(seed, "init", name, "low rank")
        for index, (w, b) in enumerate(zip(base.weights, base.biases, strict=True)):
            self.register_buffer(f"weight_{index}", w.detach().clone())
            self.register_buffer(f"bias_{index}", b.detach().clone())
            factors = initial_factors(num_agents, w.shape[1:], rank, full_rank, generator)
            down.append(factors[0])
            up.append(factors[1])
        self.down = nn.ParameterList([nn.Parameter(layer) for layer in down])
        self.up = nn.ParameterList([nn.Parameter(layer, requires_grad=layer.numel() > 0) for layer in up])
        offsets = [torch.zeros(num_agents, b.shape[1]) for b in base.biases] if bias else []
        self.offsets = nn.ParameterList([nn.Parameter(layer) for layer in offsets])

    @property
    def fixed_parameters(self) -> int:
        """Weights of the frozen shared network, its recurrent unit included."""
        unit = self.cell.frozen() if isinstance(self.cell, LowRankCell) else ()
        weights, biases = self.frozen()
        return sum(tensor.numel() for tensor in (*weights, *biases, *unit))

    def frozen(self) -> Layers:
        """Return the shared weights ``[1, out, in]`` and biases ``[1, out]``."""
        layers = range(self.depth)
        return [getattr(self, f"weight_{i}") for i in layers], [getattr(self, f"bias_{i}") for i in layers]

    def subnetworks(self) -> Layers:
        """Return the corrected weights ``[N, out, in]`` and biases ``[N, out]``."""
        weights, biases = self.frozen()
        for index, (down, up) in enumerate(zip(entries(self.down), entries(self.up), strict=True)):
            weights[index] = corrected(weights[index], down, up, self.factor)
            biases[index] = biases[index].expand(len(down), -1)
        if len(self.offsets) > 0:
            biases = [b + own for b, own in zip(biases, entries(self.offsets), strict=True)]
        return weights, biases


class LowRankCell(GRUCell):
    """A frozen shared recurrent unit, its two weight matrices (of inputs and of the state) corrected for every agent.

    Args:
        base: the shared unit; its weights and biases become buffers.
        num_agents, rank, alpha, bias, full_rank, seed, name: as for :class:`LowRankMLP`.
    """

    def __init__(
        self,
        base: GRUCell,
        num_agents: int,
        *,
        rank: int,
        alpha: float,
        bias: bool,
        full_rank: bool,
        seed: int,
        name: str,
    ) -> None:
        nn.Module.__init__(self)
        self.width, self.factor = base.width, alpha / rank
        self.groups = AgentGroups(torch.arange(num_agents))
        generator = torch_stream(seed, "init", name, "low rank unit")
        down, up, offsets = [], [], []
        for index, (w, b) in enumerate(zip(base.layers()[::2], base.layers()[1::2], strict=True)):
            self.register_buffer(f"weight_{index}", w.detach().clone())
            self.register_buffer(f"bias_{index}", b.detach().clone())
            factors = initial_factors(num_agents, w.shape[1:], rank, full_rank, generator)
            down.append(factors[0])
            up.append(factors[1])
            offsets += [torch.zeros(num_agents, b.shape[1])] if bias else []
        self.down = nn.ParameterList([nn.Parameter(layer) for layer in down])
        self.up = nn.ParameterList([nn.Parameter(layer, requires_grad=layer.numel() > 0) for layer in up])
        self.offsets = nn.ParameterList([nn.Parameter(layer) for layer in offsets])

    def frozen(self) -> GRULayers:
        """Return the shared unit's weights and biases."""
        weight_ih, bias_ih, weight_hh, bias_hh = self.weight_0, self.bias_0, self.weight_1, self.bias_1
        return weight_ih, bias_ih, weight_hh, bias_hh  # type: ignore[return-value]

    def layers(self) -> GRULayers:
        """Return the agents' corrected weights and biases."""
        frozen, corrections = self.frozen(), zip(entries(self.down), entries(self.up), strict=True)
        inputs, hidden = (corrected(w, *pair, self.factor) for w, pair in zip(frozen[::2], corrections, strict=True))
        biases = [b.expand(len(inputs), -1) for b in frozen[1::2]]
        if len(self.offsets) > 0:
            biases = [b + own for b, own in zip(biases, entries(self.offsets), strict=True)]
        return inputs, biases[0], hidden, biases[1]


def initial_factors(
    num_agents: int, shape: torch.Size, rank: int, full_rank: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ``A [N, r, in]`` of zeros and a drawn ``B [N, out, r]``, or a whole correction and an empty ``B``."""
    out, fan_in = shape
    whole = full_rank and rank >= min(fan_in, out)
    # Kaiming's uniform distribution with a = sqrt(5), what adapters are usually drawn from.
    drawn = (2 * torch.rand(num_agents, out, rank, generator=generator) - 1) / rank**0.5
    down = torch.zeros(num_agents, out if whole else rank, fan_in)
    return down, torch.zeros(num_agents, out, 0) if whole else drawn


def corrected(weight: Tensor, down: Tensor, up: Tensor, factor: float) -> Tensor:
    """Return ``W_0 + (alpha / r) B_i A_i`` of all agents, ``[N, out, in]``."""
    return weight + (down if up.shape[-1] == 0 else factor * torch.bmm(up, down))


class LoRASA(SharingScheme):
    """Low-rank agent-specific adaptation.

    Until a share ``switch_at`` of the training all agents train one policy (full sharing). Then the policy is frozen,
    and every agent trains a low-rank correction of each of its layers, ``W_i = W_0 + (alpha / r) B_i A_i``; the critic
    stays shared and goes on training. At the switch the policy is unchanged; the optimiser's moments start afresh for
    the corrections and survive for the critic. A recurrent unit of the policy is corrected as its layers are, as the
    authors' is.

    ``param_report`` counts what is trained at the time: P before the switch; P_critic + N sum r (in + out) after it,
    with the frozen policy under ``fixed_parameters``. By that a record tells whether it acted.

    The authors switch at a point chosen for each task; half of the training is this project's choice.

    Args:
        switch_at: share of ``total_timesteps`` after which agents adapt, in [0, 1]: 0 adapts the initial policy, 1
            never adapts and is full sharing.
        rank: r.
        alpha: the correction is scaled by ``alpha / rank``.
        bias: correct the biases as well (the authors have it both ways).
        full_rank: as the authors' code, correct a layer with ``rank >= min(in, out)`` by a whole matrix instead of two
            factors; by default every layer has rank r, as in the paper's count.
    """

    name = "lorasa"
    summary = "full sharing first, then a low-rank correction of the frozen policy for every agent"
    source = "Zhang, Kapoor and Sun, 2025, arXiv 2502.05573"
    parameter_formula = "P, then P_critic + N sum over actor layers of r (in + out)"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"switch_at": 1.0}

    acts_in_training = True

    adapting: Tensor

    def __init__(
        self, *, switch_at: float = 0.5, rank: int = 8, alpha: float = 8.0, bias: bool = False, full_rank: bool = False
    ) -> None:
        super().__init__()
        check_number("switch_at", switch_at, low=0.0, high=1.0)
        check_count("rank", rank, high=MAX_UNITS)
        check_number("alpha", alpha, above=0.0)
        check_flag("bias", bias)
        check_flag("full_rank", full_rank)
        self.switch_at, self.rank, self.alpha, self.bias, self.full_rank = switch_at, rank, alpha, bias, full_rank

    def make_networks(self) -> None:
        """Make one actor and one critic."""
        self.register_buffer("adapting", torch.zeros((), dtype=torch.bool, device=self.labels.device))
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)

    def _build_networks(self) -> None:
        """Make the networks, corrected at once if no training precedes the switch."""
        super()._build_networks()
        if self.switch_at == 0.0:
            self.adapt()

    def adapt(self) -> None:
        """Freeze the policy and give every agent a correction of it."""
        assert isinstance(self.actor_net, GroupedMLP)
        options: dict[str, Any] = {
            "rank": self.rank, "alpha": self.alpha, "bias": self.bias, "full_rank": self.full_rank,
            "seed": self.seed, "name": "actor",
        }  # fmt: skip
        mode = self.actor_net.training
        adapted = LowRankMLP(self.actor_net, self.spaces.num_agents, **options)
        if self.actor_net.cell is not None:
            adapted.cell = LowRankCell(self.actor_net.cell, self.spaces.num_agents, **options)
        self.actor_net = adapted.to(self.labels.device).train(mode)
        self.adapting.fill_(True)

    def plan_training(self, updates: int) -> None:
        """See whether an update is left after the switch."""
        if self.switch_at < 1.0 and not bool(self.adapting):
            first = math.ceil(self.switch_at * updates) + 1
            check_fires(self.name, "trains its corrections for the first time", first, updates, "lower switch_at")

    def after_update(self, update: int) -> bool:
        """Switch to adaptation when its time has come; the optimiser must then be rebuilt."""
        learning = self.learning
        if bool(self.adapting) or self.switch_at == 1.0 or learning.total_timesteps == 0:
            return False
        if learning.num_timesteps < self.switch_at * learning.total_timesteps:
            return False
        self.adapt()
        return True

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Take over the stored phase first, so that networks of its shape await their weights."""
        stored = state_dict.get(f"{prefix}adapting")
        if stored is not None and bool(stored) != bool(self.adapting):
            if bool(stored):
                self.adapt()
            else:
                super()._build_networks()
                self.to(self.labels.device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


SCHEME = LoRASA
