"""Rosters as callers write them: a list of types, or of their fields as dictionaries."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidParameterError, suggest
from adaps_envs.types import AgentType

__all__ = [
    "action_mask",
    "check_deal_seed",
    "chosen_actions",
    "deal_types",
    "is_int",
    "is_list",
    "is_order",
    "listed_types",
    "plain",
]

T = TypeVar("T", bound=AgentType)


def is_int(value: object) -> bool:
    """Return whether ``value`` is an integer and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """Return whether ``value`` is a sequence other than a text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def is_order(value: Any, size: int) -> bool:
    """Return whether ``value`` lists the indices ``0..size-1``, each once."""
    return is_list(value) and len(value) == size and all(map(is_int, value)) and sorted(value) == list(range(size))


def plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's, everything else as it is."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def listed_types(roster: Any, kind: type[T]) -> tuple[T, ...]:
    """Return the types of a roster, their fields not checked yet but for ``count``.

    Raises:
        InvalidParameterError: no list, no types, an entry that is neither a type nor its fields, an unknown field, or a
            ``count`` that is not an integer >= 1.
    """
    if not is_list(roster):
        raise InvalidParameterError(f"roster is {roster!r}; give a list of {kind.__name__}.")
    kinds = tuple(_as_type(index, entry, kind) for index, entry in enumerate(roster))
    if not kinds:
        raise InvalidParameterError(
            f"the roster is empty; give at least one type, for example [{kind.__name__}(count=2)]."
        )
    for index, entry in enumerate(kinds):
        if not is_int(entry.count) or entry.count < 1:
            raise InvalidParameterError(f"type {index} has {entry.count!r} agents; every type needs an integer >= 1.")
    return kinds


def _as_type(index: int, entry: Any, kind: type[T]) -> T:
    names = [item.name for item in fields(kind)]
    if isinstance(entry, Mapping):
        unknown = [name for name in entry if name not in names]
        if unknown:
            raise InvalidParameterError(f"type {index} has no field {unknown[0]!r}. {suggest(unknown[0], names)}")
        return kind(**{"count": None, **{name: plain(value) for name, value in entry.items()}})
    if not isinstance(entry, kind):
        raise InvalidParameterError(
            f"type {index} is {entry!r}; every entry must be an instance of {kind.__name__}, or a dictionary."
        )
    return kind(**{name: plain(getattr(entry, name)) for name in names})


def chosen_actions(index: int, kind: AgentType, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the ``actions`` of type ``index`` in the order of ``names``; None for all.

    Raises:
        InvalidParameterError: no list, none at all, or a name that is not among ``names``.
    """
    if kind.actions is None:
        return None
    if not is_list(kind.actions) or not kind.actions:
        raise InvalidParameterError(f"type {index} has actions {kind.actions!r}; list some of {', '.join(names)}.")
    for name in kind.actions:
        if name not in names:
            raise InvalidParameterError(f"type {index} has an action {name!r}. {suggest(name, names)}")
    return tuple(name for name in names if name in kind.actions) if set(kind.actions) < set(names) else None


def action_mask(
    kinds: Sequence[AgentType], types: NDArray[np.int64], meaning: Sequence[Sequence[str]]
) -> NDArray[np.bool_] | None:
    """Return which actions each agent has, ``[N, A] bool``; None where every agent has all.

    Args:
        kinds: the roster, K types.
        types: ``[N]``, the type of each agent.
        meaning: for each type, the names of what its A actions do.
    """
    if all(kind.actions is None for kind in kinds):
        return None
    rows = [
        [kind.actions is None or name in kind.actions for name in names]
        for kind, names in zip(kinds, meaning, strict=True)
    ]
    return np.array(rows)[types]


def check_deal_seed(deal_seed: Any) -> None:
    """Check a ``deal_seed`` as callers give it.

    Raises:
        InvalidParameterError: it is neither None nor an integer from 0 to 2^63 - 1.
    """
    if deal_seed is not None and (not is_int(deal_seed) or not 0 <= deal_seed < 2**63):
        raise InvalidParameterError(f"deal_seed is {deal_seed!r}; it must be an integer from 0 to 2^63 - 1, or None.")


def deal_types(types: Sequence[int] | NDArray[np.int64], deal_seed: int | None) -> NDArray[np.int64]:
    """Return the type of each agent, ``[N] int64``, dealt in an order drawn from ``deal_seed``.

    The order depends on the seed and N alone, so all copies of an environment agree.

    Args:
        types: ``[N]`` types in the roster's order.
        deal_seed: integer >= 0; None leaves the order as it is.
    """
    dealt = [int(kind) for kind in types]
    if deal_seed is not None:
        # Python's generator, because its shuffle is the same in every version.
        random.Random(f"types dealt by seed {deal_seed}").shuffle(dealt)
    return np.array(dealt, np.int64)
