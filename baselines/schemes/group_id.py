"""Control: the right groups without masks or private networks, told as a one-hot input."""

from __future__ import annotations

from typing import Any

from adaps_agents.networks.indexed_mlp import IndexedMLP
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.group_source import GroupSource

__all__ = ["SCHEME", "GroupId"]


class GroupId(SharingScheme):
    """Full sharing with the one-hot of the agent's group in the input.

    The groups come from the identity phase, as AdaPS's and SePS's do: the control that tells what masks add to knowing
    the group.

    Args:
        **groups: where they come from, see :class:`~adaps_agents.schemes.group_source.GroupSource`.
    """

    name = "group_id"
    summary = "control: full sharing with the one-hot of the found group in the input"
    source = "control for AdaPS"
    parameter_formula = "P + 2 K H"
    forms_groups = True

    def __init__(self, **groups: Any) -> None:
        super().__init__(GroupSource(**groups))

    def make_networks(self) -> None:
        """Make one actor and one critic that read the group's index."""
        self.actor_net = IndexedMLP(index=self.labels, **self.actor_spec.options)
        self.critic_net = IndexedMLP(index=self.labels, **self.critic_spec.options)


SCHEME = GroupId
