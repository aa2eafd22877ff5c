"""Control: the right groups without masks or private networks, told as a one-hot input."""

from __future__ import annotations

from typing import Any

from adaps_agents.networks.indexed_mlp import IndexedMLP
from adaps_agents.schemes.base import ACTOR_GAIN, CRITIC_GAIN
from adaps_agents.schemes.group_source import IdentifiedScheme

__all__ = ["SCHEME", "GroupId"]


class GroupId(IdentifiedScheme):
    """Full sharing with the one-hot of the agent's group in the input.

    The groups come from the identity phase, as AdaPS's and SePS's do: the control that tells what masks add to knowing
    the group.
    """

    name = "group_id"
    summary = "control: full sharing with the one-hot of the found group in the input"
    source = "control for AdaPS"
    parameter_formula = "P + 2 K H"

    def make_networks(self) -> None:
        """Make one actor and one critic that read the group's index."""
        options: dict[str, Any] = {"seed": self.seed, "activation": self.activation}
        self.actor_net = IndexedMLP(self.actor_sizes(), self.labels, head_gain=ACTOR_GAIN, name="actor", **options)
        self.critic_net = IndexedMLP(self.critic_sizes(), self.labels, head_gain=CRITIC_GAIN, name="critic", **options)


SCHEME = GroupId
