"""``adaps train``: what it writes, its options, and that an interrupted training goes on to the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from baselines.cli import train as training
from baselines.cli.main import app
from baselines.cli.train import training_config
from baselines.leaderboard.errors import InterruptedCommandError
from baselines.leaderboard.execution.learner import build_model

SMALL = ["BPS-1", "--scheme", "fups", "--steps", "600", "--lanes", "4", "--net-arch", "8", "-p", "groups=[2,1]"]


def _train(out: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["train", *SMALL, "--out", str(out), *words])


def _said(result: Result) -> str:
    assert result.exception is not None, result.output
    return str(result.exception)


def _interrupt_at(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    def advance(self: Any, spent: int) -> None:
        if spent >= steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Training, "_advance", advance)


def test_it_writes_model_weights_configuration_and_metrics(tmp_path: Path) -> None:
    result = _train(tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["config.json", "metrics.jsonl", "model.zip", "policy.safetensors"]
    assert len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()) == 11


def test_options_reach_the_learner(tmp_path: Path) -> None:
    assert _train(tmp_path / "out", "--algo", "ppo", "--recurrent", "gru_actor").exit_code == 0
    stored = json.loads((tmp_path / "out" / "config.json").read_text())
    assert stored["task"]["params"] == {"groups": [2, 1], "deal_seed": 0}
    learner = stored["learner"]
    assert (learner["algorithm"], learner["num_lanes"], learner["net_arch"]) == ("ppo", 4, [8])
    assert learner["recurrent"] == "gru_actor"
    # Of the suite's settings for A2C the discount is kept; a minibatch is a quarter of 50 steps, 4 lanes, 3 agents.
    assert learner["settings"] == {"gamma": 0.95, "n_steps": 50, "batch_size": 150}


def test_options_reach_the_scheme(tmp_path: Path) -> None:
    words = ("--scheme", "seps", "--setting", "labels=[0,1,0]")
    assert _train(tmp_path / "out", *words).exit_code == 0
    stored = json.loads((tmp_path / "out" / "config.json").read_text())
    assert stored["scheme"]["settings"] == {"labels": [0, 1, 0]}
    assert "does not take ['colour']" in _said(_train(tmp_path / "other", "--setting", "colour=1"))


def test_the_algorithm_of_the_suite_keeps_its_settings() -> None:
    assert training_config("BPS-1", "fups", 100, 0, algorithm="a2c") == training_config("BPS-1", "fups", 100, 0)


def test_torch_has_one_thread() -> None:
    assert build_model(training_config("BPS-1", "fups", 100, 0)).torch_threads == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "colour=1"], "colour"),
        (["--net-arch", "64x64"], "--net-arch is '64x64'; give the widths"),
        (["--net-arch", "0"], "net_arch.0"),
        (["--recurrent", "lstm"], "recurrent"),
        (["--resume"], "holds no interrupted training; leave --resume out"),
        (["--scheme", "seps"], "the identity phase of scheme 'seps' takes at least"),
    ],
)
def test_wrong_options_write_nothing(tmp_path: Path, words: list[str], said: str) -> None:
    assert said in _said(_train(tmp_path / "out", *words))
    assert not (tmp_path / "out").exists()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    assert "is not empty and nothing is overwritten; choose another --out." in _said(_train(tmp_path))


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert _train(whole).exit_code == 0
    with monkeypatch.context() as patch:
        _interrupt_at(patch, 300)
        patch.setattr(training, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        interrupted = _train(cut)
    assert isinstance(interrupted.exception, InterruptedCommandError)
    assert "To go on: the same command with --resume" in str(interrupted.exception)
    assert "or --resume to go on with the training there" in _said(_train(cut))
    assert "task.budget = 600, this command 900" in _said(_train(cut, "--resume", "--steps", "900"))
    goes_on = _train(cut, "--resume")
    assert "goes on from 280 of 600 environment steps" in goes_on.output
    assert "       0 steps" not in goes_on.output
    for name in ("config.json", "metrics.jsonl", "policy.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(path.name for path in cut.iterdir()) == sorted(path.name for path in whole.iterdir())
    assert "has finished; choose another --out for more" in _said(_train(cut, "--resume"))


def test_before_the_first_stopping_point_the_same_command_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Training, "_on_rollout", stop)
        assert "Nothing is stored yet: begin again" in _said(_train(tmp_path / "out"))
    assert "holds no interrupted training" in _said(_train(tmp_path / "out", "--resume"))
    assert _train(tmp_path / "out").exit_code == 0


def test_a_damaged_stopping_point_is_named_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _interrupt_at(patch, 300)
        _train(tmp_path / "out")
    stored = tmp_path / "out" / "training.checkpoint"
    stored.write_bytes(stored.read_bytes()[:-1])
    assert "the stopping point in" in _said(_train(tmp_path / "out", "--resume"))
    assert stored.exists()


@pytest.mark.parametrize(
    ("value", "text"), [(-512.34, "-512.3"), (0.1234, "0.12"), (0.0021, "0.0021"), (0.0, "0"), (9.0, "9")]
)
def test_small_returns_keep_their_digits(value: float, text: str) -> None:
    assert training._rounded(value) == text


def test_tensorboard_gets_learner_and_evaluation(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert _train(tmp_path / "out", "--tensorboard", str(tmp_path / "tb")).exit_code == 0
    (folder,) = (tmp_path / "tb").iterdir()
    assert folder.name == "BPS-1-v0_fups_0_1"
    found = events.EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert {"evaluation/greedy_mean", "train/value_loss"} <= set(found)


def test_phases_are_named(tmp_path: Path) -> None:
    quick = ["train", "BPS-1", "--steps", "10300", "--lanes", "4", "--net-arch", "8", "-p", "groups=[1,1]"]
    result = CliRunner().invoke(app, [*quick, "--out", str(tmp_path / "out")])
    assert "finding groups: the identity phase plays at random" in result.output, result.output
    assert "hidden types (dealt by seed 0): " in result.output
    assert "ARI of the groups and the hidden types: " in result.output
    shown = [line for line in result.output.splitlines() if " steps  return" in line]
    assert len({line.split(" steps")[0] for line in shown}) == len(shown)
