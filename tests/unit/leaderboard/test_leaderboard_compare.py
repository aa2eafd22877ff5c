"""Pairwise comparison, shards and the marl-eval export."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import fabricate_failure, fabricate_run
from rich.console import Console

from adaps_envs import UnknownNameError
from baselines.cli import main as cli
from baselines.leaderboard.errors import ConfigError, DirectoryLockedError
from baselines.leaderboard.execution.plan import make_plan, parse_shard, write_suite_file
from baselines.leaderboard.execution.suite_runner import run_suite
from baselines.leaderboard.records.locks import directory_lock
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, find_runs
from baselines.leaderboard.report.data.marl_eval_file import marl_eval
from baselines.leaderboard.report.data.paired import compare_schemes
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.statistics import scores as stats

SCORES = {"adaps": (0.9, 0.7), "fups_id": (0.5, 0.6)}


@pytest.fixture
def fabricated(tmp_path: Path, suite: SuiteConfig) -> Path:
    for config in suite.runs():
        if config.run_id != "two/fups_id/seed-1":
            fabricate_run(tmp_path, config, SCORES[config.scheme.label][config.seed])
        else:
            fabricate_failure(tmp_path, config)
    write_suite_file(suite, tmp_path)
    return tmp_path


def test_a_comparison_pairs_seeds_and_episodes(fabricated: Path) -> None:
    one, two = compare_schemes(fabricated, "adaps", "fups_id")
    assert (one.task, one.seeds, one.episodes) == ("one", (0, 1), 4)
    assert one.difference == pytest.approx((0.4 + 0.1) / 2)
    assert one.low is not None
    assert one.high is not None
    assert 0.1 - 1e-9 <= one.low < one.difference < one.high <= 0.4 + 1e-9
    assert (one.runs_better, one.episodes_better) == (1.0, 1.0)
    assert (two.seeds, two.low, two.high) == ((0,), None, None), "a failed run has no partner"
    assert two.difference == pytest.approx(0.4)


def test_effect_size_and_test_are_those_of_the_seeds(fabricated: Path) -> None:
    one, two = compare_schemes(fabricated, "adaps", "fups_id")
    assert one.effect_size == pytest.approx(0.25 / np.std([0.4, 0.1], ddof=1))
    assert one.superiority == 1.0
    assert (one.p, one.p_smallest) == (0.5, 0.5), "two seeds can show no more"
    assert (two.effect_size, two.p, two.p_smallest) == (None, 1.0, 1.0), "one seed shows nothing"


@pytest.mark.parametrize("runs", [3, 7, 11])
def test_the_sign_flip_test_counts_every_choice_of_signs(runs: int) -> None:
    generator = np.random.default_rng(runs)
    differences = np.round(generator.normal(0.3, 1, runs), 1)
    signs = np.array(list(product((-1, 1), repeat=runs)))
    expected = np.mean(np.abs((signs * differences).mean(axis=1)) >= abs(differences.mean()) - 1e-9)
    p, smallest = stats.sign_flip_test(differences, generator)
    assert p == pytest.approx(expected)
    assert smallest == 2 / 2**runs
    assert stats.sign_flip_test(np.ones(runs), generator) == (smallest, smallest)
    assert stats.sign_flip_test(np.zeros(runs), generator)[0] == 1.0


def test_the_sign_flip_test_keeps_its_level_and_draws_where_pairs_are_many() -> None:
    generator = np.random.default_rng(0)
    found = [stats.sign_flip_test(generator.normal(size=8), generator)[0] for _ in range(400)]
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.09
    many = generator.normal(0.2, 1, stats.MOST_FLIPPED + 5)
    drawn, smallest = stats.sign_flip_test(many, generator)
    assert smallest == 1 / (stats.DRAWN_FLIPS + 1)
    # By the central limit, near the normal law.
    z = abs(many.sum()) / np.sqrt((many**2).sum())
    assert drawn == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


def test_superiority_and_effect_size_at_their_ends() -> None:
    assert stats.superiority(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == (1 + 1 + 0 + 0.5) / 4
    assert math.isnan(stats.standardised_difference(np.array([0.5])))
    assert math.isnan(stats.standardised_difference(np.array([0.3, 0.3, 0.3])))
    assert stats.standardised_difference(np.array([1.0, 3.0])) == pytest.approx(2 / math.sqrt(2))


def test_a_comparison_turned_round_changes_its_sign(fabricated: Path) -> None:
    ahead, behind = (compare_schemes(fabricated, *pair)[0] for pair in (("adaps", "fups_id"), ("fups_id", "adaps")))
    assert behind.difference == pytest.approx(-ahead.difference)
    assert (behind.runs_better, behind.episodes_better) == (0.0, 0.0)


def test_what_cannot_be_compared(fabricated: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'adaps'"):
        compare_schemes(fabricated, "adap", "fups_id")
    with pytest.raises(ConfigError, match="with itself"):
        compare_schemes(fabricated, "adaps", "adaps")
    for run in find_runs(fabricated):
        if run.parts[-2:] in {("adaps", "seed-0"), ("fups_id", "seed-1")}:
            shutil.rmtree(run)
    with pytest.raises(ConfigError, match="no finished seed in common"):
        compare_schemes(fabricated, "adaps", "fups_id")


def test_the_paired_interval_covers_the_truth() -> None:
    """Runs and episodes both vary; a bootstrap of ten runs is somewhat too narrow, as is known."""
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        rows, columns = generator.normal(0, 1, (10, 1)), generator.normal(0, 1, (1, 20))
        low, high = stats.paired_interval(
            0.3 + rows + columns + generator.normal(0, 1, (10, 20)), generator, resamples=500
        )
        hits += low <= 0.3 <= high
    assert 0.86 < hits / 300 <= 1.0


def test_a_paired_interval_of_one_column_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(1).normal(size=12)
    paired = stats.paired_interval(values[:, None], np.random.default_rng(2), resamples=20_000)
    plain = stats.mean_interval(values, np.random.default_rng(3), resamples=20_000)
    assert paired == pytest.approx(plain, abs=0.02)


def test_marl_eval_export(fabricated: Path) -> None:
    data = marl_eval(fabricated)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    tasks = data["adaps"]
    assert {task: {scheme: list(runs) for scheme, runs in schemes.items()} for task, schemes in tasks.items()} == {
        task: {"adaps": ["seed_0"], "fups_id": ["seed_0"]} for task in ("one", "two")
    }
    run = tasks["one"]["adaps"]["seed_0"]
    assert list(run) == ["step_0", "step_1", "step_2", "absolute_metrics"]
    assert [run[f"step_{point}"]["step_count"] for point in range(3)] == [0, 1000, 2000]
    assert np.mean(run["step_2"]["score"]) == pytest.approx(0.9)
    assert len(run["step_2"]["return"]) == 4
    assert len(run["absolute_metrics"]["return"]) == 5
    metrics = {frozenset(point) - {"step_count"} for point in run.values()}
    assert metrics == {frozenset({"return", "score"})}, "marl-eval wants every metric everywhere"


def test_what_is_added_takes_nothing_from_the_export(fabricated: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    """A row of other seeds, or of a task of its own, on a board."""
    before = marl_eval(fabricated)
    alone = make_suite(schemes=["nops"], scheme_settings={}, seeds=[7]).runs()[0]
    fabricate_run(fabricated, alone, 0.5)
    elsewhere = alone.model_copy(update={"task": alone.task.model_copy(update={"name": "three"})})
    fabricate_run(fabricated, elsewhere, 0.5)
    assert marl_eval(fabricated) == before
    for config in make_suite(schemes=["fups"], scheme_settings={}).runs():
        fabricate_run(fabricated, config, 0.5)
    assert list(marl_eval(fabricated)["adaps"]["one"]) == ["adaps", "fups", "fups_id"]


def test_the_commands(fabricated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str | Path) -> int:
        with pytest.raises(SystemExit) as stop:
            cli.main(["leaderboard", *[str(word) for word in words]])
        return int(stop.value.code or 0)

    assert run("compare", "adaps", "fups_id", "--runs", fabricated) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("one: adaps - fups_id = +0.250 [")
    assert "d_z = +1.18; P(a run beats one of the other) = 1.00" in line
    assert "p = 0.5, the smallest possible is 0.5" in line
    assert run("compare", "adaps", "fups_id", "--runs", fabricated, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["seeds"] == [0, 1]
    assert run("compare", "adaps", "x", "--runs", fabricated) == 2
    assert run("export", fabricated, "--out", tmp_path / "new" / "marl.json") == 0
    assert run("export", fabricated, "--out", tmp_path / "new" / "marl.json") == 2
    assert run("export", fabricated, "--out", tmp_path / "new" / "marl.json", "--force") == 0
    assert json.loads((tmp_path / "new" / "marl.json").read_bytes()) == marl_eval(fabricated)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_shards_share_every_job_once(tmp_path: Path, suite: SuiteConfig, count: int) -> None:
    plan = make_plan(suite, tmp_path)
    shards = [plan.shard(number, count).jobs for number in range(1, count + 1)]
    assert sorted(job.run_id for jobs in shards for job in jobs) == sorted(job.run_id for job in plan.jobs)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "-1/2", "1/2/3", "a/b", "1 /2", "²/3"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(ConfigError, match="give i/n"):
        parse_shard(text)


def test_shards_go_side_by_side_and_not_beside_the_whole(tmp_path: Path) -> None:
    with directory_lock(tmp_path, (1, 2)), directory_lock(tmp_path, (2, 2)):
        with pytest.raises(DirectoryLockedError), directory_lock(tmp_path, (1, 2)):
            pass
        with pytest.raises(DirectoryLockedError), directory_lock(tmp_path):
            pass
    with directory_lock(tmp_path), pytest.raises(DirectoryLockedError), directory_lock(tmp_path, (1, 2)):
        pass


def test_shards_give_the_same_records_as_one_run(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    data: dict[str, Any] = make_suite(schemes=["fups", "nops"]).model_dump(mode="json")
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    console = Console(quiet=True)
    assert run_suite(suite, tmp_path / "whole", console=console, jobs=1).done == 4
    for number in (1, 2):
        assert run_suite(suite, tmp_path / "shards", console=console, jobs=1, shard=(number, 2)).done == 2
    runs = [path.relative_to(tmp_path / "whole") for path in find_runs(tmp_path / "whole")]
    assert len(runs) == 4
    for run in runs:
        for name in REPRODUCIBLE_FILES:
            assert (tmp_path / "whole" / run / name).read_bytes() == (tmp_path / "shards" / run / name).read_bytes()
