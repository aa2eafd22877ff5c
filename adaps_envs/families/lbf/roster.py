"""The players' hidden types in foraging: their description, its checks, and who is of which type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from adaps_envs.core.roster import chosen_actions, listed_types
from adaps_envs.errors import InvalidParameterError
from adaps_envs.types import AgentType

__all__ = [
    "ACTIONS",
    "MAX_LEVEL",
    "MAX_SIDE",
    "ROSTER_ORDERS",
    "LBFType",
    "checked_roster",
    "ordered_types",
    "whole_number",
]

ACTIONS = ("none", "north", "south", "west", "east", "load")
ROSTER_ORDERS = ("blocks", "alternating")
MAX_SIDE = 1024
MAX_LEVEL = 10_000


@dataclass(frozen=True, kw_only=True)
class LBFType(AgentType):
    """A hidden type of player.

    Attributes:
        count: number of players of this type.
        level: the level that these players have in every episode, or an inclusive range ``(low, high)`` from which each
            of them draws at every reset.
        sight: how far they see, in cells; None takes the game's ``sight``.
        actions: names of the actions that they have, see :class:`~adaps_envs.types.AgentType`.
    """

    level: int | tuple[int, int] = 1
    sight: int | None = None

    @property
    def level_range(self) -> tuple[int, int]:
        """The lowest and the highest level."""
        return self.level if isinstance(self.level, tuple) else (self.level, self.level)


def whole_number(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as a Python integer.

    Raises:
        InvalidParameterError: it is no integer, or outside ``low..high``.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < low or (high is not None and value > high):
        rule = f">= {low}" if high is None else f"in {low}..{high}"
        raise InvalidParameterError(f"{name} is {value!r}; it must be an integer {rule}.")
    return int(value)


def ordered_types(roster: Sequence[LBFType], order: str) -> tuple[int, ...]:
    """Return the type of each player: type after type (``blocks``), or in turn while they last (``alternating``)."""
    if order == "blocks":
        return tuple(chain.from_iterable([index] * kind.count for index, kind in enumerate(roster)))
    turns = range(max(kind.count for kind in roster))
    return tuple(index for turn in turns for index, kind in enumerate(roster) if turn < kind.count)


def checked_roster(roster: Any) -> tuple[LBFType, ...]:
    """Return the types with plain integers for all numbers.

    Raises:
        InvalidParameterError: no types, an entry that is none, or a number outside its rule.
    """
    return tuple(_checked_type(index, kind) for index, kind in enumerate(listed_types(roster, LBFType)))


def _checked_type(index: int, kind: LBFType) -> LBFType:
    who = f"type {index}"
    level: int | tuple[int, int]
    if isinstance(kind.level, (tuple, list)):
        if len(kind.level) != 2:
            raise InvalidParameterError(f"{who}: level is {kind.level!r}; give one integer or a range (low, high).")
        low = whole_number(f"{who}: level", kind.level[0], 1, MAX_LEVEL)
        level = (low, whole_number(f"{who}: level", kind.level[1], low, MAX_LEVEL))
    else:
        level = whole_number(f"{who}: level", kind.level, 1, MAX_LEVEL)
    sight = None if kind.sight is None else whole_number(f"{who}: sight", kind.sight, 0, MAX_SIDE)
    return LBFType(count=kind.count, level=level, sight=sight, actions=chosen_actions(index, kind, ACTIONS))
