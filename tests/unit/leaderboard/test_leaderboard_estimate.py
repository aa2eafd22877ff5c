"""What a suite will still cost, before it is run and while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from commands import run_cli, suite_text
from fabricate import COSTS, fabricate_failure, fabricate_run

from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution import probe, suite_runner
from baselines.leaderboard.execution.estimate import Estimate, estimate_rest, time_at_once
from baselines.leaderboard.execution.plan import make_plan
from baselines.leaderboard.records.reader import find_runs, read_run
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig
from baselines.leaderboard.spec.loading import load_suite

MakeSuite = Callable[..., SuiteConfig]


def estimate(suite: SuiteConfig, out: Path) -> Estimate:
    return estimate_rest(make_plan(suite, out).to_do(), [read_run(path) for path in find_runs(out)])


def test_nothing_finished_gives_steps_and_no_time(tmp_path: Path, suite: SuiteConfig) -> None:
    found = estimate(suite, tmp_path)
    assert found == Estimate(env_steps=16_000, seconds=(), unknown=8, measured=0)
    assert found.lines(2) == [
        "to run: 8 runs, 16,000 environment steps",
        "no time is known for 8 of them: no run of their task has finished here",
    ]


def test_rates_are_those_of_the_same_scheme_if_there_are(tmp_path: Path, make_suite: MakeSuite) -> None:
    suite = make_suite(schemes=["fups", "nops", "adaps"], seeds=[0, 1])
    runs = {run.run_id: run for run in suite.runs()}
    for name, seconds in (("one/fups/seed-0", 10.0), ("one/nops/seed-0", 30.0)):
        fabricate_run(tmp_path, runs[name], 0.5, costs=COSTS.model_copy(update={"wall_seconds": seconds}))
    fabricate_failure(tmp_path, runs["one/adaps/seed-0"])
    found = estimate(suite, tmp_path)
    # Task one: fups, nops and adaps of seed 1; adaps has no rate of its own and takes the mean. Task two has none.
    assert found.seconds == (10.0, 30.0, 20.0)
    assert (found.unknown, found.measured, found.env_steps) == (6, 2, 18_000)


def test_tasks_without_a_finished_run_are_probed_once_if_they_are_large(tmp_path: Path, make_suite: MakeSuite) -> None:
    data = make_suite().model_dump(mode="json")
    for task in data["tasks"]:
        task["budget"] = probe.FEWEST_STEPS
    large = SuiteConfig.model_validate(data)
    fabricate_run(tmp_path, large.runs()[0], 0.5, costs=COSTS.model_copy(update={"wall_seconds": 9.0}))
    asked = []

    def measure(configs: Sequence[RunConfig]) -> dict[str, float]:
        asked.extend(configs)
        return {config.context_digest: 7.0 for config in configs}

    jobs, finished = make_plan(large, tmp_path).to_do(), [read_run(path) for path in find_runs(tmp_path)]
    found = estimate_rest(jobs, finished, measure)
    assert [config.task.name for config in asked] == ["two"]
    assert found.seconds == (9.0,) * 3 + (7.0,) * 4
    assert (found.unknown, found.probed) == (0, 1)
    assert found.lines(1)[1].endswith("by 1 finished run and a short probe of fups_id on 1 task")
    small = make_plan(make_suite(), tmp_path / "none").to_do()
    assert estimate_rest(small, [], measure).probed == 0


def test_a_probe_measures_real_runs_and_leaves_out_what_it_cannot(
    make_suite: MakeSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_suite().runs()[0]
    bad = good.model_copy(update={"task": good.task.model_copy(update={"env": "Nowhere-v0"})})
    found = probe.probe([bad, good])
    assert list(found) == [good.context_digest]
    assert 0 < found[good.context_digest] < 600
    monkeypatch.setattr(probe, "_PATIENCE", 0.0)
    assert probe.probe([good]) == {}, "an environment that hangs holds nothing up"


def test_a_large_suite_tells_its_cost_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "probe", lambda configs: {config.context_digest: 60.0 for config in configs})
    suite_file = tmp_path / "large.toml"
    suite_file.write_text(suite_text(budget=probe.FEWEST_STEPS, seeds=(0,)))
    words = ("leaderboard", "run", "--suite", suite_file, "--out", tmp_path / "out", "--jobs", "2")
    assert run_cli(*words, "--dry-run") == 0
    expected = "about 60 s with 2 at once (2 min in all), by a short probe of fups_id on 1 task"
    assert capsys.readouterr().out.splitlines()[-1] == expected
    assert run_cli(*words, "--dry-run", "--skip-probe") == 0
    assert "no time is known for 2 of them" in capsys.readouterr().out

    def stop(*_: object, **__: object) -> None:
        raise ConfigError("the suite would start now")

    monkeypatch.setattr(suite_runner, "run_suite", stop)
    assert run_cli(*words) == 2
    assert expected in capsys.readouterr().out


def test_another_learner_gives_no_rate(tmp_path: Path, make_suite: MakeSuite) -> None:
    fabricate_run(tmp_path, make_suite(seeds=[0]).runs()[0], 0.5)
    other = make_suite(seeds=[1], learner={"num_lanes": 8, "net_arch": [8]})
    assert estimate(other, tmp_path).seconds == ()


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [([], 2, 0.0), ([5.0], 4, 5.0), ([3.0, 3.0, 3.0], 2, 6.0), ([1.0, 2.0, 3.0, 4.0], 2, 6.0), ([1.0, 9.0], 1, 10.0)],
)
def test_jobs_share_the_places(seconds: list[float], at_once: int, expected: float) -> None:
    assert time_at_once(seconds, at_once) == expected


def test_dry_run_tells_the_cost_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite_file, out = tmp_path / "tiny.toml", tmp_path / "out"
    suite_file.write_text(suite_text())
    first, *_, last = load_suite(suite_file).runs()
    fabricate_run(out, first, 0.5)
    fabricate_failure(out, last)
    words = ("leaderboard", "run", "--suite", suite_file, "--out", out, "--jobs", "2", "--dry-run")
    assert run_cli(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["done", "open", "open", "failed"]
    assert lines[4:] == [
        "to run: 2 runs, 4,000 environment steps",
        "about 60 s with 2 at once (2 min in all), by 1 finished run",
    ]
    assert run_cli(*words, "--retry-failed") == 0
    assert "to run: 3 runs, 6,000 environment steps" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["one"]
