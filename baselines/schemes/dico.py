"""DiCo: a shared policy plus private deviations, scaled to a wanted diversity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from adaps_agents.networks.grouped_mlp import GroupedMLP
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import check_choice, check_count, check_number
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "DiCo", "logit_diversity", "summed"]

Layers: TypeAlias = "list[tuple[Tensor, Tensor]]"

CRITICS = ("private", "shared")
# A deviation of logits may be of their own scale at once: it is multiplied by the ratio of diversities anyway.
DEVIATION_GAIN = 1.0
SMALLEST_DIVERSITY = 1e-6
OPPOSITE_MINDS = 2**0.5 * math.log(9)


class DeviatingMLP(GroupedMLP):
    """One network for all agents plus ``factor()`` times each agent's deviation from it.

    Args:
        deviation: the agents' private networks. They are the scheme's to hold, and no module of this one.
        factor: gives the factor, a scalar; where it is 0, deviations are no part of what agents use.
        **options: as for :class:`~adaps_agents.networks.grouped_mlp.GroupedMLP`.
    """

    def __init__(self, deviation: GroupedMLP, factor: Callable[[], Tensor], **options: Any) -> None:
        super().__init__(labels=torch.zeros_like(deviation.groups.labels), **options)
        self._held = (deviation,)
        self.factor = factor

    @property
    def deviation(self) -> GroupedMLP:
        """The agents' private networks."""
        return self._held[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[B, N, O]`` for inputs ``[B, N, F]``."""
        out: Tensor = super().forward(x) + self.factor() * self.deviation(x)
        return out

    def add_unit(self, seed: int, name: str) -> None:
        """Give the deviations private units next to the shared one."""
        super().add_unit(seed, name)
        self.deviation.add_unit(seed, "deviation")

    @property
    def state_width(self) -> int:
        """Length of an agent's recurrent state: the shared unit's, then the deviation's."""
        return 2 * super().state_width

    def recurrent_sequence(self, x: Tensor, starts: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``[T, B, N, O]`` and states ``[T, B, N, 2H]``; see the base class."""
        shared, own = state.chunk(2, dim=-1)
        logits, shared = super().recurrent_sequence(x, starts, shared)
        deviations, own = self.deviation.sequence(x, starts, own)
        return logits + self.factor() * deviations, torch.cat([shared, own], dim=-1)

    def effective_params(self, agent: int) -> Layers:
        """Return an agent's layers; they hold shared neurons first, the agent's own after them."""
        shared, factor = super().effective_params(agent), self.factor()
        units = 0 if self.cell is None else 2
        return shared if factor == 0 else summed(shared, self.deviation.effective_params(agent), factor, units)

    @property
    def trainable_parameters(self) -> int:
        """Number of parameters, the deviations' included."""
        return super().trainable_parameters + self.deviation.trainable_parameters

    @property
    def flops_per_decision(self) -> int:
        """Multiplications and additions of one agent's forward, of both networks."""
        return super().flops_per_decision + self.deviation.flops_per_decision

    @property
    def whole_labels(self) -> Tensor | None:
        """None in place of ``[N] int64``: agents differ by their deviations."""
        return None


class DiCo(SharingScheme):
    """Diversity control by construction.

    Agent ``i``'s logits are ``f_h(o) + kappa f_i(o)`` with a shared ``f_h``, private ``f_i`` and
    ``kappa = desired / measured``. The method is defined for Gaussian actions, with the Wasserstein distance of the
    agents' means. For discrete actions we control LOGIT DIVERSITY: the mean over pairs of agents and over
    observations of the Euclidean distance between the agents' logits, each without its mean over actions, which
    the softmax ignores (:func:`logit_diversity`). It is homogeneous in the deviations, so the logits' diversity is the
    desired one wherever the estimate is exact. It is not the diversity of the action probabilities.

    The estimate of the deviations' diversity starts from the first update's observations, before which kappa is 1, and
    follows with ``new = (1 - tau) old + tau measured``, once an update and not within it: the probabilities of a
    rollout and of its update then come from one kappa. The ratio carries no gradient: with the authors' tau of 0.01 it
    would be a hundredth of the deviations' own, and it would let an agent's loss move the others' deviations. It is
    measured on ``pool`` observations of all agents, drawn from the update's last minibatch: every deviation is
    evaluated on each (the authors measure on whole minibatches). Their penalty of means outside the range of actions
    has no counterpart: logits have no range. Deviations start with last layers of gain 1: the factor sets their scale.

    Recurrent, the shared policy and every deviation have a unit and a state of their own. Deviations are then measured
    on whole histories of the minibatch, with as many observations in all, from empty states.

    Args:
        desired: diversity wanted, >= 0 (0 makes agents alike); None leaves deviations as they are (kappa = 1, the
            authors' -1). The authors publish no value but one for each task, in units of continuous actions. The
            default is what it takes for two agents that want opposite ones of two actions, undecided by the shared
            policy, to choose their own nine times in ten: logits ln 9 apart for each, sqrt(2) ln 9 between them.
        tau: share of a new measurement in the estimate.
        pool: observations a measurement.
        critic: ``private`` to each agent (the authors' IPPO) or ``shared`` (their MAPPO).
    """

    name = "dico"
    summary = "a shared policy plus private deviations, scaled to a wanted diversity of the logits"
    source = "Bettini, Kortvelesy and Prorok, ICML 2024, arXiv 2405.15054"
    parameter_formula = "N P + P_actor"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"desired": 0.0, "critic": "shared"}

    acts_in_training = True

    estimate: Tensor
    measurements: Tensor

    def __init__(
        self, *, desired: float | None = OPPOSITE_MINDS, tau: float = 0.01, pool: int = 128, critic: str = "private"
    ) -> None:
        super().__init__()
        if desired is not None:
            check_number("desired", desired, low=0.0)
        check_number("tau", tau, high=1.0, above=0.0)
        check_count("pool", pool)
        check_choice("critic", critic, CRITICS)
        self.desired, self.tau, self.pool, self.critic_sharing = desired, tau, pool, critic

    def make_networks(self) -> None:
        """Make the shared policy, the deviations and the critics."""
        if self.spaces.num_agents < 2:
            raise InvalidParameterError("DiCo controls how agents differ; a team of 1 has no diversity. Take 'fups'.")
        device, number = self.labels.device, self.spaces.num_agents
        index = torch.arange(number, device=device)
        self.register_buffer("estimate", torch.ones((), device=device))
        self.register_buffer("measurements", torch.zeros((), dtype=torch.int64, device=device))
        deviation = replace(self.actor_spec, head_gain=DEVIATION_GAIN, name="deviation").grouped(index)
        self.actor_net = DeviatingMLP(deviation, self._factor, **self.actor_spec.options)
        self.deviation_net = deviation
        self.critic_net = self.critic_spec.grouped(index if self.critic_sharing == "private" else self.labels)

    def _factor(self) -> Tensor:
        return self.kappa

    @property
    def kappa(self) -> Tensor:
        """Factor of the deviations, a scalar without gradient."""
        if self.desired is None:
            return torch.ones_like(self.estimate)
        if self.desired == 0:
            return torch.zeros_like(self.estimate)
        scaled = self.desired / self.estimate.clamp(min=SMALLEST_DIVERSITY)
        return torch.where(self.measurements > 0, scaled, torch.ones_like(scaled))

    @torch.no_grad()
    def deviation_diversity(self, observations: Tensor, starts: Tensor | None = None) -> Tensor:
        """Return the logit diversity of the unscaled deviations, a scalar.

        Args:
            observations: ``[S, F]``, or histories ``[T, S, F]`` of recurrent deviations.
            starts: ``[T, S] bool`` of these histories.
        """
        everybody = observations[..., None, :].expand(*observations.shape[:-1], self.spaces.num_agents, -1)
        own = self.learning.action_mask
        if starts is None:
            return logit_diversity(self.deviation_net(everybody), own)
        state = self.deviation_net.initial_state(everybody.shape[1])
        begins = starts[..., None].expand(everybody.shape[:-1])
        return logit_diversity(self.deviation_net.sequence(everybody, begins, state)[0].flatten(0, 1), own)

    @torch.no_grad()
    def after_update(self, update: int) -> bool:
        """Measure the deviations on the last minibatch and move the estimate."""
        observations = self.learning.observations
        if not self.desired or observations is None:
            return False
        generator = torch_stream(self.seed, "pool", int(self.measurements))
        starts = self.learning.episode_starts if "actor" in self.recurrent_parts else None
        if starts is None:
            flat = observations.flatten(0, -2)
            chosen = torch.randint(len(flat), (self.pool,), generator=generator)
            measured = self.deviation_diversity(flat[chosen.to(flat.device)])
        else:
            histories, begins = observations.flatten(1, 2), starts.flatten(1, 2)
            chosen = torch.randint(histories.shape[1], (max(1, self.pool // len(histories)),), generator=generator)
            chosen = chosen.to(histories.device)
            measured = self.deviation_diversity(histories[:, chosen], begins[:, chosen])
        weight = self.tau if int(self.measurements) > 0 else 1.0
        self.estimate.lerp_(measured, weight)
        self.measurements += 1
        return False


def logit_diversity(logits: Tensor, own: Tensor | None = None) -> Tensor:
    """Return the mean distance between agents' logits ``[S, N, A]``, over observations and pairs of agents.

    The distance is Euclidean, between logits without their mean over actions. With ``own [N, A] bool``, the actions
    that each agent has, the mean is over its own actions, and the others count as 0.
    """
    number = logits.shape[1]
    if own is None:
        centred = logits - logits.mean(dim=-1, keepdim=True)
    else:
        logits = logits * own
        centred = (logits - logits.sum(dim=-1, keepdim=True) / own.sum(dim=-1, keepdim=True)) * own
    distances = torch.cdist(centred, centred, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.sum(dim=(1, 2)).mean() / (number * (number - 1))


def summed(shared: Layers, own: Layers, factor: Tensor, units: int = 0) -> Layers:
    """Return one network that computes ``shared(x) + factor * own(x)``, its hidden neurons those of both.

    A layer is a weight ``[out, in]`` and a bias ``[out]``; ``factor`` is a scalar. The ``units`` layers before the last
    are those of a recurrent unit, three gates one after the other.
    """
    layers = []
    for index, ((w, b), (v, c)) in enumerate(zip(shared, own, strict=True)):
        first, last = index == 0, index == len(shared) - 1
        if not last and index >= len(shared) - 1 - units:
            gates = zip(w.chunk(3), v.chunk(3), strict=True), zip(b.chunk(3), c.chunk(3), strict=True)
            weight = torch.cat([torch.block_diag(*pair) for pair in gates[0]])
            layers.append((weight, torch.cat([part for pair in gates[1] for part in pair])))
        elif last:
            weight = w + factor * v if first else torch.cat([w, factor * v], dim=1)
            layers.append((weight, b + factor * c))
        else:
            weight = torch.cat([w, v]) if first else torch.block_diag(w, v)
            layers.append((weight, torch.cat([b, c])))
    return layers


SCHEME = DiCo
