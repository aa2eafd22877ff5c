from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricate import fabricate_failure, fabricate_run, snapshot

from baselines.leaderboard.errors import (
    ConfigMismatchError,
    DamagedRecordError,
    DirectoryLockedError,
    OutputDirectoryError,
)
from baselines.leaderboard.execution.plan import JobState, make_plan, read_suite_file, write_suite_file
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.spec.config import SuiteConfig


def test_states_come_from_the_disk(tmp_path: Path, suite: SuiteConfig) -> None:
    runs = suite.runs()
    fabricate_run(tmp_path, runs[0], 0.5)
    fabricate_failure(tmp_path, runs[1])
    plan = make_plan(suite, tmp_path)
    assert [job.state for job in plan.jobs[:3]] == [JobState.DONE, JobState.FAILED, JobState.OPEN]
    assert [job.run_id for job in plan.to_do()] == [run.run_id for run in runs[2:]]
    assert [job.run_id for job in plan.to_do(retry_failed=True)] == [run.run_id for run in runs[1:]]
    assert plan.jobs[0].directory == tmp_path / "one" / "fups_id" / "seed-0"


def test_another_configuration_is_an_error_and_stays(
    tmp_path: Path, suite: SuiteConfig, make_suite: Callable[..., SuiteConfig]
) -> None:
    fabricate_run(tmp_path, suite.runs()[0], 0.5)
    before = snapshot(tmp_path)
    other = make_suite(learner={"num_lanes": 8, "net_arch": [8], "settings": {"n_steps": 5}})
    with pytest.raises(ConfigMismatchError, match=r"learner\.num_lanes: 4 there, 8 asked for"):
        make_plan(other, tmp_path)
    assert snapshot(tmp_path) == before


def test_a_damaged_run_stops_the_plan(tmp_path: Path, suite: SuiteConfig) -> None:
    directory = fabricate_run(tmp_path, suite.runs()[0], 0.5)
    (directory / "evaluation.npz").write_bytes(b"")
    with pytest.raises(DamagedRecordError, match=r"evaluation\.npz"):
        make_plan(suite, tmp_path)


def test_suite_file_round_trip(tmp_path: Path, suite: SuiteConfig) -> None:
    assert read_suite_file(tmp_path) is None
    write_suite_file(suite, tmp_path)
    assert read_suite_file(tmp_path) == suite


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 1, "suite": {"name": "x"}}', '{"schema": 9}', "[]"])
def test_a_damaged_suite_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(DamagedRecordError, match=r"suite\.json"):
        read_suite_file(tmp_path)


def test_lock_names_its_holder_and_is_given_back(tmp_path: Path) -> None:
    second = directory_lock(tmp_path)
    with directory_lock(tmp_path), pytest.raises(DirectoryLockedError, match=f"in use by process {os.getpid()} on"):
        second.__enter__()
    with directory_lock(tmp_path):
        pass


def _hold_and_die(path: str) -> None:
    with directory_lock(Path(path)):
        os._exit(9)


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert (tmp_path / ".lock").exists()
    with directory_lock(tmp_path):
        pass


def test_an_unwritable_place_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OutputDirectoryError), directory_lock(tmp_path / "absent"):
        pass


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("torch", "numba", "scipy", "matplotlib", "pydantic")
    code = f"import sys, baselines.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
