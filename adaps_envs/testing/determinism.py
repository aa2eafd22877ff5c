"""Checks on a batched core: the same seed gives the same bits, whatever stands around it.

Each check takes a factory ``make(num_envs=..., num_threads=...) -> BatchedEnv`` and raises ``ConformanceError``.
"""

from __future__ import annotations

import pickle
from typing import Protocol

import numpy as np

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.testing.rollout import ConformanceError, Trace, assert_same_trace, random_rollout

__all__ = [
    "BatchedFactory",
    "check_lanes_equal_singles",
    "check_pickle",
    "check_reseed_equals_fresh",
    "check_snapshot",
    "check_stream_continues",
    "check_threads",
]

LANES = 5
SEED = 20
# Long enough to pass an episode's end, short enough for a test.
MAX_STEPS = 130


class BatchedFactory(Protocol):
    """Makes the same environment again and again."""

    def __call__(self, num_envs: int, *, num_threads: int = 1) -> BatchedEnv:
        """Return a fresh environment of ``num_envs`` lanes."""


def check_lanes_equal_singles(make: BatchedFactory) -> str:
    """Lane ``b`` of a batch seeded ``s`` equals a single environment seeded ``s + b``, past the episode's end too."""
    batch = _seeded_rollout(make(LANES), SEED)
    for lane in range(LANES):
        single = _seeded_rollout(make(1), SEED + lane, first_action_seed=lane)
        assert_same_trace(batch.lane(lane), single, f"lane {lane} of a batch against a single environment")
    return f"{len(batch.obs)} steps of {LANES} lanes"


def check_threads(make: BatchedFactory) -> str:
    """Two and three threads give the same as one."""
    one = _seeded_rollout(make(LANES), SEED)
    for num_threads in (2, 3):
        env = make(LANES, num_threads=num_threads)
        assert_same_trace(_seeded_rollout(env, SEED), one, f"{num_threads} threads against one")
        env.close()
    return f"{len(one.obs)} steps of {LANES} lanes, by 1 to 3 threads"


def check_reseed_equals_fresh(make: BatchedFactory) -> str:
    """``reset(seed)`` in the middle of an episode equals a fresh environment with that seed."""
    used = make(LANES)
    used.reset(seed=999)
    random_rollout(used, 7, action_seeds=range(100, 100 + LANES))
    assert_same_trace(_seeded_rollout(used, SEED), _seeded_rollout(make(LANES), SEED), "reseeded against fresh")
    return f"{_steps(used)} steps of {LANES} lanes"


def check_stream_continues(make: BatchedFactory) -> str:
    """``reset()`` without a seed continues the random stream: the next start differs, and it does so repeatably."""
    starts = []
    for _ in range(2):
        env = make(1)
        first = env.reset(seed=SEED)
        starts.append((first, env.reset(), env.reset()))
    if any((left != right).any() for left, right in zip(*starts, strict=True)):
        raise ConformanceError("reset() without a seed: two environments with the same past start differently.")
    if (starts[0][0] == starts[0][1]).all() or (starts[0][1] == starts[0][2]).all():
        raise ConformanceError("reset() without a seed starts the same episode again; it must continue the stream.")
    return "1 seed, 3 resets"


def check_snapshot(make: BatchedFactory) -> str:
    """``set_state(get_state())`` into another environment goes on exactly, random streams included."""
    origin, target = make(LANES), make(LANES)
    origin.reset(seed=SEED)
    random_rollout(origin, 7, action_seeds=range(LANES))
    snapshot = origin.get_state()
    target.reset(seed=999)
    target.set_state(snapshot)
    _same_future(origin, target, "restored snapshot against the original")
    return f"{_steps(origin)} steps of {LANES} lanes"


def check_pickle(make: BatchedFactory) -> str:
    """A pickled environment goes on exactly where it was."""
    origin = make(LANES)
    origin.reset(seed=SEED)
    random_rollout(origin, 7, action_seeds=range(LANES))
    _same_future(origin, pickle.loads(pickle.dumps(origin)), "pickled environment against the original")
    return f"{_steps(origin)} steps of {LANES} lanes"


def _steps(env: BatchedEnv) -> int:
    return min(MAX_STEPS, env.max_cycles + 10)


def _seeded_rollout(env: BatchedEnv, seed: int, first_action_seed: int = 0) -> Trace:
    env.reset(seed=seed)
    seeds = range(first_action_seed, first_action_seed + env.num_envs)
    return random_rollout(env, _steps(env), action_seeds=seeds)


def _same_future(origin: BatchedEnv, other: BatchedEnv, what: str) -> None:
    if not np.array_equal(origin.observe(), other.observe()):
        raise ConformanceError(f"{what}: the observations differ at once.")
    seeds = range(50, 50 + origin.num_envs)
    steps = _steps(origin)
    ours, theirs = (random_rollout(env, steps, action_seeds=seeds) for env in (origin, other))
    assert_same_trace(theirs, ours, what)
