"""NoPS: every agent has networks of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from adaps_agents.schemes.base import SharingScheme

__all__ = ["SCHEME", "NoPS"]


class NoPS(SharingScheme):
    """No parameter sharing: actor and critic are private to each agent, each initialised differently.

    ``pi_i(a | o_i) = f(o_i; theta_i)``; every network sees one N-th of the data that full sharing sees.
    """

    name = "nops"
    summary = "no sharing: private actor and critic for every agent"
    source = "independent learners; Tan, ICML 1993"
    parameter_formula = "N P"

    def initial_labels(self) -> Tensor:
        """Return each agent as its own group, ``[N] int64``."""
        return torch.arange(self.spaces.num_agents)

    def make_networks(self) -> None:
        """Make N actors and N critics."""
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)


SCHEME = NoPS
