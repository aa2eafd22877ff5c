from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fabricate import suite_data
from pydantic import ValidationError

from adaps_envs.errors import UnknownNameError
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.spec.config import (
    LearnerConfig,
    RunConfig,
    SuiteConfig,
    TaskConfig,
    evaluation_marks,
    seeds_of,
)
from baselines.leaderboard.spec.loading import builtin_tasks, list_suites, load_suite, select


def test_every_builtin_suite_loads_and_names_itself() -> None:
    assert {"quick", "bps", "dial", "paper", "scale", "smoke"} <= set(list_suites())
    for name in list_suites():
        assert load_suite(name).name == name


def test_quick_is_bps_1_with_the_seven_schemes_and_three_seeds() -> None:
    quick = load_suite("quick")
    assert [task.name for task in quick.tasks] == ["BPS-1"]
    assert {s.name for s in quick.schemes} == {"nops", "fups", "fups_id", "oracle", "snp_ps", "seps", "adaps"}
    assert quick.seeds == (0, 1, 2)
    assert len(quick.runs()) == 21


def test_unknown_suite_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'quick'"):
        load_suite("quik")


def test_jobs_are_ordered_by_task_then_seed_then_scheme(suite: SuiteConfig) -> None:
    assert [run.run_id for run in suite.runs()][:5] == [
        "one/fups_id/seed-0",
        "one/adaps/seed-0",
        "one/fups_id/seed-1",
        "one/adaps/seed-1",
        "two/fups_id/seed-0",
    ]


def test_digest_depends_on_content_and_not_on_key_order(suite: SuiteConfig) -> None:
    run = suite.runs()[0]
    data = run.model_dump(mode="json")
    shuffled = {key: data[key] for key in reversed(data)}
    assert RunConfig.model_validate(shuffled).digest == run.digest
    assert RunConfig.model_validate({**data, "seed": 7}).digest != run.digest


def test_context_digest_ignores_scheme_and_seed_alone(suite: SuiteConfig) -> None:
    runs = suite.runs()
    assert len({run.context_digest for run in runs if run.task.name == "one"}) == 1
    assert runs[0].context_digest != runs[-1].context_digest


