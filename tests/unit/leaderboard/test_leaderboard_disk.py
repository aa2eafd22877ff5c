"""A disk that is full or read-only: one clear error, earlier results intact, and the same command goes on later."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import run_cli, suite_text
from fabricate import snapshot

from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import JobOptions
from baselines.leaderboard.records.reader import find_runs, read_run
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.spec.loading import load_suite

PAGE = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    point = tmp_path / "disk"
    point.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", point)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine does not let us mount a small disk")
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True)


def fill(disk: Path, free_pages: int) -> Path:
    """Leave so many pages free; return the file that takes the rest."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as stream:
        stream.write(bytes(max(0, shutil.disk_usage(disk).free - free_pages * PAGE)))
    return ballast


@pytest.fixture
def configs(make_suite: Callable[..., SuiteConfig]) -> list[RunConfig]:
    return make_suite(schemes=["fups"]).runs()


def test_wherever_a_run_meets_the_end_of_the_disk_nothing_is_lost(disk: Path, configs: list[RunConfig]) -> None:
    out = disk / "out"
    first, second = configs[:2]
    eager = JobOptions(checkpoint_seconds=0.0)
    assert execute_job(first, out / first.run_id, lambda steps: None).status == "done"
    earlier = snapshot(out)
    refusals = []
    for pages in range(0, 60, 3):
        ballast = fill(disk, pages)
        try:
            execute_job(second, out / second.run_id, lambda steps: None, eager)
            break
        except OutputDirectoryError as error:
            refusals.append(str(error))
        left = {name: data for name, data in snapshot(out).items() if not name.endswith(".checkpoint")}
        assert left == earlier
        ballast.unlink()
    assert len(refusals) > 3, "the disk was never full"
    for refusal in refusals:
        assert "No space left on device (" in refusal
        assert "bytes are free). Results written before are intact; free space or choose another --out" in refusal
    assert read_run(out / second.run_id).status == "done"
    assert {name: data for name, data in snapshot(out).items() if name in earlier} == earlier


@pytest.mark.parametrize("pages", [0, 6])
def test_a_full_disk_is_one_error_and_the_same_command_goes_on(
    disk: Path, pages: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite_file, out = tmp_path / "tiny.toml", disk / "out"
    suite_file.write_text(suite_text())
    runs = load_suite(suite_file).runs()
    for config in runs[:2]:
        execute_job(config, out / config.run_id, lambda steps: None)
    earlier = snapshot(out / "one")
    ballast = fill(disk, pages)
    words = ("leaderboard", "run", "--suite", suite_file, "--out", out, "--jobs", "1")
    assert run_cli(*words) == 2
    errors = capsys.readouterr().err.strip()
    assert len(errors.splitlines()) == 1
    assert errors.startswith(f"error: cannot write {out}")
    assert "No space left on device" in errors
    assert "run the same command again" in errors
    assert snapshot(out / "one") == earlier
    ballast.unlink()
    assert run_cli(*words) == 0
    assert len(find_runs(out)) == len(runs)
    assert {name: data for name, data in snapshot(out / "one").items() if name in earlier} == earlier


def test_a_report_that_does_not_fit_leaves_the_former_one(disk: Path, runs: Path) -> None:
    out = disk / "runs"
    shutil.copytree(runs, out)
    assert run_cli("leaderboard", "report", out) == 0
    before = snapshot(out)
    fill(disk, 0)
    assert run_cli("leaderboard", "report", out) == 2
    assert snapshot(out) == before


def test_a_read_only_directory_is_one_error_and_stays_readable(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite_file, out = tmp_path / "tiny.toml", disk / "out"
    suite_file.write_text(suite_text())
    config = load_suite(suite_file).runs()[0]
    execute_job(config, out / config.run_id, lambda steps: None)
    earlier = snapshot(out)
    mount("-o", "remount,ro", disk)
    words = ("leaderboard", "run", "--suite", suite_file, "--out", out, "--scheme", "fups", "--seed", "0")
    for command in (words, ("leaderboard", "report", out)):
        assert run_cli(*command) == 2
        errors = capsys.readouterr().err.strip()
        assert len(errors.splitlines()) == 1
        assert errors.startswith(f"error: cannot write {out}")
        assert "Read-only file system" in errors
        assert "mount the disk for writing or choose another --out" in errors
        assert snapshot(out) == earlier
    for reading in ((*words, "--dry-run"), ("leaderboard", "verify", out)):
        assert run_cli(*reading) == 0
    mount("-o", "remount,rw", disk)
    assert run_cli(*words) == 0
    assert {name: data for name, data in snapshot(out).items() if name in earlier} == earlier
