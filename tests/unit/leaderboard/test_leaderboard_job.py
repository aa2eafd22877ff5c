"""Real runs in this process: a small BPS, a small network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from luck import ask
from pydantic import ValidationError

from adaps_envs import make_batched
from adaps_envs.errors import InvalidWeightsError
from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.execution import job, training
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.references import measure_references
from baselines.leaderboard.execution.suite_check import check_suite
from baselines.leaderboard.records.metadata_files import Provenance
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.records.reader import REPRODUCIBLE_FILES, RunRecord, read_actions, read_run, read_weights
from baselines.leaderboard.spec.config import RunConfig, SuiteConfig, evaluation_marks
from baselines.leaderboard.spec.loading import builtin_tasks
from baselines.leaderboard.verify.deep import deep_checks

IDENTITY = {"identity": {"env_steps": 400, "encoder": {"updates": 50}}}


@pytest.fixture
def config_of(make_suite: Callable[..., SuiteConfig]) -> Callable[..., RunConfig]:
    def build(scheme: str, seed: int = 0, **changes: Any) -> RunConfig:
        settings = {"adaps": IDENTITY} if scheme == "adaps" else {}
        suite = make_suite(schemes=[scheme], seeds=[seed], scheme_settings=settings)
        data = suite.runs()[0].model_dump(mode="json")
        for key, value in changes.items():
            data["task"][key] = value
        return RunConfig.model_validate(data)

    return build


def execute(out: Path, config: RunConfig) -> RunRecord:
    outcome = execute_job(config, out / config.run_id, lambda steps: None)
    assert outcome.status == "done", outcome.error
    return read_run(out / config.run_id)


def test_a_suite_may_ask_for_a_centralised_critic(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of("fups")
    learner = config.learner.model_copy(update={"policy_settings": {"critic": "central"}})
    central = config.model_copy(update={"learner": learner})
    weights = read_weights(execute(tmp_path, central))
    local = build_model(config).policy.state_dict()
    assert weights["scheme.critic_net.weights.0"].shape[-1] > local["scheme.critic_net.weights.0"].shape[-1]
    assert central.context_digest != config.context_digest


def test_two_runs_of_one_configuration_are_equal_byte_for_byte(
    tmp_path: Path, config_of: Callable[..., RunConfig]
) -> None:
    config = config_of("adaps")
    first, second = (execute(tmp_path / name, config).directory for name in "ab")
    for name in REPRODUCIBLE_FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_evaluation_does_not_disturb_training(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    seldom = execute(tmp_path / "a", config_of("fups", eval_points=2, eval_episodes=2))
    often = execute(tmp_path / "b", config_of("fups", eval_points=11, eval_episodes=7))
    for name, weights in read_weights(seldom).items():
        np.testing.assert_array_equal(weights, read_weights(often)[name])


def test_no_global_generator_is_touched(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    numpy_before, torch_before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    execute(tmp_path, config_of("adaps"))
    assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_points_lie_at_their_marks(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of("fups", eval_points=5)
    evaluation = execute(tmp_path, config).evaluation
    assert evaluation is not None
    assert evaluation.marks.tolist() == evaluation_marks(config.task)
    assert evaluation.steps[0] == 0
    assert (evaluation.steps >= evaluation.marks).all()
    assert (evaluation.steps - evaluation.marks < 20).all(), "a point is late by a rollout or more"
    assert len(np.unique(evaluation.greedy.mean(axis=1))) > 1


def test_identity_steps_are_on_the_axis(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    found = execute(tmp_path, config_of("adaps", eval_points=11))
    assert found.evaluation is not None
    assert found.sharing is not None
    assert found.sharing.identity_steps == 400
    inside = found.evaluation.marks <= 400
    assert inside.sum() == 3
    assert (found.evaluation.steps[inside] == 400).all()
    assert (found.evaluation.greedy[inside] == found.evaluation.greedy[0]).all()
    assert len(found.sharing.agent_types) == 4
    assert found.sharing.ari is not None


@pytest.mark.parametrize(("scheme", "ari"), [("fups", None), ("oracle", 1.0)])
def test_ari_is_null_without_groups_and_one_for_the_oracle(
    tmp_path: Path, config_of: Callable[..., RunConfig], scheme: str, ari: float | None
) -> None:
    sharing = execute(tmp_path, config_of(scheme)).sharing
    assert sharing is not None
    assert sharing.ari == ari
    assert sharing.parameters["trainable"] > 0


def test_diversity_is_measured_on_the_same_observations_for_all(
    tmp_path: Path, config_of: Callable[..., RunConfig]
) -> None:
    found = {scheme: execute(tmp_path, config_of(scheme)).sharing for scheme in ("fups", "nops")}
    fups, nops = (found[scheme].diagnostics for scheme in ("fups", "nops"))
    assert fups.snd == fups.action_disagreement == 0.0
    assert nops.snd > 0
    assert fups.pool == nops.pool > 400
    assert (nops.within_group, nops.between_group) == (None, None)
    assert nops.within_type is not None
    assert fups.sharing["sets"] == [[f"agent_{index}" for index in range(4)]]


def test_the_action_log_replays_to_the_recorded_returns(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    """Without weights and without torch: seeds and actions are enough."""
    found = execute(tmp_path, config_of("fups"))
    actions, evaluation = read_actions(found), found.evaluation
    assert evaluation is not None
    for log, seeds, recorded in (
        (actions.final, evaluation.seeds, evaluation.greedy[-1]),
        (actions.absolute, evaluation.absolute_seeds, evaluation.absolute),
    ):
        env = make_batched(found.config.task.env, len(seeds), **environment_params(found.config))
        env.reset(seed=seeds.tolist())
        returns = np.zeros(len(seeds))
        for step in log:
            returns += env.step(step.astype(np.int64))[1].sum(axis=1, dtype=np.float64)
        np.testing.assert_array_equal(returns, recorded)
        assert env.ended.all()


def test_a_learner_of_the_same_task_loads_the_weights(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of("adaps")
    found = execute(tmp_path, config)
    model = build_model(config)
    model.load_weights(found.directory / "policy.safetensors")
    for name, tensor in model.policy.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy().ravel(), read_weights(found)[name].ravel())
    with pytest.raises(InvalidWeightsError, match="is for scheme 'adaps', the policy runs 'fups'"):
        build_model(config_of("fups")).load_weights(found.directory / "policy.safetensors")


def test_the_best_weights_play_the_absolute_episodes(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of("adaps", seed=2)
    found = execute(tmp_path, config)
    assert found.evaluation is not None
    ask(found.evaluation.best_point < config.task.eval_points - 1, "the best point is the last")
    assert found.evaluation.best_point == found.evaluation.greedy.mean(axis=1).argmax()
    policy = build_model(config).policy
    evaluator = Evaluator(config)
    for best, play, recorded in (
        (True, evaluator.absolute, found.evaluation.absolute),
        (True, evaluator.greedy, found.evaluation.greedy[found.evaluation.best_point]),
        (False, evaluator.greedy, found.evaluation.greedy[-1]),
    ):
        weights = read_weights(found, best=best)
        policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        np.testing.assert_array_equal(play(policy).returns, recorded)


def test_episodes_are_common_to_schemes_and_seeds(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    records = [execute(tmp_path, config_of(scheme)) for scheme in ("fups", "nops")]
    seeds = [record.evaluation.seeds.tolist() for record in records if record.evaluation is not None]
    assert seeds[0] == seeds[1]


def test_progress_counts_environment_steps(tmp_path: Path, config_of: Callable[..., RunConfig]) -> None:
    config = config_of("fups")
    seen: list[int] = []
    execute_job(config, tmp_path / config.run_id, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] >= config.task.budget
    assert seen[:2] == [0, config.learner.num_lanes]


def test_an_exception_of_the_run_becomes_a_failed_record(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(config: RunConfig) -> None:
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(training, "build_model", explode)
    config = config_of("fups")
    outcome = execute_job(config, tmp_path / config.run_id, lambda steps: None)
    assert (outcome.status, outcome.score) == ("failed", None)
    found = read_run(tmp_path / config.run_id)
    assert found.failure is not None
    assert found.failure.type == "FloatingPointError"
    assert "explode" in found.failure.traceback


def test_a_run_whose_identity_phase_went_beyond_the_budget_has_failed(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on while rewards are rare, so that no one knows before; such a run would not verify."""
    config = config_of("adaps")
    monkeypatch.setattr(training, "longest_training", lambda budget: 399)
    assert execute_job(config, tmp_path / config.run_id, lambda steps: None).status == "failed"
    failure = read_run(tmp_path / config.run_id).failure
    assert failure is not None
    assert "the identity phase took 400 environment steps of a budget of 2,000" in failure.message


