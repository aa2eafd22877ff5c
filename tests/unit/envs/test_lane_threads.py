"""Calls of kernels by one thread or several: every lane once, failures reach the caller, and nothing is left behind."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numba import njit

from adaps_envs import make_batched
from adaps_envs.core.lanes import any_outside
from adaps_envs.core.thread_pool import LaneThreads


class Work(NamedTuple):
    """What a lane is worth and how long it takes."""

    weight: int
    turns: int


@njit(nogil=True)
def count_lanes(start, stop, work, served, by):  # type: ignore[no-untyped-def]
    """Count how often each lane is served, ``served [B] int64``; spinning takes ``turns`` rounds a lane."""
    for lane in range(start, stop):
        served[lane] += work.weight
        for _ in range(work.turns):
            by[lane] = (by[lane] * 31 + 7) % 1009


@pytest.fixture
def threads() -> Iterator[LaneThreads]:
    """Three threads, the caller included."""
    threads = LaneThreads(3)
    yield threads
    threads.close()


@pytest.mark.parametrize("lanes", [1, 2, 3, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("turns", [0, 200])
def test_every_lane_is_served_once(threads: LaneThreads, lanes: int, turns: int) -> None:
    for turn in range(1, 21):
        served = np.full(lanes + 2, turn, np.int64)
        threads.run(count_lanes, 1, lanes + 1, Work(2, turns), served, np.zeros(lanes + 2, np.int64))
        assert (served[1:-1] == turn + 2).all()
        assert served[0] == served[-1] == turn


def test_many_teams_at_once_do_not_mix_up_their_work() -> None:
    teams = [LaneThreads(threads) for threads in (1, 2, 3, 2)]
    for turn in range(30):
        for number, team in enumerate(teams):
            served = np.zeros(50 + number, np.int64)
            team.run(count_lanes, 0, len(served), Work(number + 1, 3), served, served.copy())
            assert (served == number + 1).all(), turn
    for team in teams:
        team.close()


def test_shares_run_on_all_threads() -> None:
    team, seen = LaneThreads(3), {}

    def note(start: int, stop: int, meet: threading.Barrier) -> None:
        meet.wait(timeout=30)
        seen[start, stop] = threading.get_ident()

    team.run(note, 0, 7, threading.Barrier(3))
    assert sorted(seen) == [(0, 2), (2, 4), (4, 7)]
    assert len(set(seen.values())) == 3
    team.close()


@pytest.mark.parametrize("failing", [0, 2, 4])
def test_a_failure_in_any_share_reaches_the_caller_when_all_have_ended(threads: LaneThreads, failing: int) -> None:
    done = []

    def fail(start: int, stop: int, at: int) -> None:
        if start <= at < stop:
            raise ValueError(f"lane {at}")
        done.append(start)

    with pytest.raises(ValueError, match=f"lane {failing}"):
        threads.run(fail, 0, 6, failing)
    assert len(done) == 2


def test_what_a_call_gets_may_die_after_it(threads: LaneThreads) -> None:
    for _ in range(50):
        served = np.zeros(64, np.int64)
        threads.run(count_lanes, 0, 64, Work(1, 0), served, np.zeros(64, np.int64))
    # Workers keep the last call's arguments until the next one at most.
    threads.run(count_lanes, 0, 64, Work(1, 0), np.zeros(64, np.int64), np.zeros(64, np.int64))
    assert sys.getrefcount(served) == 2


def test_a_closed_team_leaves_the_work_to_the_caller(threads: LaneThreads) -> None:
    threads.close()
    served = np.zeros(64, np.int64)
    threads.run(count_lanes, 0, 64, Work(1, 0), served, served.copy())
    assert (served == 1).all()


def test_an_environment_goes_on_in_a_forked_process() -> None:
    """The child has none of its parent's threads; it starts its own."""
    env = make_batched("BPS-1", 64, seed=0, num_threads=2)
    env.reset()
    actions = np.ones((64, env.num_agents), np.int64)
    env.step(actions)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        env.step(actions)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    env.close()


def test_a_process_ends_while_workers_wait() -> None:
    program = """
import numpy as np, adaps_envs
envs = [adaps_envs.make_batched("BPS-1", 256, seed=0, num_threads=2) for _ in range(3)]
for env in envs:
    env.reset()
    env.step(np.zeros((256, env.num_agents), np.int64))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_copies_go_their_own_way(num_threads: int) -> None:
    """Records share the state arrays; a copy has its own, also one made in the middle of an episode."""
    env = make_batched("LBF-8x8-2p-3f", 16, seed=0, num_threads=num_threads)
    env.reset()
    actions = np.ones((16, env.num_agents), np.int64)
    env.step(actions)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    expected = [array.copy() for array in env.step(actions)]
    state = env.get_state()
    for twin in twins:
        for found, wanted in zip(twin.step(actions), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        twin.step(actions)
    for name, array in env.get_state().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("num_threads", [1, 2])
def test_masks_and_actions_may_lie_in_memory_as_they_like(num_threads: int) -> None:
    plain, strided = (make_batched("BPS-1", 6, seed=0, num_threads=num_threads) for _ in range(2))
    actions = np.random.default_rng(0).integers(0, 5, (6, plain.num_agents))
    spread = np.zeros((12, 2 * plain.num_agents), np.int32)
    spread[::2, ::2] = actions
    mask = np.array([True, False, True, True, False, False])
    spread_mask = np.ones(12, bool)
    spread_mask[::2] = mask
    frozen = actions.copy()
    frozen.flags.writeable = False
    for env in (plain, strided):
        env.reset()
    for given in (spread[::2, ::2], np.asfortranarray(actions), frozen, actions.astype(">i4")):
        for found, wanted in zip(strided.step(given), plain.step(actions), strict=True):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(strided.reset(mask=spread_mask[::2]), plain.reset(mask=mask))
    for found, wanted in zip(
        strided.step(spread[::2, ::2], mask=spread_mask[::2]), plain.step(actions, mask=mask), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def _workers() -> int:
    return sum(thread.name.startswith("adaps-lanes") for thread in threading.enumerate())


def _wait_for_workers(count: int) -> None:
    deadline = time.monotonic() + 5.0
    while _workers() > count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _workers() == count


@pytest.mark.parametrize("close", [True, False])
def test_threads_end_with_their_environment(close: bool) -> None:
    _wait_for_workers(0)
    env = make_batched("BPS-1", 64, seed=0, num_threads=3)
    env.reset()
    env.step(np.zeros((64, env.num_agents), np.int64))
    assert _workers() == 2
    if close:
        env.close()
    del env
    gc.collect()
    _wait_for_workers(0)


@pytest.mark.parametrize(
    ("action", "outside"), [(0, False), (4, False), (5, True), (-1, True), (-(2**63), True), (2**63 - 1, True)]
)
def test_one_illegal_action_among_many_is_seen(action: int, outside: bool) -> None:
    actions = np.full((33, 7), 2, np.int64)
    actions[32, 6] = action
    assert any_outside(actions, 5) is outside
