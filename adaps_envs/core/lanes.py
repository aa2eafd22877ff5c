"""Compiled bookkeeping of a step: for few lanes a handful of numpy calls would cost more than the game itself."""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit

__all__ = ["any_outside", "close_lanes", "reopen_lanes"]


NO_SIGN = np.int64(2**63 - 1)


@njit(nogil=True, cache=True)
def any_outside(actions, num_actions):  # type: ignore[no-untyped-def]
    """Return whether an entry of ``actions [B, N] int64`` is not in ``{0, ..., num_actions - 1}``."""
    highest = np.int64(num_actions) - 1
    signs = np.int64(0)
    # Of an action out of range one of the two is negative; collecting signs is what compilers make wide.
    for action in actions.reshape(actions.size):
        signs |= action | (highest - (action & NO_SIGN))
    return bool(signs < 0)


@njit(nogil=True, cache=True)
def close_lanes(terminated, truncated, ended):  # type: ignore[no-untyped-def]
    """Write into ``ended [B] bool`` which lanes are over, and return whether any is."""
    any_ended = False
    for b in range(ended.shape[0]):
        ended[b] = terminated[b] | truncated[b]
        any_ended |= ended[b]
    return any_ended


@njit(nogil=True, cache=True)
def reopen_lanes(chosen, ended):  # type: ignore[no-untyped-def]
    """Take the lanes of ``chosen [B] bool`` out of ``ended [B] bool``, and return whether any is left there."""
    any_ended = False
    for b in range(ended.shape[0]):
        ended[b] &= not chosen[b]
        any_ended |= ended[b]
    return any_ended
