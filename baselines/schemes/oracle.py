"""Oracle: one network for each true type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.group_source import checked_labels
from adaps_envs.errors import InvalidParameterError

__all__ = ["SCHEME", "Oracle"]


class Oracle(SharingScheme):
    """One actor and one critic for each true type: the upper reference for SePS and AdaPS.

    The only scheme that is handed the true types.

    Args:
        types: true type of each agent, ``[N]`` integers 0..K-1.
    """

    name = "oracle"
    summary = "one network for each true type; the only scheme that is told the types"
    source = "common upper reference"
    parameter_formula = "K P"
    uses_true_types = True
    forms_groups = True

    def __init__(self, *, types: Sequence[int] | None = None) -> None:
        super().__init__()
        if types is None:
            raise InvalidParameterError("the oracle needs types=[...], the true type of each agent.")
        self.types = np.asarray(types)

    def initial_labels(self) -> Tensor:
        """Return the true types, ``[N] int64``."""
        return checked_labels(self.types, self.spaces.num_agents)

    def make_networks(self) -> None:
        """Make one actor and one critic a type."""
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)


SCHEME = Oracle
