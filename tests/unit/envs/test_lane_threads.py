"""The threads that share a step's lanes: every lane once, errors reach the caller, nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from adaps_envs import make_batched
from adaps_envs.core.lanes import any_outside
from adaps_envs.core.threads import LaneThreads


@pytest.fixture
def threads() -> Iterator[LaneThreads]:
    """Three threads, the caller included."""
    team = LaneThreads(3)
    yield team
    team.close()


@pytest.mark.parametrize("lanes", [1, 15, 16, 17, 100, 1000])
def test_every_lane_is_served_once(threads: LaneThreads, lanes: int) -> None:
    served = np.zeros(lanes, np.int64)

    def count(start: int, stop: int, out: np.ndarray) -> None:
        out[start:stop] += 1

    for turn in range(1, 51):
        threads.run(count, lanes, served)
        assert (served == turn).all()


def test_an_error_reaches_the_caller_when_all_have_ended(threads: LaneThreads) -> None:
    running = []

    def fail(start: int, stop: int) -> None:
        running.append(start)
        time.sleep(0.01)
        running.remove(start)
        if start > 0:
            raise ValueError(f"lanes from {start}")

    for _ in range(5):
        with pytest.raises(ValueError, match="lanes from"):
            threads.run(fail, 900)
        assert not running


def test_a_helper_that_fell_asleep_is_woken(threads: LaneThreads) -> None:
    took: set[str] = set()

    def note(start: int, stop: int) -> None:
        took.add(threading.current_thread().name)
        time.sleep(0.02)

    for _ in range(5):
        time.sleep(0.05)
        assert all(threads._desk.asleep)
        took.clear()
        threads.run(note, 900)
        assert {"MainThread", "adaps-lanes"} <= took


def test_an_environment_goes_on_in_a_forked_process() -> None:
    """The child has no helpers; the caller then does all blocks itself."""
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


def _helpers() -> int:
    return sum(thread.name == "adaps-lanes" for thread in threading.enumerate())


def _wait_for_helpers(count: int) -> None:
    deadline = time.monotonic() + 5.0
    while _helpers() > count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _helpers() == count


@pytest.mark.parametrize("close", [True, False])
def test_threads_end_with_their_environment(close: bool) -> None:
    _wait_for_helpers(0)
    env = make_batched("BPS-1", 64, seed=0, num_threads=3)
    env.reset()
    env.step(np.zeros((64, env.num_agents), np.int64))
    assert _helpers() == 2
    if close:
        env.close()
    del env
    gc.collect()
    _wait_for_helpers(0)


@pytest.mark.parametrize(
    ("action", "outside"), [(0, False), (4, False), (5, True), (-1, True), (-(2**63), True), (2**63 - 1, True)]
)
def test_one_illegal_action_among_many_is_seen(action: int, outside: bool) -> None:
    actions = np.full((33, 7), 2, np.int64)
    actions[32, 6] = action
    assert any_outside(actions, 5) is outside
