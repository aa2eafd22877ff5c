"""Compiled bookkeeping of a step: for few lanes a handful of numpy calls would cost more than the game itself."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["any_outside", "close_lanes"]


@njit(nogil=True, cache=True)
def any_outside(actions, num_actions):  # type: ignore[no-untyped-def]
    """Return whether an entry of ``actions [B, N] int64`` is not in ``{0, ..., num_actions - 1}``."""
    bound = np.uint64(num_actions)
    outside = np.int64(0)
    # Seen as unsigned, a negative action is out of range as well; a plain sum is what compilers make wide.
    for action in actions.reshape(actions.size):
        outside += np.uint64(action) >= bound
    return bool(outside)


@njit(nogil=True, cache=True)
def close_lanes(terminated, truncated, ended):  # type: ignore[no-untyped-def]
    """Write into ``ended [B] bool`` which lanes are over, and return whether any is."""
    any_ended = False
    for b in range(ended.shape[0]):
        ended[b] = terminated[b] | truncated[b]
        any_ended |= ended[b]
    return any_ended
