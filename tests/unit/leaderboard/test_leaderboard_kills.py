"""A suite whose whole process group is killed again and again ends in the records of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import suite_text

from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, find_runs, read_run
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.spec.loading import load_suite
from baselines.leaderboard.verify import verify_directory


def records(out: Path) -> dict[str, bytes]:
    """Every reproducible byte of the finished runs, by path."""
    return {
        f"{directory.relative_to(out)}/{name}": (directory / name).read_bytes()
        for directory in find_runs(out)
        for name in REPRODUCIBLE_FILES
    }


def start(suite_file: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "baselines", "leaderboard", "run", "--suite", str(suite_file)]
    command += ["--out", str(out), "--jobs", "2", "--checkpoint-seconds", "0.1"]
    log = (out.parent / "log").open("ab")
    with log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Kill the whole group after a while; return the exit code if the process ended by itself before."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def wait_for_work(process: subprocess.Popen[bytes], out: Path) -> None:
    """Return when a run has stored a stopping point, or the process has ended."""
    while not list(out.glob("*/*/*.checkpoint")) and process.poll() is None:
        time.sleep(0.02)


def assert_complete(out: Path, suite: SuiteConfig, expected: dict[str, bytes]) -> None:
    assert records(out) == expected
    assert [str(path.relative_to(out)) for path in find_runs(out)] == sorted(run.run_id for run in suite.runs())
    beside = [path for path in out.glob("*/*/*") if path not in find_runs(out) and path.parts[-3] != "site"]
    assert beside == [], "something is left behind"
    assert verify_directory(out, complete=True).verified


@pytest.mark.parametrize(
    ("kills", "schemes", "seeds", "budget"),
    [
        (3, ("adaps", "nops"), (0,), 30_000),
        pytest.param(50, ("fups", "nops", "adaps", "snp_ps"), (0, 1, 2), 60_000, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments_a_suite_ends_in_the_undisturbed_records(
    tmp_path: Path, kills: int, schemes: tuple[str, ...], seeds: tuple[int, ...], budget: int
) -> None:
    suite_file, out = tmp_path / "kills.toml", tmp_path / "out"
    suite_file.write_text(suite_text(budget, name="kills", schemes=schemes, seeds=seeds, eval_points=5))
    suite = load_suite(suite_file)
    for config in suite.runs():
        assert execute_job(config, tmp_path / "undisturbed" / config.run_id, lambda steps: None).status == "done"
    expected = records(tmp_path / "undisturbed")
    moments = np.random.default_rng(0)
    finished: dict[Path, int] = {}
    done, suites = 0, 0
    while done < kills:
        process = start(suite_file, out)
        if moments.random() < 0.5 or kills < 10:
            wait_for_work(process, out)
            code = kill_after(process, moments.uniform(0.0, 3.0 if kills >= 10 else 0.5))
        else:
            code = kill_after(process, moments.uniform(0.0, 12.0))
        done += code is None
        times = {path: path.stat().st_mtime_ns for path in find_runs(out)}
        assert {path: times.get(path) for path in finished} == finished, "a finished run was lost or made again"
        assert all(read_run(path).status == "done" for path in times), "half a record has the name of a whole one"
        finished = times
        if code is not None:
            assert code == 0, (tmp_path / "log").read_text()
            assert_complete(out, suite, expected)
            shutil.rmtree(out)
            finished, suites = {}, suites + 1
    assert start(suite_file, out).wait() == 0, (tmp_path / "log").read_text()
    assert_complete(out, suite, expected)
    print(f"{done} kills, {suites + 1} whole suites")  # noqa: T201
