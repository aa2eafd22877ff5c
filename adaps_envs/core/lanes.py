"""Compiled bookkeeping of a step: for few lanes a handful of numpy calls would cost more than the game itself."""

from __future__ import annotations

from numba import njit

__all__ = ["any_outside", "close_lanes"]


@njit(nogil=True, cache=True)
def any_outside(actions, num_actions):  # type: ignore[no-untyped-def]
    """Return whether an entry of ``actions [B, N] int64`` is not in ``{0, ..., num_actions - 1}``."""
    outside = False
    for b in range(actions.shape[0]):
        for i in range(actions.shape[1]):
            outside |= (actions[b, i] < 0) | (actions[b, i] >= num_actions)
    return outside


@njit(nogil=True, cache=True)
def close_lanes(terminated, truncated, ended):  # type: ignore[no-untyped-def]
    """Write into ``ended [B] bool`` which lanes are over, and return whether any is."""
    any_ended = False
    for b in range(ended.shape[0]):
        ended[b] = terminated[b] | truncated[b]
        any_ended |= ended[b]
    return any_ended
