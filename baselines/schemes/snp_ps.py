"""SNP-PS: a fixed random mask over the hidden neurons of one shared network for every agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.mask_mapping import random_masks
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "SNPPS"]

DRAWS = ("exact", "bernoulli")


class SNPPS(SharingScheme):
    """Structured network pruning for parameter sharing.

    ``h^l = m_i^l * activation(W_l h^{l-1} + b_l)`` with one mask an agent, drawn once; separate draws for the critic.
    Two agents share a neuron with probability ``keep^2``: with many agents no neuron is private.

    The authors published no code; deviations from the port of it in Kaleidoscope's: masks keep exactly a share of each
    layer, so that agents have equal capacity (``draw="bernoulli"`` is the port's); every hidden layer is masked (the
    port leaves the first one dense); output layers are not (a logit of 0 is no missing action); the critic is masked
    too, since it can see an agent's type no better than the actor can.

    Args:
        keep: share of neurons kept (one minus the pruning ratio).
        draw: ``exact`` keeps the same number of neurons for every agent, ``bernoulli`` draws each neuron independently.
        execution: see :class:`~adaps_agents.networks.grouped_mlp.MaskedMLP`.
    """

    name = "snp_ps"
    summary = "one shared network, a fixed random mask over hidden neurons for every agent"
    source = "Kim and Sung, AAMAS 2023, arXiv 2303.00912"
    parameter_formula = "P"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"keep": 1.0}

    def __init__(self, *, keep: float = 0.5, draw: str = "exact", execution: str = "auto") -> None:
        super().__init__()
        if draw not in DRAWS:
            raise InvalidParameterError(f"draw is {draw!r}; choose one of {', '.join(DRAWS)}.")
        if not isinstance(keep, (int, float)) or not 0 < keep <= 1:
            raise InvalidParameterError(f"keep is {keep!r}; it must lie in (0, 1].")
        self.keep = keep
        self.draw = draw
        self.execution = execution

    def initial_labels(self) -> Tensor:
        """Return each agent as its own group, ``[N] int64``."""
        return torch.arange(self.spaces.num_agents)

    def make_networks(self) -> None:
        """Make one actor and one critic, masked for every agent."""
        generator = torch_stream(self.seed, "masks")
        widths, split = self.actor_spec.mask_widths + self.critic_spec.mask_widths, len(self.actor_spec.mask_widths)
        masks = random_masks(self.spaces.num_agents, widths, self.keep, generator, exact=self.draw == "exact")
        self.actor_net = self.actor_spec.masked(self.labels, masks[:split], self.execution)
        self.critic_net = self.critic_spec.masked(self.labels, masks[split:], self.execution)


SCHEME = SNPPS
