"""The built-in suites as they ship: they plan, all their learners can be built, and a run of each kind verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaps_agents.schemes import make_scheme
from baselines.cli import main as cli
from baselines.leaderboard.execution import suite_runner
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.references import POLICY_OF_FIELD, measure_reference
from baselines.leaderboard.execution.suite_check import check_suite
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.spec.config import RunConfig, SchemeConfig
from baselines.leaderboard.spec.loading import builtin_tasks, list_suites, load_suite, select
from baselines.leaderboard.verify import verify_directory

KINDS = {"bps": "BPS-4", "dial": "BPS-16a-16t", "scale": "BPS-60a-5t", "crware": "CRWARE-tiny-4a-2c"}
LBF = "LBF-10x10-6p-5f-3t"


def suite_with(task: str, scheme: str) -> str:
    """The first suite that runs the scheme on the task."""
    suites = {name: load_suite(name) for name in list_suites()}
    return next(
        name for name, suite in suites.items()
        if task in [entry.name for entry in suite.tasks] and scheme in [entry.label for entry in suite.schemes]
    )  # fmt: skip


def tiny(task: str, scheme: str, suite: str | None = None) -> RunConfig:
    """A run of a built-in suite, cut down to two rollouts and the fewest evaluations."""
    chosen = select(load_suite(suite or suite_with(task, scheme)), tasks=[task], schemes=[scheme], seeds=[0])
    (config,) = chosen.runs()
    rollout = config.learner.num_lanes * int(config.learner.settings["n_steps"])  # type: ignore[call-overload]
    changes = {"budget": 2 * rollout, "eval_points": 2, "eval_episodes": 2, "absolute_episodes": 2}
    return config.model_copy(update={"task": config.task.model_copy(update=changes)})


def test_the_search_tries_the_same_settings_for_every_scheme(repository: Path) -> None:
    suite = load_suite(str(repository / "examples/search-bps.toml"))
    tried: dict[str, set[str]] = {}
    for config in suite.runs():
        learner = config.learner
        tried.setdefault(config.scheme.label, set()).add(f"{learner.net_arch} {learner.settings} {config.task.params}")
    assert set(tried) == {scheme.label for scheme in load_suite("official").schemes}
    assert all(len(settings) == 12 and settings == tried["fups"] for settings in tried.values())
    assert min(suite.seeds) >= 1000, "none of a board's"


def test_longer_runs_of_the_dial_change_nothing_but_their_length(repository: Path) -> None:
    suite, short = load_suite(str(repository / "examples/dial-long.toml")), load_suite("dial")
    tasks = {task.name: task for task in short.tasks}
    for task in suite.tasks:
        like = tasks[task.name].model_copy(update={"budget": 1_000_000, "eval_points": 11, "absolute_episodes": 32})
        assert task == like
    assert suite.learner == short.learner
    assert min(suite.seeds) >= 1000, "none of a board's"


def test_every_task_belongs_to_a_suite() -> None:
    used = {task.name for name in list_suites() for task in load_suite(name).tasks}
    assert used == set(builtin_tasks())


@pytest.mark.parametrize("name", list_suites())
def test_dry_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite_runner, "look_over", lambda *_, **__: None)  # another test here checks every suite
    with pytest.raises(SystemExit) as stop:
        cli.main(["leaderboard", "run", "--suite", name, "--out", str(tmp_path / "out"), "--dry-run", "--skip-probe"])
    assert not stop.value.code
    suite = load_suite(name)
    assert sum(line.startswith("open ") for line in capsys.readouterr().out.splitlines()) == len(suite.runs())
    assert not (tmp_path / "out").exists()


def test_the_suites_span_what_they_say() -> None:
    paper = [task.name for task in load_suite("paper").tasks]
    assert paper[:4] == ["BPS-1", "BPS-2", "BPS-3", "BPS-4"]
    assert paper[4:7] == ["CRWARE-tiny-4a-2c", "CRWARE-small-8a-2c", "CRWARE-medium-16a-2c"]
    assert all(name.startswith("LBF-") and "-3t" in name for name in paper[7:])
    types = [len(task.params["groups"]) for task in load_suite("dial").tasks]  # type: ignore[arg-type]
    agents = [sum(task.params["groups"]) for task in load_suite("scale").tasks]  # type: ignore[arg-type]
    assert types == [1, 2, 4, 8, 16]
    assert agents == [15, 60, 250, 1000]
    assert {task.params["num_landmarks"] for task in load_suite("dial").tasks} == {16}
    assert "nops" not in {scheme.name for scheme in load_suite("scale").schemes}


@pytest.mark.parametrize("task", [*KINDS.values(), LBF])
def test_one_short_run_of_each_kind_verifies(task: str, tmp_path: Path) -> None:
    config = tiny(task, "oracle")
    directory = tmp_path / config.run_id
    outcome = execute_job(config, directory, lambda steps: None)
    assert outcome.status == "done", outcome.error
    verdict = verify_directory(directory)
    assert verdict.verified, list(verdict.lines())


ROWS = {"found": ("seps", "adaps", "random_masks", "disjoint_masks", "group_id"),
        "true": ("oracle", "adaps-true", "random-true", "disjoint-true", "group_id-true"),
        "random": ("random_groups", "adaps-random", "random-random"),
        "each": ("nops", "adaps-each", "snp_ps", "fups_id")}  # fmt: skip
CODES = ("adaps-fifth", "sparse", "sparse-fifth")


def test_the_grid_is_whole() -> None:
    assert [scheme.label for scheme in load_suite("grid").schemes] == [*sum(ROWS.values(), ()), *CODES]


@pytest.mark.parametrize("scheme", load_suite("grid").schemes, ids=lambda scheme: scheme.label)
def test_every_cell_of_the_grid_runs_and_says_what_it_was_told(scheme: SchemeConfig, tmp_path: Path) -> None:
    config = tiny("BPS-3", scheme.label, suite="grid")
    if scheme.name != "oracle" and make_scheme(scheme.name).group_source:
        quick = {"env_steps": 160, "num_groups": 5, "encoder": {"updates": 5}}
        settings = {**scheme.settings, "identity": quick}
        config = config.model_copy(update={"scheme": scheme.model_copy(update={"settings": settings})})
    outcome = execute_job(config, tmp_path / config.run_id, lambda steps: None)
    assert outcome.status == "done", outcome.error
    sharing = read_run(tmp_path / config.run_id).sharing
    assert sharing is not None
    row = next((row for row, labels in ROWS.items() if scheme.label in labels), "found")
    assert sharing.summary["told_types"] is (row == "true")
    groups = len(set(sharing.summary["agents"].values()))  # type: ignore[union-attr]
    assert groups == {"each": 1 if scheme.name == "fups_id" else 30}.get(row, 5)
    assert sharing.identity_steps == (160 if row in ("found", "random") or scheme.label == "adaps-each" else 0)
    if row == "true":
        assert sharing.ari == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", list_suites())
def test_every_learner_can_be_built(name: str) -> None:
    check_suite(load_suite(name))


@pytest.mark.slow
@pytest.mark.parametrize("task", [name for name in builtin_tasks() if "1000a" not in name])
@pytest.mark.parametrize("field", list(POLICY_OF_FIELD))
def test_frozen_scores_are_measured_again(task: str, field: str) -> None:
    definition = builtin_tasks()[task]
    found = measure_reference(definition["env"], definition.get("params"), policy=POLICY_OF_FIELD[field], episodes=64)
    # Deliveries and cleared boards are rare or certain: a sample may have no spread at all.
    spread = max(found.standard_error, 0.02 * abs(definition["scripted_score"] - definition["random_score"]))
    assert found.mean == pytest.approx(definition[field], abs=5 * spread)


def test_a_changed_definition_changes_no_other_reader() -> None:
    name = next(iter(builtin_tasks()))
    builtin_tasks()[name]["random_score"] = 1e6
    assert builtin_tasks()[name]["random_score"] != 1e6
