"""TensorBoard and Weights & Biases follow a run; its record does not know."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import run_cli, suite_text

from baselines.leaderboard.execution import loggers
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import JobOptions
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, read_run
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig

Log = list[tuple[str, int, dict[str, float]]]


@pytest.fixture
def config(make_suite: Callable[..., SuiteConfig]) -> RunConfig:
    return make_suite(schemes=["fups"]).runs()[0]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Log:
    """A logger that remembers, in the place of TensorBoard."""
    log: Log = []

    class Remembering:
        def __init__(self, config: RunConfig, logs: Path, first_step: int) -> None:
            log.append(("open", first_step, {}))

        def write(self, step: int, scalars: dict[str, float]) -> None:
            log.append(("write", step, scalars))

        def close(self) -> None:
            log.append(("close", 0, {}))

    monkeypatch.setitem(loggers._KINDS, "tensorboard", loggers._Kind(Remembering, "torch", "TensorBoard"))
    return log


def run(config: RunConfig, out: Path, *names: str, seconds: float = 30.0) -> dict[str, bytes]:
    options = JobOptions(seconds, loggers=names)
    assert execute_job(config, out / config.run_id, lambda steps: None, options).status == "done"
    return {name: (out / config.run_id / name).read_bytes() for name in REPRODUCIBLE_FILES}


@pytest.mark.parametrize("play", ["greedy", "sampled"])
def test_a_logger_sees_every_evaluation_and_no_record_changes(
    tmp_path: Path, config: RunConfig, fake: Log, play: str
) -> None:
    config = config.model_copy(update={"task": config.task.model_copy(update={"scored": play})})
    expected = run(config, tmp_path / "without")
    assert run(config, tmp_path / "with", "tensorboard") == expected
    assert [kind for kind, _, _ in fake] == ["open", "write", "write", "write", "close"]
    points = read_run(tmp_path / "with" / config.run_id).metrics
    assert [step for kind, step, _ in fake if kind == "write"] == [point["step"] for point in points]
    *_, (_, _, last), _ = fake
    assert last["greedy/mean"] == points[-1]["greedy_mean"]
    assert last["score"] == config.task.normalise(points[-1][f"{play}_mean"])
    assert last["train/value_loss"] == points[-1]["learner"]["train/value_loss"]


def test_a_run_that_goes_on_opens_its_loggers_where_it_stands(tmp_path: Path, config: RunConfig, fake: Log) -> None:
    class Killed(BaseException):
        pass

    def stop(steps: int) -> None:
        if steps >= 1_500:
            raise Killed

    options = JobOptions(0.0, loggers=("tensorboard",))
    with pytest.raises(Killed):
        execute_job(config, tmp_path / config.run_id, stop, options)
    assert fake[-1][0] == "close"
    fake.clear()
    run(config, tmp_path, "tensorboard")
    assert [kind for kind, _, _ in fake] == ["open", "write", "close"]
    assert fake[0][1] > 1_400


@pytest.mark.parametrize("method", ["__init__", "write", "close"])
def test_a_logger_that_raises_is_given_up_and_the_run_goes_on(
    tmp_path: Path, config: RunConfig, fake: Log, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(loggers._KINDS["tensorboard"].open, method, broken)
    expected = run(config, tmp_path / "without")
    with pytest.warns(RuntimeWarning, match="logger tensorboard of one/fups/seed-0 is given up: ConnectionError"):
        assert run(config, tmp_path / "with", "tensorboard") == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorboard", "pip install 'adaps[tensorboard]'"),
        ("wandb", "pip install 'adaps[wandb]'"),
        ("tensorbord", "Did you mean 'tensorboard'"),
    ],
)
def test_a_missing_package_or_name_is_one_line(
    tmp_path: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    assert run_cli("leaderboard", "run", "--out", tmp_path / "out", "--logger", name) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_wandb_is_asked_for_one_run_that_keeps_its_identity(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    logged: Log = []

    class Run:
        def log(self, scalars: dict[str, float], step: int) -> None:
            logged.append(("log", step, scalars))

        def finish(self) -> None:
            logged.append(("finish", 0, {}))

    def init(**options: Any) -> Run:
        asked.append(options)
        return Run()

    module = types.ModuleType("wandb")
    module.init, module.Settings = init, dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    expected = run(config, tmp_path / "without")
    assert run(config, tmp_path / "with", "wandb") == expected
    run(config, tmp_path / "elsewhere", "wandb")
    assert [kind for kind, _, _ in logged] == ["log", "log", "log", "finish"] * 2
    assert asked[0]["name"] == config.run_id
    assert asked[0]["project"] == "adaps"
    assert asked[0]["resume"] == "allow"
    assert asked[0]["id"] != asked[1]["id"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_wandb_itself_takes_a_run_offline(tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="Weights & Biases is not installed (pip install 'adaps[wandb]')")
    monkeypatch.setenv("WANDB_MODE", "offline")
    expected = run(config, tmp_path / "without")
    assert run(config, tmp_path / "with", "wandb") == expected
    assert list((tmp_path / "with/logs/wandb").glob("offline-run-*/*.wandb"))


def test_tensorboard_reads_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'adaps[tensorboard]')")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    suite_file, out = tmp_path / "tiny.toml", tmp_path / "out"
    suite_file.write_text(suite_text())
    words = ("leaderboard", "run", "--suite", suite_file, "--out", out, "--jobs", "1", "--scheme", "fups")
    assert run_cli(*words, "--seed", "0", "--logger", "tensorboard") == 0
    events = EventAccumulator(str(out / "logs/tensorboard/one/fups/seed-0"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("greedy/mean")]
    points = read_run(out / "one/fups/seed-0").metrics
    assert found == [(point["step"], pytest.approx(point["greedy_mean"])) for point in points]
    assert run_cli("leaderboard", "verify", out) == 0
