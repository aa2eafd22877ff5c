"""The tuning ledger: what went into a scheme's settings is declared, bounded alike for all, and kept in the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fabricate import fabricate_run, suite_data
from pydantic import ValidationError

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.plan import ledger, read_suite_file, write_suite_file
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.report import write_report
from baselines.leaderboard.spec.config import SuiteConfig, Tuning
from baselines.leaderboard.spec.loading import load_suite

TUNED = {"name": "adaps", "tuning": {"configurations": 8, "env_steps": 4_000_000}}
BUDGET = {"configurations": 8, "env_steps": 4_000_000}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemes": [TUNED]}, "'adaps' was tuned with configurations = 8; this suite allows every scheme 0"),
        (
            {"schemes": ["fups", TUNED], "tuning_budget": {**BUDGET, "env_steps": 3_999_999}},
            "env_steps = 4,000,000; this suite allows every scheme 3,999,999. Raise tuning_budget.env_steps for all",
        ),
        ({"schemes": [{**TUNED, "tuning": {"configurations": -1}}]}, "schemes.0.tuning.configurations"),
        ({"schemes": [{**TUNED, "tuning": {"trials": 3}}]}, "schemes.0.tuning.trials"),
    ],
)
def test_tuning_beyond_the_common_budget_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SuiteConfig.model_validate(suite_data(**changes))
    assert message in str(caught.value)


def test_a_suite_file_that_tunes_one_scheme_more_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nseeds = [0]\n[[schemes]]\nname = "adaps"\ntuning = { configurations = 9, env_steps = 10 }\n'
        '[[schemes]]\nname = "fups"\n[tuning_budget]\nconfigurations = 8\nenv_steps = 10\n'
        '[[tasks]]\ntask = "BPS-1"\nbudget = 500\n'
    )
    with pytest.raises(ConfigError, match=r"mine\.toml: .*'adaps' was tuned with configurations = 9.*every scheme 8"):
        load_suite(path)


def test_the_ledger_is_in_plan_suite_file_and_record(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(schemes=["fups", TUNED], tuning_budget=BUDGET)
    assert ledger(suite) == [
        "tuning  fups: none",
        "tuning  adaps: 8 configurations, 4,000,000 environment steps",
    ]
    write_suite_file(suite, tmp_path)
    assert read_suite_file(tmp_path) == suite
    by_scheme = {run.scheme.label: run for run in suite.runs()}
    record = read_run(fabricate_run(tmp_path, by_scheme["adaps"], 0.5))
    assert record.config.scheme.tuning == Tuning(configurations=8, env_steps=4_000_000)
    kept = json.loads((record.directory / "config.json").read_text())
    assert kept["config"]["scheme"]["tuning"] == BUDGET


def test_the_ledger_is_on_the_board(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(schemes=["fups", TUNED], tuning_budget=BUDGET)
    for config in suite.runs():
        fabricate_run(tmp_path, config, 0.5)
    board, _ = write_report(tmp_path)
    found = {row.scheme: (row.tuning_configurations, row.tuning_env_steps) for row in board.rows}
    assert found == {"fups": (0, 0), "adaps": (8, 4_000_000)}
    assert "| 8 | 4,000,000 |" in (tmp_path / "board.md").read_text()


def test_what_was_not_tuned_keeps_the_bytes_of_older_records(suite: SuiteConfig) -> None:
    assert "tuning" not in json.dumps([suite.model_dump(mode="json"), suite.runs()[0].model_dump(mode="json")])


def test_tuning_is_part_of_a_run_s_identity(make_suite: Callable[..., SuiteConfig]) -> None:
    plain = make_suite(schemes=["adaps"]).runs()[0]
    tuned = make_suite(schemes=[TUNED], tuning_budget=BUDGET).runs()[0]
    assert plain.digest != tuned.digest
    assert plain.context_digest == tuned.context_digest