@pytest.mark.parametrize(
    ("protocol", "digest"),
    [
        ("1", "2f1f34915e03dec922605048cc2a65809a0ee20a9fa5647ab32728563472327b"),
        ("2", "b1ffd1b2d77cacde37069e42dc789773f48e74f3285cefb883b05af2f0bd5207"),
    ],
)
def test_digest_is_pinned(protocol: str, digest: str) -> None:
    """A changed digest orphans every result on disk: change the protocol when you mean to."""
    config = RunConfig(
        protocol=protocol,  # type: ignore[arg-type]
        task=TaskConfig(name="t", env="BPS-1-v0", budget=100, eval_points=3),
        learner=LearnerConfig(),
        scheme={"name": "adaps"},
        seed=0,
    )
    assert config.digest == digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [0, 0]}, "seeds holds 0 more than once"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"schemes": ["adaps", "adaps"]}, "schemes holds adaps more than once"),
        ({"schemes": ["../adaps"]}, "schemes.0.name"),
        ({"schemes": ["<b>x</b>"]}, "schemes.0.name"),
        ({"shemes": ["adaps"]}, "shemes"),
        ({"protocol": "0"}, "protocol"),
        ({"learner": {"settings": {"seed": 3}}}, "seed cannot be set here"),
        ({"learner": {"algorithm": "dqn"}}, "algorithm"),
        ({"learner": {"settings": {"learning_rate": float("nan")}}}, "NaN and infinity"),
        ({"learner": {"learning_rate_schedule": "linear"}}, "needs learning_rate"),
        ({"learner_overrides": {"three": {"num_lanes": 2}}}, "learner_overrides names three"),
        ({"learner_overrides": {"one": {"num_lanes": 0}}}, "num_lanes"),
        ({"scheme_settings": {"nops": {}}}, "scheme_settings names nops"),
        ({"task_seeds": {"three": [0]}}, "task_seeds names three"),
        ({"task_seeds": {"one": []}}, "task_seeds.one"),
        ({"task_seeds": {"one": [0, 0]}}, "task_seeds.one holds 0 more than once"),
        ({"task_seeds": {"one": [9]}}, "task_seeds.one has 9, which is none of the suite's seeds"),
    ],
)
def test_a_wrong_suite_is_one_clear_error(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        SuiteConfig.model_validate(suite_data(**changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": 1}, "too small for 3 evaluation points"),
        ({"scripted_score": -300.0}, "must be above random_score"),
        ({"scripted_score": None}, "give both"),
        ({"random_score": None, "scripted_score": None}, "has no random_score"),
        ({"metric": "loss"}, "metric"),
        ({"eval_points": 1}, "eval_points"),
    ],
)
def test_a_wrong_task_is_one_clear_error(changes: dict[str, Any], message: str) -> None:
    task = {**suite_data()["tasks"][0], **changes}
    with pytest.raises(ValidationError) as caught:
        SuiteConfig.model_validate(suite_data(tasks=[task]))
    assert message in str(caught.value)


def test_a_suite_file_error_names_file_key_and_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nschemes = ["adaps"]\nseeds = [0]\n[[tasks]]\ntask = "BPS-1"\nbudget = -5\n')
    with pytest.raises(ConfigError, match=r"mine\.toml: tasks\.0\.budget: .*\(got -5\)"):
        load_suite(path)


WHOLE = 'name = "mine"\nseeds = [0]\nschemes = ["fups"]\n{}\n[[tasks]]\ntask = "BPS-1"\nbudget = 1000\n{}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'name = "mine"\nextends = "smoke"\nsceems = []\n',
            "sceems: unknown key. Did you mean 'schemes' or 'seeds' or 'task_seeds'?",
        ),
        ('name = "mine"\nextend = "smoke"\n', "extend: unknown key. Did you mean 'extends' or 'seeds'?; schemes"),
        (WHOLE.format("", "buget = 3"), "tasks.0.buget: unknown key. Did you mean 'budget'?"),
        (WHOLE.format("", "zzz = 3"), "tasks.0.zzz: unknown key. Known: absolute_episodes, budget, env,"),
        (WHOLE.format("[learner]\nnum_lane = 3", ""), "learner.num_lane: unknown key. Did you mean 'num_lanes'?"),
        (
            WHOLE.format("[learner_overrides.BPS-1]\nnum_lane = 3", ""),
            "learner_overrides.BPS-1.num_lane: unknown key. Did you mean 'num_lanes'?",
        ),
        (
            WHOLE.format("", "").replace('"fups"', '{naem = "fups"}'),
            "schemes.0.naem: unknown key. Did you mean 'name'?",
        ),
        (WHOLE.format("", "").replace("[0]", "0"), "seeds: give a list (got 0)."),
        ('name = "mine"\nseeds = [0]\nschemes = ["fups"]\ntasks = ["BPS-1"]', "tasks.0: give a table of keys (got"),
    ],
)
def test_an_unknown_key_comes_with_the_known_one(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert told in message
    for word in ("Extra inputs", "Field required", "validation error", "at least 1 item", "pattern", "?."):
        assert word not in message


def test_a_missing_key_is_told_once_and_not_where_another_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nschems = ["fups"]\n[[tasks]]\ntask = "BPS-1"\nbudgett = 1000\n')
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    told = str(caught.value).removeprefix(f"{path}: ")
    assert "schemes: is missing" not in told
    assert "budget: is missing" not in told
    assert told.count("is missing") == 1
    assert "seeds: is missing" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [("name = ", "not valid TOML"), (None, "cannot read"), ('tasks = "BPS-1"', "tasks")],
)
def test_an_unreadable_suite_file(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_suite(str(path))


def test_a_builtin_task_brings_its_frozen_scores_and_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    head = 'name = "mine"\nschemes = ["adaps"]\nseeds = [0]\n[[tasks]]\ntask = "BPS-1"\nbudget = 500\n'
    path.write_text(head)
    task = load_suite(path).tasks[0]
    assert task.random_score == builtin_tasks()["BPS-1"]["random_score"]
    path.write_text(head + "random_score = 0.0\n")
    with pytest.raises(ConfigError, match="random_score of the built-in task 'BPS-1' cannot be changed"):
        load_suite(path)


def test_a_suite_extends_another_and_keeps_its_runs_comparable(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nextends = "quick"\nschemes = ["fups_id"]\nseeds = [0, 7]\n')
    mine, quick = load_suite(path), load_suite("quick")
    assert (mine.name, mine.seeds, mine.tasks, mine.learner) == ("mine", (0, 7), quick.tasks, quick.learner)
    assert mine.runs()[0] in quick.runs()
    (tmp_path / "more.toml").write_text('name = "more"\nextends = "mine.toml"\nseeds = [8]\n')
    assert [run.run_id for run in load_suite(tmp_path / "more.toml").runs()] == ["BPS-1/fups_id/seed-8"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "quick"', "needs a name of its own"),
        ('name = "a"\nextends = 3', "extends is 3; give the name"),
        ('name = "a"\nextends = "quik"', "Did you mean 'quick'"),
        ('name = "a"\nextends = "mine.toml"', "which extends this file in turn"),
        ('name = "a"\nextends = "absent.toml"', "cannot read"),
    ],
)
def test_a_wrong_extension_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        load_suite(path)


def test_a_task_may_have_some_of_the_seeds_only(make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(seeds=[0, 1, 2], task_seeds={"two": [1, 2]})

    def seeds_of(part: SuiteConfig, task: str) -> list[int]:
        return sorted({run.seed for run in part.runs() if run.task.name == task})

    assert (seeds_of(suite, "one"), seeds_of(suite, "two")) == ([0, 1, 2], [1, 2])
    part = select(suite, seeds=[0, 1])
    assert (seeds_of(part, "one"), seeds_of(part, "two")) == ([0, 1], [1])
    assert select(suite, tasks=["one"]).task_seeds == {}
    assert SuiteConfig.model_validate(suite.model_dump(mode="json")) == suite
    assert "task_seeds" not in make_suite().model_dump(mode="json")


def test_learner_overrides_replace_fields_and_merge_settings(make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(learner_overrides={"two": {"num_lanes": 2, "settings": {"gamma": 0.9}}})
    assert suite.learner_for("one") == suite.learner
    assert suite.learner_for("two").num_lanes == 2
    assert suite.learner_for("two").settings == {"n_steps": 5, "gamma": 0.9}
    assert suite.learner_for("two").net_arch == (8,)


def test_scheme_settings_and_labels_reach_the_run(make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(
        schemes=["adaps", {"name": "adaps", "label": "adaps-sparse", "settings": {"keep": 0.25}}],
        scheme_settings={"adaps": {"keep": 0.5, "depth": 2}},
    )
    runs = {run.scheme.label: run for run in suite.runs()}
    assert runs["adaps"].scheme.settings == {"keep": 0.5, "depth": 2}
    assert runs["adaps-sparse"].scheme.settings == {"keep": 0.25, "depth": 2}
    assert runs["adaps-sparse"].run_id == "two/adaps-sparse/seed-1"


def test_select_keeps_hashes(suite: SuiteConfig) -> None:
    part = select(suite, tasks=["two"], schemes=["adaps"], seeds=[1])
    (run,) = part.runs()
    assert run.digest == {r.run_id: r.digest for r in suite.runs()}["two/adaps/seed-1"]
    with pytest.raises(UnknownNameError, match=r"no scheme 'adap'\. Did you mean 'adaps'"):
        select(suite, schemes=["adap"])


def test_marks_are_equally_spaced_with_both_ends() -> None:
    task = TaskConfig(name="t", env="e", budget=100, eval_points=6)
    assert evaluation_marks(task) == [0, 20, 40, 60, 80, 100]


def test_seed_ranges_never_meet() -> None:
    suites = [load_suite(name) for name in list_suites()]
    for run in (run for suite in suites for run in suite.runs()):
        seeds = seeds_of(run)
        training = range(seeds.training_start, seeds.training_start + seeds.training_count)
        evaluation = range(seeds.evaluation_start, seeds.evaluation_start + seeds.evaluation_count)
        absolute = range(seeds.absolute_start, seeds.absolute_start + seeds.absolute_count)
        assert training.stop <= evaluation.start
        assert evaluation.stop <= absolute.start


def test_neighbouring_run_seeds_share_no_training_lane(suite: SuiteConfig) -> None:
    first, second = (seeds_of(suite.runs()[index]) for index in (0, 2))
    assert first.training_start + first.training_count <= second.training_start


def test_normalise() -> None:
    task = TaskConfig(name="t", env="e", budget=100, random_score=-200.0, scripted_score=-100.0)
    assert task.normalise(-150.0) == 0.5
    with pytest.raises(ConfigError, match="no reference scores"):
        TaskConfig(name="t", env="e", budget=100).normalise(1.0)


def test_a_falling_learning_rate_ends_at_zero(make_suite: Callable[..., SuiteConfig]) -> None:
    """The last rollout ends beyond the budget, and a negative rate would climb the loss."""
    from baselines.leaderboard.execution.learner import build_model

    learner = {"learning_rate_schedule": "linear", "num_lanes": 2, "net_arch": [4], "settings": {"learning_rate": 0.5}}
    model = build_model(make_suite(learner=learner).runs()[0])
    assert [model.lr_schedule(remaining) for remaining in (1.0, 0.5, 0.0, -0.1)] == [0.5, 0.25, 0.0, 0.0]
