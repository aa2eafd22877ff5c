"""Struct-of-arrays state derived from a table of :class:`ArraySpec`, and the checks on what callers inject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.rng import RNG_WORDS
from adaps_envs.errors import InvalidParameterError, InvalidStateError, suggest
from adaps_envs.types import ArraySpec, State

__all__ = ["RNG_SPEC", "allocate", "checked_array"]

RNG_SPEC = ArraySpec("rng", (RNG_WORDS,), "uint64", 0, 2**64 - 1, "bits", "random stream of the lane")


def allocate(table: Sequence[ArraySpec], num_lanes: int, sizes: Mapping[str, int]) -> State:
    """Return the arrays of ``table``, zeroed, lane axis first, plus the random streams.

    Raises:
        InvalidParameterError: they do not fit in memory.
    """
    try:
        return {spec.name: spec.allocate(num_lanes, sizes) for spec in (*table, RNG_SPEC)}
    except (MemoryError, ValueError, OverflowError) as error:
        raise InvalidParameterError(
            f"num_envs is {num_lanes}, and the state of so many lanes does not fit in memory ({error}); give fewer."
        ) from error


def checked_array(value: Any, spec: ArraySpec, target: NDArray[Any]) -> NDArray[Any]:
    """Return ``value`` as an array of ``target``'s shape and dtype, or say what is wrong with it.

    Args:
        value: what the caller handed in, ``[B, *dims]``.
        spec: declaration of the array, for its range.
        target: the environment's own array.

    Raises:
        InvalidStateError: wrong shape, a lossy dtype, a non-finite value, or a value outside the range.
    """
    array = np.asarray(value)
    if array.shape != target.shape:
        raise InvalidStateError(
            f"state array {spec.name!r} has shape {array.shape}; it must be {target.shape} (lane axis first)."
        )
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and target.dtype.kind != "f"):
        raise InvalidStateError(
            f"state array {spec.name!r} has dtype {array.dtype}; give {target.dtype} or a lossless type."
        )
    if array.size and spec is not RNG_SPEC:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidStateError(f"state array {spec.name!r} holds NaN or infinity; every entry must be finite.")
        low, high = array.min(), array.max()
        if low < spec.low or high > spec.high:
            raise InvalidStateError(
                f"state array {spec.name!r} spans [{low}, {high}]; legal is [{spec.low}, {spec.high}] {spec.unit}."
            )
    return array.astype(target.dtype, casting="unsafe", copy=True)


def unknown_keys_error(names: Sequence[str], known: Sequence[str]) -> InvalidStateError:
    """Build the error for state keys that the environment does not have."""
    return InvalidStateError(f"unknown state array {names[0]!r}. {suggest(names[0], known)}")
