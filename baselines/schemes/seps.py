"""SePS: one network for each group that the identity phase finds."""

from __future__ import annotations

from adaps_agents.schemes.group_source import IdentifiedScheme

__all__ = ["SCHEME", "SePS"]


class SePS(IdentifiedScheme):
    """Selective parameter sharing: cluster the agents before training, then one actor and one critic a cluster.

    The identity phase is the one that AdaPS uses, streams included: with one seed both get the same groups.
    """

    name = "seps"
    summary = "one network for each group found by the identity phase"
    source = "Christianos et al., ICML 2021, arXiv 2102.07475"
    parameter_formula = "K P"

    def make_networks(self) -> None:
        """Make one actor and one critic a group."""
        self.make_grouped_networks()


SCHEME = SePS
