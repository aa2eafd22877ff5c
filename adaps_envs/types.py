"""Declarations from which spaces, buffers, checks and documentation are derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["AgentType", "ArraySpec", "ObsField", "Roster", "State"]

State: TypeAlias = "dict[str, NDArray[Any]]"


@dataclass(frozen=True, kw_only=True)
class AgentType:
    """One hidden type of agent: how many agents have it. Families add the capabilities that differ.

    Attributes:
        count: number of agents of this type, at least 1.
        actions: names of the actions that they have, from the environment's ``action_names``; None for all. With fewer,
            their action spaces in PettingZoo's faces are smaller; elsewhere an action that they lack does what the
            first of their own does.
    """

    count: int
    actions: tuple[str, ...] | None = None


Roster: TypeAlias = "tuple[AgentType, ...]"


@dataclass(frozen=True)
class ArraySpec:
    """One array of a batched state.

    Attributes:
        name: key in ``get_state()``.
        dims: axis letters or fixed sizes after the lane axis, e.g. ``("N", 2)``.
        dtype: numpy type name.
        low, high: inclusive range of every entry; non-finite values are never legal.
        unit: physical unit or meaning of the numbers.
        description: one line.
    """

    name: str
    dims: tuple[str | int, ...]
    dtype: str
    low: float
    high: float
    unit: str
    description: str

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape after the lane axis for the given axis ``sizes``."""
        return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in self.dims)

    def allocate(self, num_lanes: int, sizes: Mapping[str, int]) -> NDArray[Any]:
        """Return zeros ``[B, *dims]`` of this dtype."""
        return np.zeros((num_lanes, *self.shape(sizes)), dtype=self.dtype)


@dataclass(frozen=True)
class ObsField:
    """One entry of an observation vector, before any per-type permutation.

    Attributes:
        index: position in the vector.
        name: short meaning, e.g. ``velocity_x``.
        low, high: inclusive bounds.
        unit: physical unit.
    """

    index: int
    name: str
    low: float
    high: float
    unit: str
