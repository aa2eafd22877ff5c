"""marl-eval's own code reads what ``adaps leaderboard export`` writes. It skips where marl-eval is not installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fabricate import fabricate_run

from baselines.cli import main as cli
from baselines.leaderboard.spec.config import SuiteConfig


@pytest.fixture
def exported(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> dict:  # type: ignore[type-arg]
    """Two tasks, two schemes, four seeds with different scores, through the command line and a file.

    One run is missing, and one scheme has not met the second task: there is still something that can be compared.
    """
    suite = make_suite(seeds=[0, 1, 2, 3], schemes=["fups_id", "adaps", "nops"])
    for place, config in enumerate(suite.runs()):
        if config.run_id == "two/adaps/seed-3" or config.run_id.startswith("two/nops"):
            continue
        fabricate_run(tmp_path / "runs", config, 0.2 + 0.02 * place)
    with pytest.raises(SystemExit) as stop:
        cli.main(["leaderboard", "export", str(tmp_path / "runs"), "--out", str(tmp_path / "export.json")])
    assert not stop.value.code
    loaded: dict = json.loads((tmp_path / "export.json").read_text())  # type: ignore[type-arg]
    return loaded


def test_schemes_and_seeds_are_those_of_every_task(exported: dict) -> None:  # type: ignore[type-arg]
    for of_task in exported["adaps"].values():
        assert {scheme: list(runs) for scheme, runs in of_task.items()} == {
            scheme: ["seed_0", "seed_1", "seed_2"] for scheme in ("adaps", "fups_id")
        }


def test_its_diagnosis_finds_no_fault(exported: dict) -> None:  # type: ignore[type-arg]
    diagnose = pytest.importorskip("marl_eval.utils.diagnose_data_errors", reason="pip install id-marl-eval")
    assert all(diagnose.DiagnoseData(exported).check_data()["adaps"].values())


@pytest.mark.parametrize("normalised", [[], ["return"]])
def test_its_matrices_hold_our_numbers(exported: dict, normalised: list[str]) -> None:  # type: ignore[type-arg]
    processing = pytest.importorskip("marl_eval.utils.data_processing_utils", reason="pip install id-marl-eval")
    processed = processing.data_process_pipeline(exported, normalised)
    absolute, curves = processing.create_matrices_for_rliable(processed, "adaps", normalised)
    runs = exported["adaps"]
    for scheme in ("adaps", "fups_id"):
        expected = np.array(
            [
                [np.mean(runs[task][scheme][f"seed_{seed}"]["absolute_metrics"]["score"]) for task in ("one", "two")]
                for seed in range(3)
            ]
        )
        assert np.abs(absolute["mean_score"][scheme] - expected).max() < 1e-12
        assert curves["mean_score"][scheme].shape == (3, 2, 3)
    assert set(absolute) == {"mean_score", "mean_norm_return" if normalised else "mean_return"}
