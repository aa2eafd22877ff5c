"""FuPS: all agents use one network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from adaps_agents.schemes.base import SharingScheme

__all__ = ["SCHEME", "FuPS"]


class FuPS(SharingScheme):
    """Full parameter sharing without identity.

    ``pi(a | o_i; theta)``: agents with equal observations act alike in distribution, so where the type is hidden this
    can learn no more than the best compromise.
    """

    name = "fups"
    summary = "full sharing: one network for all agents, without identity"
    source = "Gupta, Egorov and Kochenderfer, AAMAS workshops 2017"
    parameter_formula = "P"
    fups_options: ClassVar[Mapping[str, Any] | None] = {}

    def make_networks(self) -> None:
        """Make one actor and one critic."""
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)


SCHEME = FuPS
