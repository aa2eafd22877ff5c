"""The Ray engine: the same records as the local one, workers that may die, and clear words where Ray is not there."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from commands import descendants, running, start_run, suite_text
from rich.console import Console

from baselines.cli import main as cli
from baselines.leaderboard.execution.engine import Died, Event, Finished, Progress, Started
from baselines.leaderboard.execution.plan import Job, JobOptions, make_plan
from baselines.leaderboard.execution.suite_runner import run_suite
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, find_runs, read_run
from baselines.leaderboard.spec.config import SuiteConfig

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (pip install 'adaps[ray]')"
)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray of two CPUs for the whole file; engines use it and leave it running."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = signal.getsignal(signal.SIGTERM)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=140)


def reproducible_bytes(out: Path) -> dict[str, bytes]:
    return {
        f"{directory.relative_to(out)}/{name}": (directory / name).read_bytes()
        for directory in find_runs(out)
        for name in REPRODUCIBLE_FILES
    }


def engine_of(**settings: Any) -> Callable[[int | None], Any]:
    from baselines.leaderboard.execution.ray_engine import RayEngine

    return lambda jobs: RayEngine(jobs, **settings)


def pids_of_task(name: str) -> list[int]:
    """Ray names the process of a task after it."""
    found = subprocess.run(["pgrep", "-f", f"^ray::{re.escape(name)}"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


@needs_ray
def test_local_sharded_and_ray_runs_are_the_same_bytes(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    identity = {"identity": {"env_steps": 400, "encoder": {"updates": 20}}}
    suite = make_suite(scheme_settings={"adaps": identity}, seeds=[0])
    local, sharded, ray = (tmp_path / name for name in ("local", "sharded", "ray"))
    assert run_suite(suite, local, jobs=2, console=quiet()).done == 4
    for share in (1, 2):
        run_suite(suite, sharded, jobs=1, shard=(share, 2), console=quiet())
    assert run_suite(suite, ray, console=quiet(), engine=engine_of()).done == 4
    expected = reproducible_bytes(local)
    assert len(expected) == 4 * len(REPRODUCIBLE_FILES)
    assert reproducible_bytes(sharded) == expected
    assert reproducible_bytes(ray) == expected
    assert all(read_run(directory).costs.wall_seconds > 0 for directory in find_runs(ray))


@needs_ray
def test_a_killed_worker_is_retried_and_its_record_is_the_same(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    label = f"fups-{os.getpid()}"  # the name by which its process is found
    learner = {"num_lanes": 4, "net_arch": [8], "settings": {"n_steps": 25}}
    suite = make_suite(schemes=[{"name": "fups", "label": label}], seeds=[0], tasks=[long_task()], learner=learner)
    # One every rollout: the time between two depends on how busy the disk is, and all but the first may come too late.
    (job,) = make_plan(suite, tmp_path / "ray").to_do(options=JobOptions(checkpoint_seconds=0))
    seen = list(killing(engine_of()(None), job, times=1, at=5_000))
    kinds = [type(event) for event in seen if not isinstance(event, Progress)]
    assert kinds == [Started, Died, Started, Finished]
    assert [event.final for event in seen if isinstance(event, Died)] == [False]
    again = seen[max(place for place, event in enumerate(seen) if isinstance(event, Started)) :]
    assert next(event.steps for event in again if isinstance(event, Progress)) >= 4_900, "it began anew"
    assert run_suite(suite, tmp_path / "local", jobs=1, console=quiet()).done == 1
    assert reproducible_bytes(tmp_path / "ray") == reproducible_bytes(tmp_path / "local")


@needs_ray
def test_a_job_whose_workers_die_becomes_a_failed_row_that_can_be_retried(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    label = f"nops-{os.getpid()}"
    suite = make_suite(schemes=[{"name": "nops", "label": label}], seeds=[0], tasks=[long_task()])
    (job,) = make_plan(suite, tmp_path).jobs

    class Killed:
        def __init__(self, jobs: int | None) -> None:
            self.engine = engine_of()(jobs)

        def run(self, jobs: list[Job]) -> Iterator[Event]:
            return killing(self.engine, jobs[0], times=2)

        def end(self) -> list[int]:
            return self.engine.end()

    summary = run_suite(suite, tmp_path, console=quiet(), engine=Killed)
    assert (summary.done, summary.failed) == (0, 1)
    failure = read_run(job.directory).failure
    assert failure is not None
    assert failure.type == "WorkerDied"
    assert "Ray gave the run up" in failure.message
    again = run_suite(suite, tmp_path, console=quiet(), engine=engine_of(), retry_failed=True)
    assert (again.done, again.failed) == (1, 0)


@needs_ray
def test_failed_runs_and_their_tracebacks_come_back(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    suite = make_suite(schemes=["fups"], seeds=[0], learner={"num_lanes": 4, "settings": {"n_steps": 0}})
    summary = run_suite(suite, tmp_path, console=quiet(), engine=engine_of())
    assert (summary.done, summary.failed) == (0, 2)
    failure = read_run(find_runs(tmp_path)[0]).failure
    assert failure is not None
    assert "Traceback" in failure.traceback


@needs_ray
def test_leaving_early_stops_the_tasks_and_leaves_no_scratch(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    label = f"left-{os.getpid()}"
    suite = make_suite(schemes=[{"name": "fups", "label": label}], seeds=[0], tasks=[long_task(budget=10**9)])
    (job,) = make_plan(suite, tmp_path).jobs
    engine = engine_of()(None)
    assert any(isinstance(event, Progress) and event.steps > 0 for event in engine.run([job]))
    (pid,) = pids_of_task(job.run_id)
    engine.end()
    deadline = time.monotonic() + 30
    while pids_of_task(job.run_id) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert pid not in pids_of_task(job.run_id)
    assert find_runs(tmp_path) == []
    assert not (Path(tempfile.gettempdir()) / engine._scratch).exists()


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nonsense"])
@needs_ray
def test_a_wrong_address_is_one_line(address: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else can come to
        suite = tmp_path / "tiny.toml"
        suite.write_text(suite_text())
        given = address.format(port=taken.getsockname()[1])
        done = start_run(suite, tmp_path / "out", "--engine", "ray", "--address", given)
        _, errors = done.communicate(timeout=120)
    assert done.returncode == 2
    assert f"no Ray cluster answers at {given!r}" in errors
    assert len(errors.strip().splitlines()) == 1


def test_without_ray_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(SystemExit) as stop:
        cli.main(["leaderboard", "run", "--suite", "quick", "--out", str(tmp_path / "out"), "--engine", "ray"])
    assert stop.value.code == 2
    assert "pip install 'adaps[ray]'" in capsys.readouterr().err


def test_an_address_belongs_to_the_ray_engine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["leaderboard", "run", "--out", str(tmp_path / "out"), "--address", "10.0.0.1:6379"])
    assert stop.value.code == 2
    assert "--address 10.0.0.1:6379 belongs to --engine ray" in capsys.readouterr().err


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_continued(tmp_path: Path, how: signal.Signals) -> None:
    suite = tmp_path / "tiny.toml"
    suite.write_text(suite_text(60_000))
    out = tmp_path / "out"
    process = start_run(suite, out, "--engine", "ray", "--jobs", "2")
    assert process.stdout is not None
    for line in iter(process.stdout.readline, ""):
        if line.startswith("done "):
            break
    offspring = descendants(process.pid)
    if how is signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--engine ray" in errors
    assert "Traceback" not in errors
    assert list(out.glob("*/*/*.partial-*")) == []
    assert find_runs(out)
    deadline = time.monotonic() + 30
    while (alive := [pid for pid in offspring if running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive
    process = start_run(suite, out, "--engine", "ray", "--jobs", "2")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(find_runs(out)) == 4


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_ray_starts_is_heard_and_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    suite = tmp_path / "tiny.toml"
    suite.write_text(suite_text(10**8))
    process = start_run(suite, tmp_path / "out", "--engine", "ray", "--jobs", "1")
    while not (offspring := descendants(process.pid)) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert re.fullmatch(r"interrupted: 0 of 4 runs are done\. To go on: adaps .+ --engine ray", errors.strip())
    deadline = time.monotonic() + 30
    while (alive := [pid for pid in offspring if running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive


@needs_ray
@pytest.mark.slow
def test_when_ray_itself_dies_the_runs_stay_open(tmp_path: Path) -> None:
    suite, out = tmp_path / "tiny.toml", tmp_path / "out"
    suite.write_text(suite_text(10**8))
    process = start_run(suite, out, "--engine", "ray", "--jobs", "2")
    while not pids_of_task("one/") and process.poll() is None:
        time.sleep(0.1)
    (raylet,) = [pid for pid in descendants(process.pid) if name_of(pid) == "raylet"]
    os.kill(raylet, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "Finished runs are kept and the other 4 stay open" in errors
    assert find_runs(out) == []


@needs_ray
def test_a_run_that_hangs_is_ended_by_the_timeout(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig], ray_here: None
) -> None:
    suite = make_suite(schemes=["fups"], seeds=[0], tasks=[long_task(budget=10**9)])
    summary = run_suite(suite, tmp_path, console=quiet(), engine=engine_of(), options=JobOptions(timeout=2))
    assert (summary.done, summary.failed) == (0, 1)
    failure = read_run(find_runs(tmp_path)[0]).failure
    assert failure is not None
    assert (failure.type, failure.message) == ("RunTimedOut", "the run had not ended after 2 s (--timeout)")


@needs_ray
@pytest.mark.slow
def test_a_cluster_is_found_by_its_address(tmp_path: Path) -> None:
    """Two nodes on this machine; the driver has no CPU of its own and reaches them by address alone."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        suite = tmp_path / "tiny.toml"
        suite.write_text(suite_text())
        done = start_run(suite, tmp_path / "out", "--engine", "ray", "--address", cluster.address)
        output, errors = done.communicate(timeout=300)
        assert done.returncode == 0, errors
        assert output.count("done    one/") == 4
    finally:
        cluster.shutdown()


def name_of(pid: int) -> str:
    """The name of a process, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def long_task(budget: int = 60_000) -> dict[str, Any]:
    """A task whose run lasts long enough to be met in the middle."""
    return {
        "name": "long",
        "env": "BPS-1-v0",
        "params": {"groups": [2, 2]},
        "budget": budget,
        "eval_points": 3,
        "eval_episodes": 4,
        "absolute_episodes": 5,
        "random_score": -200.0,
        "scripted_score": -100.0,
    }


def killing(engine: Any, job: Job, times: int, at: int = 0) -> Iterator[Event]:
    """Run one job and kill ``times`` worker processes of it, each once it has got beyond ``at`` steps."""
    killed: set[int] = set()
    for event in engine.run([job]):
        if isinstance(event, Progress) and event.steps > at and len(killed) < times:
            # What is killed takes a moment to go, and what it reported comes after it.
            for pid in set(pids_of_task(job.run_id)) - killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
        yield event
