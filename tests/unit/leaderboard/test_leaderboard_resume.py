"""Runs that go on where they were interrupted, to the bytes of an undisturbed run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import snapshot

from adaps_agents.schemes import group_source as labels
from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import JobOptions
from baselines.leaderboard.records import checkpoints as checkpoint
from baselines.leaderboard.records import writer
from baselines.leaderboard.records.checkpoints import Checkpoint, Checkpoints, checkpoint_path
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, read_run
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.verify import verify_directory

EAGER = JobOptions(checkpoint_seconds=0.0)
IDENTITY = {"identity": {"env_steps": 400, "encoder": {"updates": 20}}}
PPO = {"algorithm": "ppo", "settings": {"n_steps": 10, "n_epochs": 2, "batch_size": 80}}


class Killed(BaseException):
    """Ends a job in the middle, as nothing that a job may catch would."""


@pytest.fixture
def config_of(make_suite: Callable[..., SuiteConfig]) -> Callable[..., RunConfig]:
    def build(scheme: str = "fups", **learner: Any) -> RunConfig:
        settings = {scheme: IDENTITY} if scheme in ("adaps", "seps") else {}
        base = {"num_lanes": 4, "net_arch": [8], "settings": {"n_steps": 5}}
        suite = make_suite(schemes=[scheme], seeds=[0], scheme_settings=settings, learner={**base, **learner})
        return suite.runs()[0]

    return build


def interrupt(config: RunConfig, out: Path, step: int, options: JobOptions = EAGER) -> list[int]:
    """Run until ``step`` environment steps are spent, and no further; return the steps that were reported."""
    seen: list[int] = []

    def stop(progress: int | str) -> None:
        if isinstance(progress, str):
            return  # the name of a phase
        seen.append(progress)
        if progress >= step:
            raise Killed

    with pytest.raises(Killed):
        execute_job(config, out / config.run_id, stop, options)
    return seen


def finish(config: RunConfig, out: Path, options: JobOptions = EAGER) -> list[int]:
    seen: list[int] = []

    def tell(progress: int | str) -> None:
        if not isinstance(progress, str):
            seen.append(progress)

    outcome = execute_job(config, out / config.run_id, tell, options)
    assert outcome.status == "done", outcome.error
    return seen


def reproducible(config: RunConfig, out: Path) -> dict[str, bytes]:
    directory = out / config.run_id
    return {name: (directory / name).read_bytes() for name in REPRODUCIBLE_FILES}


def undisturbed(config: RunConfig, out: Path) -> dict[str, bytes]:
    finish(config, out / "undisturbed", JobOptions())
    return reproducible(config, out / "undisturbed")


@pytest.mark.parametrize("learner", [{}, PPO], ids=["a2c", "ppo"])
@pytest.mark.parametrize("scheme", ["adaps", "lorasa"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    tmp_path: Path, config_of: Callable[..., RunConfig], scheme: str, learner: dict[str, Any]
) -> None:
    config = config_of(scheme, **learner)
    expected = undisturbed(config, tmp_path)
    for step in (700, 1_000, 1_900):
        interrupt(config, tmp_path, step)
    first, *_ = finish(config, tmp_path)
    assert 1_800 < first < 1_900, "the run did not go on where it was interrupted"
    assert reproducible(config, tmp_path) == expected
    assert list((tmp_path / config.run_id).parent.glob("*.*")) == [], "something of the interruptions is left"


def test_the_identity_phase_is_not_repeated(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("adaps")
    expected = undisturbed(config, tmp_path)
    interrupt(config, tmp_path, 1_000)
    monkeypatch.setattr(labels, "identify", None)
    finish(config, tmp_path)
    assert reproducible(config, tmp_path) == expected


def test_a_run_may_go_on_from_its_very_first_stop(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of()
    expected = undisturbed(config, tmp_path)
    interrupt(config, tmp_path, 1)
    finish(config, tmp_path)
    assert reproducible(config, tmp_path) == expected


def test_costs_add_up_and_points_are_not_doubled(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of()
    interrupt(config, tmp_path, 1_500)
    stored = Checkpoints(config, tmp_path / config.run_id, tmp_path, 0.0).load()
    assert stored is not None
    costs = stored.values["costs"]
    assert [point["point"] for point in stored.values["points"]] == [0, 1]
    finish(config, tmp_path)
    record = read_run(tmp_path / config.run_id)
    assert [point["point"] for point in record.metrics] == [0, 1, 2]
    assert record.costs.started_at == costs["started_at"]
    assert record.costs.wall_seconds is not None
    assert record.costs.wall_seconds > costs["wall_seconds"] > 0
    assert record.costs.evaluation_seconds is not None
    assert record.costs.evaluation_seconds > costs["evaluation_seconds"] > 0


def test_short_runs_do_not_pay(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoints, "save", None)
    finish(config_of(), tmp_path, JobOptions())


def test_large_checkpoints_are_written_less_often(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 3.0
        return now[0]

    points = Checkpoints(config_of(), tmp_path / "seed-0", tmp_path, 30.0, clock)
    points.save(Checkpoint({}, {}))
    ended = now[0]
    now[0] = ended + 140.0
    assert not points.due(), "writing takes 3 s of less than 150 s"
    now[0] = ended + 150.0
    assert points.due()


def damage(data: bytes, kind: str) -> bytes:
    middle = len(data) // 2
    return {
        "empty": b"",
        "cut": data[:middle],
        "noise": os.urandom(len(data)),
        "header": b"\xff" * 8 + data[8:],
        "bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "last": data[:-1] + bytes([data[-1] ^ 0x80]),
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "cut", "noise", "header", "bit", "last"])
def test_a_damaged_stop_is_dropped_and_the_run_begins_anew(
    tmp_path: Path, config_of: Callable[..., RunConfig], kind: str
) -> None:
    config = config_of()
    expected = undisturbed(config, tmp_path)
    interrupt(config, tmp_path, 1_000)
    path = checkpoint_path(tmp_path / config.run_id)
    path.write_bytes(damage(path.read_bytes(), kind))
    first, *_ = finish(config, tmp_path)
    assert first == 0
    assert reproducible(config, tmp_path) == expected


def test_a_stop_that_does_not_fit_is_dropped(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    """Sound bytes, but not of this learner."""
    config = config_of()
    expected = undisturbed(config, tmp_path)
    interrupt(config, tmp_path, 1_000)
    points = Checkpoints(config, tmp_path / config.run_id, tmp_path, 0.0)
    stored = points.load()
    assert stored is not None
    for arrays in (
        {name: array for name, array in stored.arrays.items() if name != "evaluation/greedy"},
        {**stored.arrays, "learner/environment/rng": np.zeros(3, np.uint64)},
    ):
        points.save(Checkpoint(arrays, stored.values))
        assert finish(config, tmp_path)[-1] >= config.task.budget
        assert reproducible(config, tmp_path) == expected
        for path in (tmp_path / config.run_id).iterdir():
            path.unlink()
        (tmp_path / config.run_id).rmdir()


def test_only_the_same_run_program_and_machine_go_on(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of()
    stop = Checkpoint({"a": np.array(3.5)}, {"points": []})

    def points(of: RunConfig = config) -> Checkpoints:
        return Checkpoints(of, tmp_path / "seed-0", tmp_path, 0.0)

    points().save(stop)
    found = points().load()
    assert found is not None
    assert found.arrays["a"] == 3.5

    assert points(config.model_copy(update={"seed": 1})).load() is None
    assert points().load() is None, "what cannot be used is thrown away"

    here = provenance_of(config)
    for name, other in (
        ("_program_digest", lambda: "other"),
        ("provenance_of", lambda config: here.model_copy(update={"processor": "other"})),
    ):
        points().save(stop)
        monkeypatch.setattr(checkpoint, name, other)
        assert points().load() is None
        monkeypatch.undo()


def test_a_stop_survives_a_full_disk(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of()
    expected = undisturbed(config, tmp_path)
    interrupt(config, tmp_path, 1_000)
    before = checkpoint_path(tmp_path / config.run_id).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_file", full)
    with pytest.raises(OSError, match="No space left"):
        Checkpoints(config, tmp_path / config.run_id, tmp_path, 0.0).save(Checkpoint({}, {}))
    monkeypatch.undo()
    monkeypatch.setattr(writer, "write_file", full)
    with pytest.raises(OSError, match="No space left"):
        execute_job(config, tmp_path / config.run_id, lambda steps: None)
    monkeypatch.undo()
    assert checkpoint_path(tmp_path / config.run_id).read_bytes() == before
    finish(config, tmp_path)
    assert reproducible(config, tmp_path) == expected


def test_an_unfinished_run_is_a_note_of_verify(tmp_path: Path, runs: Path) -> None:
    before = snapshot(runs)
    (runs / "one/adaps/seed-7.checkpoint").write_bytes(b"")
    verdict = verify_directory(runs)
    assert verdict.verified
    assert any("seed-7.checkpoint is not finished" in note for note in verdict.notes)
    assert {**before, "one/adaps/seed-7.checkpoint": b""} == snapshot(runs)


def test_the_disk_refuses_with_a_way_out(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    points = Checkpoints(config_of(), tmp_path / "seed-0", tmp_path / "absent", 0.0)
    with pytest.raises(OutputDirectoryError, match="run the same command again"):
        points.save(Checkpoint({}, {}))
