"""Random streams that make a step draw what was recorded, so that recorded deliveries replay through ``set_state``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.rng import below

__all__ = ["stream_with_draws", "streams_for"]

_TRIES = 1 << 20


def streams_for(queues: NDArray[Any], num_shelves: int, recorded: Mapping[str, NDArray[Any]]) -> NDArray[np.uint64]:
    """Return one stream a recorded step, under which its deliveries request the recorded new shelves.

    Args:
        queues: ``[T, Q]`` request queues before the steps.
        num_shelves: M.
        recorded: ``delivery_step``, ``delivery_slot`` and ``delivery_new_shelf``, each ``[K]``, in processing order.

    Returns:
        ``[T, 4] uint64`` for the state array ``rng``; steps without a delivery get any stream.
    """
    generator = np.random.default_rng(0)
    streams = generator.integers(1, 2**64, (len(queues), 4), dtype=np.uint64)
    for step in np.unique(recorded["delivery_step"]):
        rows = np.flatnonzero(recorded["delivery_step"] == step)
        queue = queues[step].tolist()
        ranks = []
        for slot, fresh in zip(recorded["delivery_slot"][rows], recorded["delivery_new_shelf"][rows], strict=True):
            ranks.append([shelf for shelf in range(num_shelves) if shelf not in queue].index(fresh))
            queue[slot] = int(fresh)
        streams[step] = stream_with_draws(ranks, num_shelves - len(queue), generator)
    return streams


def stream_with_draws(draws: list[int], bound: int, generator: np.random.Generator) -> NDArray[np.uint64]:
    """Return a stream ``[4] uint64`` whose next draws below ``bound`` are ``draws``.

    The first output is ``rotl(s0 + s3, 23) + s0``, so it can be set outright; the others are found by trying.
    """
    # The middle of the outputs that are scaled down to the first draw.
    wanted = np.uint64((((2 * draws[0] + 1) << 31) // bound) << 32)
    for _ in range(_TRIES):
        stream = generator.integers(1, 2**64, 4, dtype=np.uint64)
        with np.errstate(over="ignore"):
            turned = wanted - stream[0]
            stream[3] = ((turned >> np.uint64(23)) | (turned << np.uint64(41))) - stream[0]
        trial = stream.copy()
        if all(below(trial, bound) == draw for draw in draws):
            return stream
    raise RuntimeError(f"no stream found that draws {draws} below {bound}.")
