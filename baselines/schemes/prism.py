"""Prism: one network in singular-value form, with a learnable mask over its spectrum for every agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adaps_agents.networks.build import NetworkSpec
from adaps_agents.networks.generated_mlp import GeneratedMLP, Layers, folded_index
from adaps_agents.networks.grouped_mlp import Activation, entries, orthogonal_stack
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import MAX_UNITS, NETWORKS, check_choice, check_count, check_flag, check_number
from adaps_agents.schemes.thresholds import EPSILON, check_thresholds, initial_thresholds, soft_threshold

__all__ = ["SCHEME", "Prism", "SpectralMLP"]


class SpectralMLP(GeneratedMLP):
    """Layers ``W_i = U diag(s m_i) V^T`` with shared ``U [out, k]``, ``V [in, k]``, ``s [k]`` and biases.

    Agent ``i``'s mask is ``m_i = relu(|s| - sigmoid(t_i)) / |s|``, so that it uses the singular values
    ``sign(s) relu(|s| - sigmoid(t_i))``. No agent's matrix is formed: a forward multiplies by ``V``, by the agent's
    singular values and by ``U``.

    Parameters: sum over layers of k (in + out + 1) + N k + out.

    Args:
        sizes, num_agents, activation: as for :class:`~adaps_agents.networks.generated_mlp.GeneratedMLP`.
        rank: k, at most ``min(in, out)``, which is taken where it is less (or ``rank`` is None).
        offset, scale: thresholds start at ``t = -(offset + scale u)``, u uniform in (0, 1).
        agent_index: the first layer also reads the agent's one-hot index, by N more rows of ``V``.
        head_gain: gain of the last layer.
        seed, name: key of the random streams.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        num_agents: int,
        activation: Activation,
        *,
        rank: int | None,
        offset: float,
        scale: float,
        agent_index: bool,
        head_gain: float,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(sizes, num_agents, activation)
        left, values, right, thresholds = [], [], [], []
        generator = torch_stream(seed, "init", name, "thresholds")
        self.agent_index = agent_index
        inputs = sizes[0] + (num_agents if agent_index else 0)
        for layer in orthogonal_stack([inputs, *sizes[1:]], 1, head_gain, seed, name):
            u, s, v = torch.linalg.svd(layer[0].double(), full_matrices=False)
            k = len(s) if rank is None else min(rank, len(s))
            left.append(u[:, :k].float())
            values.append(s[:k].float())
            right.append(v[:k].T.float())
            thresholds.append(initial_thresholds((num_agents, k), offset, scale, generator))
        self.left, self.values, self.right, self.thresholds = (
            nn.ParameterList([nn.Parameter(tensor.contiguous()) for tensor in tensors])
            for tensors in (left, values, right, thresholds)
        )
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(out)) for out in sizes[1:]])

    def spectra(self) -> list[Tensor]:
        """Return the agents' singular values ``[N, k]`` of each layer."""
        return [soft_threshold(s, t) for s, t in zip(entries(self.values), entries(self.thresholds), strict=True)]

    def spectral_masks(self) -> list[Tensor]:
        """Return the agents' masks ``[N, k]`` in [0, 1] of each layer; the shared singular values get no gradient."""
        return [
            torch.relu(1 - t.sigmoid() / s.detach().abs().clamp(min=1e-12))
            for s, t in zip(entries(self.values), entries(self.thresholds), strict=True)
        ]

    @property
    def masks(self) -> list[Tensor]:
        """Which singular values each agent uses at present, ``[N, k]`` a layer."""
        return [mask.detach() for mask in self.spectral_masks()]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        return self._run(x, self._factors())

    def recurrent_sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and the unit's states; see the base class. No agent's matrix is formed."""
        factors = self._factors()
        features = self.activation(self._run(x, factors[:-1]))
        states = self.remember(features, starts, state)
        return self._run(states, factors[-1:]), states

    def _factors(self) -> list[tuple[Tensor, ...]]:
        """Return U, the agents' singular values ``[N, k]``, V and bias of each layer."""
        factors = zip(entries(self.left), self.spectra(), entries(self.right), entries(self.biases), strict=True)
        return list(factors)

    def _run(self, x: Tensor, factors: list[tuple[Tensor, ...]]) -> Tensor:
        """Return the last of these layers, without activation, for inputs ``[..., N, F]``."""
        h = x
        for index, (u, spectrum, v, bias) in enumerate(factors):
            h = h if index == 0 else self.activation(h)
            projected = functional.linear(h, v[: h.shape[-1]].T)
            if len(v) > h.shape[-1]:
                projected = projected + v[h.shape[-1] :]  # of the agents' one-hot indices
            h = functional.linear(projected * spectrum, u, bias)
        return h

    def subnetworks(self) -> Layers:
        """Return the agents' weights ``[N, out, in]`` and biases ``[N, out]``, which the forward never forms."""
        weights = [
            (u * spectrum[:, None, :]) @ v.T
            for u, spectrum, v in zip(entries(self.left), self.spectra(), entries(self.right), strict=True)
        ]
        biases = [b.expand(len(w), -1) for b, w in zip(entries(self.biases), weights, strict=True)]
        if self.agent_index:
            weights[0], biases[0] = folded_index(weights[0], biases[0], self.sizes[0])
        return weights, biases

    def diversity(self) -> Tensor:
        """Return the mean over ordered pairs of agents, layers and singular values of ``(m_i - m_j)^2``, a scalar."""
        number = len(self.thresholds[0])
        spread = [mask.var(dim=0, correction=0).mean() for mask in self.spectral_masks()]
        return 2 * number / max(number - 1, 1) * torch.stack(spread).mean()

    def orthogonality(self) -> Tensor:
        """Return the sum over layers of ``||U^T U - I||_F^2 + ||V^T V - I||_F^2``, a scalar."""
        squares = []
        for factor in (*entries(self.left), *entries(self.right)):
            identity = torch.eye(factor.shape[1], device=factor.device)
            squares.append((factor.T @ factor - identity).square().sum())
        return torch.stack(squares).sum()

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward."""
        layers = zip(self.left, self.values, self.right, strict=True)
        return sum(2 * len(s) * (len(u) + len(v)) for u, s, v in layers) + self.unit_flops()


class Prism(SharingScheme):
    """Spectral parameter sharing.

    All agents share the singular vectors and values of each layer, ``W_i = U diag(s m_i) V^T``, and each learns a mask
    ``m_i`` over the singular values. Two losses are added: one keeps ``U`` and ``V`` near orthogonal, one pushes the
    agents' masks apart.

    Built from the paper's abstract, which states the form of the layers and the two regularisers. This project's
    choices: the mask is the soft threshold ``relu(|s| - sigmoid(t_i)) / |s|``; the losses are
    ``orthogonality (||U^T U - I||^2 + ||V^T V - I||^2)`` and ``-diversity mean (m_i - m_j)^2``; both their weights; and
    the critic is spectral too, since it can see an agent's type no better than the actor can; and a recurrent unit is
    shared as it is, by all agents.

    Layers start as full sharing's: ``U diag(s) V^T`` is the singular-value decomposition of its initial weights.

    The record tells whether it acted: ``kept`` and ``hamming`` of the diagnostics' masks.

    Args:
        rank: k of every layer, ``min(in, out)`` where that is less; None takes ``min(in, out)`` throughout.
        orthogonality: weight of the loss that keeps singular vectors orthogonal.
        diversity: weight of the loss that pushes masks apart.
        offset, scale: thresholds start at ``-(offset + scale u)``, u uniform in (0, 1): masks start near 1.
        threshold_epsilon: of the optimiser, for thresholds, as in Kaleidoscope.
        agent_index: networks also read the agent's one-hot index. Whether the authors' do the abstract does not say.
        networks: ``both`` actor and critic are spectral, or the ``actor`` only, with one critic for all agents.
    """

    name = "prism"
    summary = "one network in singular-value form, a learnt mask over the singular values for every agent"
    source = "Kim, Oh and Kim, 2026, arXiv 2602.06476"
    parameter_formula = "sum over layers of k (in + out + 1) + N k + out"
    acts_in_training = True

    def __init__(
        self,
        *,
        rank: int | None = None,
        orthogonality: float = 1e-2,
        diversity: float = 1e-2,
        offset: float = 5.0,
        scale: float = 5.0,
        threshold_epsilon: float | None = EPSILON,
        agent_index: bool = False,
        networks: str = "both",
    ) -> None:
        super().__init__()
        if rank is not None:
            check_count("rank", rank, high=MAX_UNITS)
        check_number("orthogonality", orthogonality, low=0.0)
        check_number("diversity", diversity, low=0.0)
        check_thresholds(offset, scale, threshold_epsilon)
        check_flag("agent_index", agent_index)
        check_choice("networks", networks, NETWORKS)
        self.rank, self.orthogonality, self.diversity = rank, orthogonality, diversity
        self.offset, self.scale = offset, scale
        self.threshold_epsilon, self.agent_index, self.networks = threshold_epsilon, agent_index, networks

    def make_networks(self) -> None:
        """Make the spectral networks."""
        self.actor_net = self._spectral(self.actor_spec)
        both = self.networks == "both"
        self.critic_net = self._spectral(self.critic_spec) if both else self.critic_spec.grouped(self.labels)

        if self.threshold_epsilon is not None:
            thresholds = [s for net in self.spectral_networks() for s in net.thresholds]
            self.optimizer_eps_groups = {self.threshold_epsilon: thresholds}

    def _spectral(self, spec: NetworkSpec) -> SpectralMLP:
        options: dict[str, Any] = {"rank": self.rank, "offset": self.offset, "scale": self.scale}
        options["agent_index"] = self.agent_index
        return SpectralMLP(num_agents=self.spaces.num_agents, **options, **spec.options)

    def spectral_networks(self) -> list[SpectralMLP]:
        """Return the networks in singular-value form."""
        return [net for net in (self.actor_net, self.critic_net) if isinstance(net, SpectralMLP)]

    def aux_loss(self) -> Tensor:
        """Return the weighted losses of orthogonality and diversity, a scalar."""
        losses = [
            self.orthogonality * net.orthogonality() - self.diversity * net.diversity()
            for net in self.spectral_networks()
        ]
        return torch.stack(losses).sum()


SCHEME = Prism
