"""A fingerprint of an environment's behaviour: two builds with the same digest play the same game."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import random
from typing import Any

import numpy as np

from adaps_envs.registry import make_batched, spec

__all__ = ["LANE_STEPS", "pinned_digest", "trace_digest"]

_LANES = 4
_STEPS = 200
LANE_STEPS = _LANES * _STEPS
"""Steps of single lanes in the rollout of a digest."""

_SEED = 0


def trace_digest(env_id: str, **params: Any) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of a scripted rollout of ``env_id``.

    It covers starts, observations, rewards, ends and global states over 200 steps of 4 lanes, resets included, with the
    actions of a fixed generator. Any change of a rule, of an observation or of the random streams changes it.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    env = make_batched(env_id, _LANES, seed=_SEED, **params)
    # CPython guarantees the sequence of getrandbits across versions; NumPy does not guarantee that of integers().
    actions = random.Random(_SEED)
    digest = hashlib.sha256(f"{env.num_agents},{env.obs_dim},{env.num_actions},{env.state_dim}".encode())
    _feed(digest, env.reset(), env.global_state())
    for _ in range(_STEPS):
        if env.ended.any():
            _feed(digest, env.reset(mask=env.ended))
        drawn = [actions.getrandbits(32) % env.num_actions for _ in range(_LANES * env.num_agents)]
        _feed(digest, *env.step(np.array(drawn).reshape(_LANES, env.num_agents)), env.global_state())
    return digest.hexdigest()


def pinned_digest(env_id: str) -> str | None:
    """Return the digest that an id had when it was published; None if none is pinned.

    It stands in ``DIGESTS`` of the module ``digests`` beside the family's ``env`` module.

    Raises:
        UnknownNameError: unknown id.
    """
    known = spec(env_id)
    module = known.entry_point.partition(":")[0].rpartition(".")[0] + ".digests"
    if importlib.util.find_spec(module) is None:
        return None
    pinned: str | None = importlib.import_module(module).DIGESTS.get(known.id)
    return pinned


def _feed(digest: Any, *arrays: np.ndarray) -> None:
    for array in arrays:
        # Little-endian bytes, so that the machine's byte order does not count.
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
