"""Per-lane random streams that live in the state: xoshiro256++ seeded through SplitMix64.

A lane's stream depends on that lane's seed alone, so lane ``b`` of any batch equals a single environment with the same
seed. Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from adaps_envs.core.validation import whole_number
from adaps_envs.errors import InvalidParameterError, quoted

__all__ = [
    "RNG_WORDS",
    "below",
    "lane_seeds",
    "listed_seeds",
    "next_uint64",
    "one_seed",
    "seed_streams",
    "uniform",
]

RNG_WORDS = 4
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def lane_seeds(seed: int | Sequence[int] | NDArray[Any], num_lanes: int) -> list[int]:
    """Return one seed a lane: ``seed + b`` for an integer, or the given ones, ``[B]`` integers.

    Raises:
        InvalidParameterError: a seed is negative, not an integer, or the sequence has another length.
    """
    if isinstance(seed, (int, np.integer)):
        first = one_seed(seed)
        return [first + lane for lane in range(num_lanes)]
    seeds = listed_seeds(seed, num_lanes)
    return [one_seed(value) for value in seeds]


def listed_seeds(seeds: Any, num_lanes: int) -> list[Any]:
    """Return ``seeds``, one a lane, as a list; its entries are not checked.

    Raises:
        InvalidParameterError: it is no sequence, or one of another length.
    """
    try:
        listed = (
            None if isinstance(seeds, (str, bytes)) or not isinstance(seeds, (Sequence, np.ndarray)) else list(seeds)
        )
    except Exception:  # an array without axes, or a class of the caller's that cannot be read
        listed = None
    if listed is None:
        raise InvalidParameterError(
            f"seed is {quoted(seeds)}; it must be None, an integer >= 0 or {num_lanes} such integers."
        )
    if len(listed) != num_lanes:
        raise InvalidParameterError(f"{len(listed)} seeds for {num_lanes} lanes; give one seed a lane, or one integer.")
    return listed


def one_seed(seed: Any) -> int:
    """Return one seed as Python's integer.

    Raises:
        InvalidParameterError: it is not an integer >= 0.
    """
    try:
        return whole_number("seed", seed, 0)
    except InvalidParameterError as error:
        raise InvalidParameterError(f"seed {quoted(seed)} is not an integer >= 0; use for example seed=0.") from error


def seed_streams(seeds: Sequence[int]) -> NDArray[np.uint64]:
    """Return the start of the streams ``[B, 4] uint64`` for B seeds of any size."""
    rows = []
    for seed in seeds:
        # Seeds above 64 bits are folded, so that Gymnasium's 128-bit entropy seeds stay distinct.
        word = (seed ^ (seed >> 64) * _GOLDEN) & _MASK
        row = []
        for _ in range(RNG_WORDS):
            word = (word + _GOLDEN) & _MASK
            mixed = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
            row.append(mixed ^ (mixed >> 31))
        rows.append(row)
    return np.array(rows, dtype=np.uint64).reshape(len(rows), RNG_WORDS)


@njit(inline="always")
def _rotl(x: np.uint64, k: int) -> np.uint64:
    return (x << np.uint64(k)) | (x >> np.uint64(64 - k))


@njit
def next_uint64(stream):  # type: ignore[no-untyped-def]
    """Advance one lane's ``stream [4] uint64`` in place and return 64 random bits."""
    result = _rotl(stream[0] + stream[3], 23) + stream[0]
    shifted = stream[1] << np.uint64(17)
    stream[2] ^= stream[0]
    stream[3] ^= stream[1]
    stream[1] ^= stream[2]
    stream[0] ^= stream[3]
    stream[2] ^= shifted
    stream[3] = _rotl(stream[3], 45)
    return result


@njit
def uniform(stream, low, high):  # type: ignore[no-untyped-def]
    """Draw a float64 from U[low, high) with 53 random bits."""
    unit = np.float64(next_uint64(stream) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
    return low + (high - low) * unit


@njit
def below(stream, bound):  # type: ignore[no-untyped-def]
    """Draw an int64 from {0, ..., bound - 1}; ``bound`` is below 2^31, and no value is favoured by more than 2^-32."""
    return np.int64(((next_uint64(stream) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))
