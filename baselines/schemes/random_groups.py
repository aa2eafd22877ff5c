"""Control: SePS with as many groups, but the wrong ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.schemes.base import checked_labels
from adaps_agents.schemes.group_source import IdentifiedScheme

__all__ = ["SCHEME", "RandomGroups"]


class RandomGroups(IdentifiedScheme):
    """One network for each group, the groups' labels dealt to random agents: the lower reference of SePS.

    Number and sizes of the groups are those of the identity phase (or of ``labels``). It is SePS with
    ``labels="random"``.
    """

    name = "random_groups"
    summary = "control: one network a group, the found groups' labels dealt to random agents"
    source = "control for SePS"
    parameter_formula = "K P"

    def initial_labels(self) -> Tensor:
        """Return the given labels, shuffled, or one group until the identity phase has run."""
        return checked_labels(self.shuffled(super().initial_labels().numpy()), self.spaces.num_agents)

    def dealt(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take over number and sizes of the groups only."""
        return self.shuffled(labels)

    def make_networks(self) -> None:
        """Make one actor and one critic a group."""
        self.make_grouped_networks()


SCHEME = RandomGroups