def test_a_full_disk_in_the_middle_leaves_nothing(
    tmp_path: Path, config_of: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fill_up(config: RunConfig) -> Provenance:
        monkeypatch.setattr(os, "fsync", full)
        return provenance_of(config)

    monkeypatch.setattr(job, "provenance_of", fill_up)
    config = config_of("fups")
    with pytest.raises(OutputDirectoryError, match="No space left"):
        execute_job(config, tmp_path / config.run_id, lambda steps: None)
    assert list((tmp_path / config.run_id).parent.iterdir()) == []


def test_frozen_reference_scores_are_those_of_the_scripted_policies() -> None:
    """Of the cheap tasks; the slow tests of the built-in suites measure all."""
    for task in (builtin_tasks()[f"BPS-{number}"] for number in (1, 2, 3, 4)):
        found = measure_references(task["env"], task.get("params"), episodes=1_000)
        for field, reference in found.items():
            assert abs(reference.mean - task[field]) < 5 * reference.standard_error, (task["env"], field)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schemes": ["adap"]}, "Did you mean 'adaps'"),
        ({"learner": {"settings": {"n_step": 5}}}, "no setting 'n_step'. Did you mean 'n_steps'"),
        ({"learner": {"settings": {"n_steps": 0.5}}}, "scheme 'fups_id'"),
        ({"learner": {"num_lanes": 512, "settings": {"n_steps": 50}}}, "rollouts of 25600 steps .* a budget of 2000"),
        ({"scheme_settings": {"adaps": {"keeep": 0.5}}}, "keeep"),
        (
            {"scheme_settings": {"adaps": {"identity": {"env_steps": 2_000}}}},
            r"'adaps': budget is 2,000 .* takes at least 2,000 .* env_steps = ... } in \[scheme_settings.adaps\]",
        ),
    ],
)
def test_a_suite_is_looked_over_before_it_runs(
    make_suite: Callable[..., SuiteConfig], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        check_suite(make_suite(**changes))


@pytest.mark.parametrize(
    ("task", "message"),
    [({"env": "BPS-99"}, "no environment 'BPS-99'"), ({"params": {"group": [1]}}, "no parameter 'group'")],
)
def test_tasks_are_looked_over_too(make_suite: Callable[..., SuiteConfig], task: dict[str, Any], message: str) -> None:
    suite = make_suite()
    changed = suite.tasks[0].model_copy(update=task)
    with pytest.raises(Exception, match=message):
        check_suite(suite.model_copy(update={"tasks": (changed,)}))


def test_a_good_suite_passes(make_suite: Callable[..., SuiteConfig]) -> None:
    settings = {"adaps": {"identity": {"env_steps": 400}}}
    check_suite(make_suite(schemes=["adaps", "oracle"], scheme_settings=settings))


@pytest.mark.parametrize("recurrent", ["gru", "gru_actor"])
def test_recurrent_runs_are_repeatable_and_verify_deeply(
    tmp_path: Path, config_of: Callable[..., RunConfig], recurrent: str
) -> None:
    config = config_of("fups")
    assert "recurrent" not in config.model_dump(mode="json")["learner"]
    changes = {"recurrent": recurrent, "policy_settings": {"critic": "central"}}
    data = config.model_dump(mode="json")
    config = RunConfig.model_validate({**data, "learner": {**data["learner"], **changes}})
    first, second = (execute(tmp_path / name, config) for name in "ab")
    for name in REPRODUCIBLE_FILES:
        assert (first.directory / name).read_bytes() == (second.directory / name).read_bytes(), name
    assert any(".actor_net.cell." in name for name in read_weights(first))
    assert deep_checks(first).faults == ()


def test_unknown_recurrence_is_refused(config_of: Callable[..., RunConfig]) -> None:
    data = config_of("fups").model_dump(mode="json")
    with pytest.raises(ValidationError, match="recurrent"):
        RunConfig.model_validate({**data, "learner": {**data["learner"], "recurrent": "lstm"}})
    with pytest.raises(ValidationError, match="recurrent cannot be set here"):
        RunConfig.model_validate({**data, "learner": {**data["learner"], "policy_settings": {"recurrent": "gru"}}})
