"""Training runs again: what it finds that verification cannot, and what it says where bytes cannot be compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_cli
from fabricate import suite_data
from replant import Weights, replant
from tamper import edit_config, edit_json

from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.records.light import write_light_runs
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, read_run, read_weights
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.verify import pack_submission, verify_directory
from baselines.leaderboard.verify.deep import deep_checks

ONE, OTHER = "one/fups_id/seed-0", "one/fups_id/seed-1"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a network of a usual width."""
    out = tmp_path_factory.mktemp("trained") / "runs"
    data = suite_data(schemes=["fups_id"], learner={"num_lanes": 4, "net_arch": [64, 64], "settings": {"n_steps": 5}})
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, out)
    return out


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """Of two seeds, the second is a copy of the first, disguised so that no check of weights or play knows it."""
    runs = shutil.copytree(trained, tmp_path / "copied")
    replant(runs / OTHER, disguised(runs / ONE))
    return runs


def disguised(run: Path) -> Weights:
    """Noise on the half of the neurons that matter least, some on the last layer, neurons in another order."""
    rng, weights = np.random.default_rng(0), read_weights(read_run(run))
    out = {name: array.copy() for name, array in weights.items()}
    for name, array in out.items():
        if array.dtype.kind == "f":
            size = np.sqrt((array.astype(np.float64) ** 2).mean())
            share = 0.5 if name.endswith(".0") or ".0" in name else 0.3
            out[name] = (array + share * size * rng.standard_normal(array.shape)).astype(array.dtype)
    return out


def found(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    code = run_cli("leaderboard", "retrain", *words, "--jobs", "1", "--json")
    return code, json.loads(capsys.readouterr().out)


def test_an_honest_run_is_the_same(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = found(capsys, trained, "--runs", "1", "--seed", "7")
    assert code == 0
    assert (told["seed"], told["drawn_from"]) == (7, 2)
    (run,) = told["runs"]
    assert (run["verdict"], run["same"]) == ("same", list(REPRODUCIBLE_FILES))


def test_a_disguised_copy_passes_deep_and_fails_here(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [str(fault) for fault in verify_directory(copied, deep=deep_checks).all_faults] == []
    code, told = found(capsys, copied, "--run", OTHER)
    assert code == 1
    (run,) = told["runs"]
    assert run["verdict"] == "fault"
    assert {"policy.safetensors", "policy_best.safetensors", "evaluation.npz"} <= set(run["different"])
