"""Control: SePS with as many groups, but the wrong ones."""

from __future__ import annotations

from typing import Any

from adaps_agents.schemes.group_source import GroupSource
from baselines.schemes.seps import SePS

__all__ = ["SCHEME", "RandomGroups"]


class RandomGroups(SePS):
    """One network for each group, the groups' labels dealt to random agents: the lower reference of SePS.

    Number and sizes of the groups are those of the identity phase (or of ``labels``). It is SePS with
    ``labels="random"``.
    """

    name = "random_groups"
    summary = "control: one network a group, the found groups' labels dealt to random agents"
    source = "control for SePS"

    group_source: GroupSource

    def __init__(self, **groups: Any) -> None:
        super().__init__(**groups)
        self.group_source.shuffles = True


SCHEME = RandomGroups
