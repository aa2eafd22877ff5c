"""Evaluation protocol 2: types dealt by the run's seed, scores by greedy or sampled play, ranks from five runs on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import fabricate_run, suite_data
from sklearn.metrics import adjusted_rand_score
from tamper import arrays_of, write_arrays

import adaps_envs
from baselines.leaderboard.errors import ConfigError, ConfigMismatchError
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.execution.suite_check import check_suite
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.report import collect_board, write_report
from baselines.leaderboard.spec.config import PROTOCOL, LearnerConfig, RunConfig, SchemeConfig, SuiteConfig, TaskConfig
from baselines.leaderboard.spec.loading import builtin_tasks
from baselines.leaderboard.verify import pack_submission, verify_directory
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.submissions import add_submission

SEEDS = range(60)


def run_of(task: str, seed: int, protocol: str = PROTOCOL) -> RunConfig:
    fields = builtin_tasks()[task] if protocol != "1" else {**builtin_tasks()[task], "scored": "greedy"}
    chosen = TaskConfig(name=task, budget=1000, eval_points=3, **fields)
    scheme = SchemeConfig(name="fups")
    return RunConfig(protocol=protocol, task=chosen, learner=LearnerConfig(), scheme=scheme, seed=seed)


def types_of(config: RunConfig) -> list[int]:
    return adaps_envs.make_batched(config.task.env, 1, **environment_params(config)).agent_types.tolist()


def blocks(types: list[int]) -> list[int]:
    """The cheat: equal blocks of agents, as many as there are types."""
    count = len(set(types))
    return [agent * count // len(types) for agent in range(len(types))]


@pytest.mark.parametrize("task", sorted(builtin_tasks()))
def test_no_partition_by_index_finds_the_types(task: str) -> None:
    """On average over seeds, equal blocks and the index modulo K agree with the types no more than chance."""
    dealt = [types_of(run_of(task, seed)) for seed in SEEDS]
    if len(set(dealt[0])) in (1, len(dealt[0])):
        pytest.skip("with one type, or a type for every agent, there is nothing to find")
    guesses = {
        "blocks": [adjusted_rand_score(types, blocks(types)) for types in dealt],
        "modulo": [adjusted_rand_score(t, [i % len(set(t)) for i in range(len(t))]) for t in dealt],
    }
    for found in guesses.values():
        assert abs(np.mean(found)) <= 4 * np.std(found) / np.sqrt(len(found)) + 1e-9
    left = types_of(run_of(task, 0, "1"))
    modulo = [agent % len(set(left)) for agent in range(len(left))]
    assert max(adjusted_rand_score(left, blocks(left)), adjusted_rand_score(left, modulo)) > 0.3


def test_a_task_does_not_set_the_deal_itself() -> None:
    with pytest.raises(ValueError, match="params may not hold deal_seed"):
        TaskConfig(name="x", env="BPS-1-v0", budget=100, eval_points=3, params={"deal_seed": 1})


def test_families_of_one_type_need_no_deal() -> None:
    task = TaskConfig(name="x", env="RWARE-tiny-4a-v0", budget=100, eval_points=3)
    config = RunConfig(task=task, learner=LearnerConfig(), scheme=SchemeConfig(name="fups"), seed=3)
    assert environment_params(config) == {}


def test_an_environment_that_cannot_deal_its_types_is_refused(
    honest_runs: Path, make_suite: Callable[..., SuiteConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = make_suite()
    known = type(adaps_envs.spec("BPS-1")).parameters.fget
    monkeypatch.setattr(
        type(adaps_envs.spec("BPS-1")),
        "parameters",
        property(lambda self: tuple(name for name in known(self) if name != "deal_seed")),
    )
    with pytest.raises(ConfigError, match="several hidden types and no parameter 'deal_seed'"):
        check_suite(suite)
    faults = [str(fault) for fault in verify_directory(honest_runs / "one/fups_id/seed-0").all_faults]
    assert any("several hidden types and no parameter 'deal_seed'" in fault for fault in faults), faults


def test_suites_of_another_protocol_are_not_run(make_suite: Callable[..., SuiteConfig]) -> None:
    with pytest.raises(ConfigError, match=f"protocol 1; runs are made by protocol {PROTOCOL}"):
        check_suite(make_suite(protocol="1"))


def small_suite(**changes: Any) -> SuiteConfig:
    data = suite_data(schemes=["fups_id"], seeds=[0], **changes)
    return SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})


def test_runs_of_protocol_1_are_verified_and_stand_in_the_archive(tmp_path: Path) -> None:
    suite = small_suite(protocol="1")
    for config in suite.runs():
        assert execute_job(config, tmp_path / config.run_id, lambda steps: None).status == "done"
        assert read_run(tmp_path / config.run_id).sharing.agent_types == sorted(types_of(config))  # type: ignore[union-attr]
    write_suite_file(suite, tmp_path)
    assert verify_directory(tmp_path, complete=True, deep=deep_checks).all_faults == []
    board = collect_board(tmp_path)
    assert board.rows == []
    assert [(run.protocol, run.note) for run in board.archived] == [("1", "")]
    assert board.archived[0].score is not None
    pack_submission(tmp_path, tmp_path / "old.zip")
    with pytest.raises(
        ConfigMismatchError, match="a run of protocol 1, which no board of protocol 2 has on its tables"
    ):
        add_submission(tmp_path / "old.zip", tmp_path / "board", deep=deep_checks)


@pytest.fixture(scope="module")
def sampled_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sampled") / "runs"
    data = suite_data(schemes=["fups_id"], seeds=[0])
    suite = SuiteConfig.model_validate({**data, "tasks": [{**data["tasks"][0], "scored": "sampled"}]})
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, out)
    return out


def test_a_task_scored_by_sampled_play_is_verified_by_sampled_actions(sampled_runs: Path) -> None:
    assert verify_directory(sampled_runs, complete=True, deep=deep_checks).all_faults == []
    record = read_run(next(sampled_runs.glob("*/*/seed-0")))
    task, evaluation = record.config.task, record.evaluation
    assert evaluation is not None
    assert (evaluation.scored(task) == evaluation.sampled).all()
    assert int(evaluation.best_point) == int(evaluation.sampled.mean(axis=1).argmax())
    board = collect_board(sampled_runs)
    assert board.rows[0].iqm == pytest.approx(task.normalise(evaluation.sampled[-1].mean()))
    assert board.rows[0].greedy_iqm == pytest.approx(task.normalise(evaluation.greedy[-1].mean()))
    assert board.rows[0].scored == "sampled"


def test_a_higher_sampled_return_is_a_fault(sampled_runs: Path, tmp_path: Path) -> None:
    import shutil

    runs = shutil.copytree(sampled_runs, tmp_path / "runs")
    run = next(runs.glob("*/*/seed-0"))
    arrays = arrays_of(run, "evaluation.npz")
    arrays["sampled"][-1] += 1.0
    write_arrays(run, "evaluation.npz", arrays)
    faults = [str(fault) for fault in verify_directory(runs).all_faults]
    assert any("sampled[" in fault and "replaying" in fault for fault in faults), faults


def test_actions_that_noise_did_not_choose_are_a_fault(sampled_runs: Path, tmp_path: Path) -> None:
    import shutil

    runs = shutil.copytree(sampled_runs, tmp_path / "runs")
    run = next(runs.glob("*/*/seed-0"))
    record = read_run(run)
    config = record.config.model_copy(update={"task": record.config.task.model_copy(update={"scored": "greedy"})})
    faults = deep_checks(type(record)(**{**vars(record), "config": config})).faults  # type: ignore[arg-type]
    assert any("decisions differ" in fault.message for fault in faults)


@pytest.mark.parametrize(("seeds", "ranked"), [(4, False), (5, True)])
def test_rows_have_ranks_from_five_runs_on(tmp_path: Path, seeds: int, ranked: bool) -> None:
    data = suite_data(seeds=list(range(seeds)))
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in suite.runs():
        fabricate_run(tmp_path, config, 0.5 + 0.1 * (config.scheme.label == "adaps") + 0.001 * config.seed, 0)
    write_suite_file(suite, tmp_path)
    board, page = write_report(tmp_path)
    assert [row.rank for row in board.rows] == ([1, 2] if ranked else [None, None])
    assert "rows of fewer than 5 runs have none" in " ".join((page.parent / "index.html").read_text().split())
