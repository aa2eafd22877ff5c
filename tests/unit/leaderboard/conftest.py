"""Shared fixtures of the leaderboard's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricate import suite_data

from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.spec.config import SuiteConfig


@pytest.fixture
def suite() -> SuiteConfig:
    """Two tasks, two schemes, two seeds."""
    return SuiteConfig.model_validate(suite_data())


@pytest.fixture
def make_suite() -> Callable[..., SuiteConfig]:
    """The same with some keys changed."""
    return lambda **changes: SuiteConfig.model_validate(suite_data(**changes))


@pytest.fixture(scope="session")
def honest_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished suite of real runs, two schemes and two seeds; copy it before you change it."""
    from baselines.leaderboard.execution.job import execute_job

    out = tmp_path_factory.mktemp("honest") / "runs"
    # So few steps are too few to compare agents: one group is asked for.
    identity = {"identity": {"env_steps": 400, "num_groups": 1, "encoder": {"updates": 20}}}
    data = suite_data(scheme_settings={"adaps": identity})
    tiny = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in tiny.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    write_suite_file(tiny, out)
    return out


@pytest.fixture
def runs(honest_runs: Path, tmp_path: Path) -> Path:
    """A copy of the honest runs that a test may tamper with."""
    return shutil.copytree(honest_runs, tmp_path / "runs")
