"""Struct-of-arrays state derived from a table of :class:`ArraySpec`, and the checks on what callers inject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.rng import RNG_WORDS
from adaps_envs.errors import AdapsError, InvalidParameterError, InvalidStateError, quoted, suggest
from adaps_envs.types import ArraySpec, State

__all__ = ["RNG_SPEC", "allocate", "as_array", "checked_array"]

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


def as_array(value: Any, what: str, error: type[AdapsError]) -> NDArray[Any]:
    """Return ``value`` as an array of whatever shape and type its entries have; an array is returned itself.

    Raises:
        error: ``value``, called ``what``, is a list with rows of unequal lengths.
    """
    try:
        return np.asarray(value)
    except ValueError as ragged:
        raise error(f"{what} has rows of unequal lengths; give a rectangular array.") from ragged
    except Exception as broken:  # a class of the caller's may fail in any way
        raise error(
            f"{what} is {quoted(value)}, which NumPy cannot read ({quoted(broken)}); give an array."
        ) from broken


def checked_array(value: Any, spec: ArraySpec, target: NDArray[Any]) -> NDArray[Any]:
    """Return ``value`` as an array of ``target``'s shape and dtype, or say what is wrong with it.

    Args:
        value: what the caller handed in, ``[B, *dims]``.
        spec: declaration of the array, for its range.
        target: the environment's own array.

    Raises:
        InvalidStateError: wrong shape, a lossy dtype, a non-finite value, or a value outside the range.
    """
    what = f"state array {spec.name!r}"
    array = _exact(value) if spec is RNG_SPEC else as_array(value, what, InvalidStateError)
    if array.shape != target.shape:
        raise InvalidStateError(f"{what} has shape {array.shape}; it must be {target.shape} (lane axis first).")
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and target.dtype.kind != "f"):
        raise InvalidStateError(f"{what} has dtype {array.dtype}; give {target.dtype} or a lossless type.")
    if spec is RNG_SPEC:
        _check_streams(array)
    elif array.size:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidStateError(f"{what} holds NaN or infinity; every entry must be finite.")
        low, high = array.min(), array.max()
        if low < spec.low or high > spec.high:
            raise InvalidStateError(f"{what} spans [{low}, {high}]; legal is [{spec.low}, {spec.high}] {spec.unit}.")
    return array.astype(target.dtype, casting="unsafe", copy=True)


def _exact(value: Any) -> NDArray[Any]:
    """Return random streams as an array; NumPy alone makes floats of a list's integers on both sides of 2^63."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value, object)
    words = array.dtype == object and all(
        isinstance(word, (int, np.integer)) and 0 <= word <= RNG_SPEC.high for word in array.flat
    )
    return array.astype(np.uint64) if words else array


def _check_streams(streams: NDArray[Any]) -> None:
    if streams.min() < 0 or not streams.any(axis=-1).all():
        raise InvalidStateError(
            f"state array {RNG_SPEC.name!r} has a lane of zeros only, or a negative number; a lane's "
            f"words are integers from 0 to 2^64 - 1, not all 0, as reset(seed=...) makes them."
        )


def unknown_keys_error(names: Sequence[str], known: Sequence[str]) -> InvalidStateError:
    """Build the error for state keys that the environment does not have."""
    return InvalidStateError(f"unknown state array {names[0]!r}. {suggest(names[0], known)}")
