"""SePS: one network for each group that the identity phase finds."""

from __future__ import annotations

from typing import Any

from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.group_source import GroupSource

__all__ = ["SCHEME", "SePS"]


class SePS(SharingScheme):
    """Selective parameter sharing: cluster the agents before training, then one actor and one critic a cluster.

    The identity phase is the one that AdaPS uses, streams included: with one seed both get the same groups.

    Deviations from the authors' code: training starts from fresh networks after the phase (theirs trains network 0
    during it, and keeps that for one group only, so that groups do not start alike); groups are found by tests (K-means
    with Davies-Bouldin over 2..N-1 favours many groups, and cannot say one); there are as many networks as groups
    (theirs makes ten in advance, and more groups fail). ``identity="seps-original"`` is the published phase.

    Args:
        **groups: where they come from, see :class:`~adaps_agents.schemes.group_source.GroupSource`.
    """

    name = "seps"
    summary = "one network for each group found by the identity phase"
    source = "Christianos et al., ICML 2021, arXiv 2102.07475"
    parameter_formula = "K P"
    forms_groups = True

    def __init__(self, **groups: Any) -> None:
        super().__init__(GroupSource(**groups))

    def make_networks(self) -> None:
        """Make one actor and one critic a group."""
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)


SCHEME = SePS
