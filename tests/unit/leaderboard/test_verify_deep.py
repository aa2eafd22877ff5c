"""What ``--deep`` makes of weights that a forger edited so that any action would be as good as the policy's own."""

from __future__ import annotations

import re
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fabricate import suite_data
from luck import ask
from replant import replant
from tamper import (
    arrays_of,
    edit_config,
    edit_header,
    edit_json,
    edit_metrics,
    edit_returns,
    edit_weights,
    mend,
    write_arrays,
)

from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.schemes.group_source import GroupSource
from adaps_envs import make_batched, make_policy
from baselines.leaderboard.execution.diagnosis import common_observations, scripted_work, sharing_of
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.episodes import Episodes, play_episodes
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.learner import build_model, network_only
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.execution.replay import lane_bytes, open_environment
from baselines.leaderboard.files import canonical_json
from baselines.leaderboard.records import provenance
from baselines.leaderboard.records.artifacts import FinalActions
from baselines.leaderboard.records.provenance import provenance_of, same_kind_of_machine
from baselines.leaderboard.records.reader import find_runs, read_run, read_weights
from baselines.leaderboard.spec.config import SchemeConfig, SuiteConfig, seeds_of
from baselines.leaderboard.verify import MOST_DECISIONS, apart, checks, courses, deep, groups, runset, verify_directory
from baselines.leaderboard.verify.checks import actor_weights
from baselines.leaderboard.verify.choices import Margins, choice_faults
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.measured import identity_faults
from baselines.leaderboard.verify.weights import BEST, FINAL, LABELS, _array_faults, _pair_faults

FUPS = "one/fups_id/seed-0"
HEAD, OFFSET = "scheme.actor_net.weights.1", "scheme.actor_net.biases.1"
ELSEWHERE = "one of a kind"
DIGEST = 800 * 4 * 64
"""Decisions that the rollout of the digest counts as, with four agents."""
EPISODE = 50 * 4 + 324 // 64
"""Those of an episode of 50 steps with four agents, and of making its lane."""
STEPS = (7 + 6 * 24 + 4) * 50 * (256 + 64)
"""Those that steps of all episodes at once count as, however few there are."""
OBSERVED = 6 * 512 + 400 * 25 * 8 // 8
"""Those of the common observations: 512 for each of six pairs; 400 steps, 25 values and 8 entries of each."""

Weights = dict[str, np.ndarray]
Edit = Callable[[Weights], Any]


@pytest.fixture(scope="session")
def more_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs of other kinds: a recurrent network under PPO, and private networks."""
    out = tmp_path_factory.mktemp("more") / "runs"
    data = suite_data(schemes=["nops", "snp_ps"], seeds=[0])
    data["learner"] = {
        **data["learner"], "algorithm": "ppo", "recurrent": "gru", "settings": {"n_steps": 25, "n_epochs": 2}
    }  # fmt: skip
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, out)
    return out


def policy_of(run: Path) -> Any:
    record = read_run(run)
    policy = build_model(record.config).policy
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(record).items()})
    return policy


def expert(run: Path, first_seed: int, episodes: int) -> Episodes:
    """What the scripted policy that knows the types plays."""
    config = read_run(run).config
    env = make_batched(config.task.env, episodes, **environment_params(config))
    scripted, rng = make_policy("expert", env), np.random.default_rng(0)
    return play_episodes(env, lambda obs: scripted(obs, rng), first_seed)


def forge(run: Path, edit: Edit, *, processor: str | None = None, agents: Any = slice(None)) -> None:
    """Edit the weights, let the expert play in their name, and measure all else as ``--deep`` will.

    Args:
        run: of a scheme that has no identity phase.
        edit: of the weights.
        processor: of the machine that the record then names; None leaves its own.
        agents: which agents take the expert's actions; the others take those of the edited weights.
    """
    edit_weights(run, FINAL, edit)
    shutil.copy(run / FINAL, run / BEST)
    record, policy = read_run_unchecked(run), policy_of(run)
    config, evaluator = record.config, Evaluator(record.config)
    returns, logs = arrays_of(run, "evaluation.npz"), arrays_of(run, "actions.npz")
    for log, seeds in (("final", "seeds"), ("absolute", "absolute_seeds")):
        played = expert(run, int(returns[seeds][0]), len(returns[seeds]))
        if agents != slice(None):
            played = team_of(run, policy, agents, int(returns[seeds][0]), len(returns[seeds]))
        logs[log], logs[f"{log}_lengths"] = played.actions, played.lengths
        if log == "final":
            returns["greedy"][-1] = played.returns
        else:
            returns["absolute"] = played.returns
    returns["sampled"][-1] = evaluator.sampled(policy).returns
    returns["best_point"] = np.array(returns["greedy"].mean(axis=1).argmax())
    assert int(returns["best_point"]) == len(returns["greedy"]) - 1, "the forged point is not even the best one"
    edit_returns(run, lambda arrays: arrays.update(returns))
    write_arrays(run, "actions.npz", logs)
    sharing, types = record.sharing, make_batched(config.task.env, 1, **environment_params(config)).agent_types
    assert sharing is not None
    measured = sharing_of(config, policy, sharing.env_steps, types).model_dump(mode="json")
    edit_json(run, "sharing.json", lambda value: value.update(measured))
    if processor is not None:
        edit_json(run, "provenance.json", lambda value: value.update(processor=processor))


def read_run_unchecked(run: Path) -> Any:
    mend(run)
    return read_run(run)


def team_of(run: Path, policy: Any, agents: Any, first_seed: int, episodes: int) -> Episodes:
    """Some agents follow the expert, the others the policy."""
    config = read_run(run).config
    env = make_batched(config.task.env, episodes, **environment_params(config))
    scripted, rng, memory = make_policy("expert", env), np.random.default_rng(0), policy.new_memory(episodes)

    def act(obs: np.ndarray) -> np.ndarray:
        chosen = policy.act(obs, deterministic=True, memory=memory)
        chosen[:, agents] = scripted(obs, rng)[:, agents]
        return chosen

    return play_episodes(env, act, first_seed)


def add_to_biases(amount: Any) -> Edit:
    def edit(weights: Weights) -> None:
        weights[OFFSET] += np.float32(amount)

    return edit


def scale_head(factor: float) -> Edit:
    def edit(weights: Weights) -> None:
        weights[HEAD] *= np.float32(factor)
        weights[OFFSET] *= np.float32(factor)

    return edit


def huge_hidden_unit(weights: Weights) -> None:
    """One unit is 1e12 in every state, and all actions hang on it alike."""
    weights["scheme.actor_net.biases.0"][:, 0] = 1e12
    weights[HEAD][:, :, 0] = 1.0


def cancelling_units(weights: Weights) -> None:
    """Two units that are 1e12 in every state and cancel: what is left of the logits is rounding."""
    for unit in (0, 1):
        weights["scheme.actor_net.weights.0"][:, unit] = 0.0
        weights["scheme.actor_net.biases.0"][:, unit] = 1e12
    weights[HEAD][:, :, 0], weights[HEAD][:, :, 1] = 1.0, -1.0


def all_zero(weights: Weights) -> None:
    for name in (HEAD, OFFSET):
        weights[name][:] = 0.0


def overflow(weights: Weights) -> None:
    """Infinity less infinity: all weights are finite, no logit is a number."""
    weights["scheme.actor_net.weights.0"][:] = 1e20
    weights["scheme.actor_net.biases.0"][:] = 1e20
    weights[HEAD][:] = 1e20
    weights[HEAD][:, :, ::2] = -1e20


ATTACKS: dict[str, tuple[Edit, str]] = {
    "a constant on all output biases": (add_to_biases(3e5), "cannot be told apart"),
    "a greater constant": (add_to_biases(1e9), "cannot be told apart"),
    "a tiny last layer": (scale_head(1e-5), "decisions differ"),
    "a last layer near the smallest numbers": (scale_head(1e-38), "decisions differ"),
    "a huge hidden unit": (huge_hidden_unit, "cannot be told apart"),
    "hidden units that cancel": (cancelling_units, "decisions differ"),
    "no last layer": (all_zero, "decisions differ"),
    "a constant on two biases": (add_to_biases([3e5, 3e5, 0, 0, 0]), "cannot be told apart"),
    "nothing edited": (lambda weights: None, "decisions differ"),
}


@pytest.mark.parametrize("processor", [None, ELSEWHERE])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_weights_make_the_experts_actions_theirs(runs: Path, attack: str, processor: str | None) -> None:
    edit, message = ATTACKS[attack]
    forge(runs / FUPS, edit, processor=processor)
    assert_only_deep_notices(runs / FUPS, message)


def assert_only_deep_notices(run: Path, message: str) -> None:
    shallow = verify_directory(run)
    assert shallow.verified, [str(fault) for fault in shallow.all_faults]
    faults = [str(fault) for fault in verify_directory(run, deep=deep_checks).all_faults]
    assert any(re.search(message, fault) for fault in faults), faults
    assert not any("cannot be verified" in fault for fault in faults), faults


@pytest.mark.parametrize("processor", [None, ELSEWHERE])
def test_ties_of_one_agent_alone(more_runs: Path, tmp_path: Path, processor: str | None) -> None:
    run = shutil.copytree(more_runs, tmp_path / "runs") / "one/nops/seed-0"

    def edit(weights: Weights) -> None:
        weights[OFFSET][2] += np.float32(3e5)

    forge(run, edit, processor=processor, agents=[2])
    assert_only_deep_notices(run, r"its weights choose|told apart")


@pytest.mark.parametrize("scheme", ["nops", "snp_ps"])
@pytest.mark.parametrize("processor", [None, ELSEWHERE])
def test_ties_of_recurrent_networks(more_runs: Path, tmp_path: Path, scheme: str, processor: str | None) -> None:
    run = shutil.copytree(more_runs, tmp_path / "runs") / f"one/{scheme}/seed-0"
    forge(run, add_to_biases(3e5), processor=processor)
    assert_only_deep_notices(run, "told apart")


def test_logits_that_are_no_numbers_are_named(runs: Path) -> None:
    run = runs / FUPS
    for file in (FINAL, BEST):
        edit_weights(run, file, overflow)
    faults = [str(fault) for fault in verify_directory(run, deep=deep_checks).all_faults]
    assert any("its logits are not finite" in fault for fault in faults), faults
    assert not any("cannot be verified" in fault for fault in faults), faults


@pytest.mark.parametrize("processor", [None, ELSEWHERE])
def test_a_return_that_no_rounding_explains(runs: Path, processor: str | None) -> None:
    run = runs / FUPS

    def raise_one(arrays: dict[str, np.ndarray]) -> None:
        arrays["sampled"][-1, 0] += 171.0

    edit_returns(run, raise_one)
    edit_json(run, "provenance.json", lambda value: value.update(processor=processor or value["processor"]))
    assert_only_deep_notices(run, r"sampled\[2\]: its weights get")


@pytest.mark.parametrize("name", ["greedy", "sampled"])
def test_a_near_tie_that_was_decided_otherwise_is_an_explanation(
    honest_runs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Rounding of another processor, enlarged: any return but those of the near ties stays unexplained."""
    monkeypatch.setattr(courses, "NEAR_TIE", 0.1)
    policy, evaluator = policy_of(honest_runs / FUPS), Evaluator(read_run(honest_runs / FUPS).config)
    usual = courses._Courses(policy)
    honest = usual.play(evaluator, policy, name)
    search = courses._Courses(policy, {1: {}}, 0.1 * usual.margins.usual)
    assert np.array_equal(search.play(evaluator, policy, name), honest)
    ask(bool(search.ties[1]), "no decision of the policy is near a tie")
    place, action = search.ties[1][-1]
    elsewhere = courses._Courses(policy, {1: {place: action}}, np.zeros(policy.num_agents))
    recorded = elsewhere.play(evaluator, policy, name)
    assert np.flatnonzero(recorded != honest).tolist() == [1]
    monkeypatch.setattr(courses, "MAX_COURSES", len(search.ties[1]))
    assert courses.course_difference(evaluator, policy, name, recorded, near=False) == ""
    assert "(1 of 4 episodes differ)" in courses.course_difference(evaluator, policy, name, recorded, near=True)
    monkeypatch.setattr(courses, "MAX_COURSES", 2)
    recorded[1] += 0.5
    assert "in episode 1" in courses.course_difference(evaluator, policy, name, recorded, near=False)


def test_parameters_may_come_during_training(honest_runs: Path) -> None:
    """As adapters do half-way through; the best point may lie before."""
    evaluation = read_run(honest_runs / FUPS).evaluation
    assert evaluation is not None
    before, after = {"scheme.weights": np.zeros(2)}, {"scheme.adapters": np.zeros(3)}
    early = replace(evaluation, best_point=np.array(0))
    assert list(_pair_faults(after, before, early)) == []
    late = replace(evaluation, best_point=np.array(len(evaluation.marks) - 1))
    for faults in (_pair_faults(after, before, late), _pair_faults(after, {**before, "more": np.zeros(1)}, early)):
        assert ["names are not those" in str(fault) for fault in faults] == [True]


def test_other_instruction_sets_are_another_processor(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = read_run(honest_runs / FUPS)
    assert same_kind_of_machine(record.config, record.provenance)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert provenance_of(record.config).processor.endswith(" (ATEN_CPU_CAPABILITY=default)")
    assert not same_kind_of_machine(record.config, record.provenance)


# What no run writes must not make a record another machine's.
EXTRA = {"packages": {**provenance._versions(), "x": "1"}}


@pytest.mark.parametrize(
    ("changes", "same"),
    [({}, True), ({"python": "3.99.1"}, False), ({"packages": {}}, False), ({"git": None}, False), (EXTRA, True)],
)
def test_other_software_may_give_other_bytes(honest_runs: Path, changes: dict[str, Any], same: bool) -> None:
    record = read_run(honest_runs / FUPS)
    # A test may run where there is no checkout.
    here = record.provenance.model_copy(update={"git": provenance.Git(commit="0" * 40, modified=False)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "_git", lambda: here.git)
        assert provenance.same_software(record.config, here.model_copy(update=changes)) is same
        patch.setattr(provenance, "_git", lambda: provenance.Git(commit="0" * 40, modified=True))
        assert not provenance.same_software(record.config, here)


def test_identity_steps_are_whole_steps_of_all_lanes(honest_runs: Path) -> None:
    """Of a scheme from outside nothing else is known."""
    record = read_run(honest_runs / FUPS)
    assert record.sharing is not None
    scheme = SimpleNamespace(needs_identity_phase=True, group_source=None)
    for steps, found in ((400, []), (401, ["401; 4 lanes play 4 steps at a time"])):
        told = replace(record, sharing=record.sharing.model_copy(update={"identity_steps": steps}))
        assert [fault.message for fault in identity_faults(told, scheme)] == found


def test_groups_that_were_told_are_not_found(tmp_path: Path) -> None:
    """The weights of a run that was handed the types, in the record of one that was to find them."""
    identity = {"env_steps": 400, "num_groups": 1, "encoder": {"updates": 20}}
    told = {"name": "seps", "label": "told", "settings": {"labels": "true"}}
    found = {"name": "seps", "label": "found", "settings": {"identity": identity}}
    data = suite_data(schemes=[told, found], seeds=[1])
    suite, out = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]}), tmp_path / "runs"
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    run = out / "one/found/seed-1"
    assert verify_directory(run, deep=deep_checks).verified
    own = read_weights(read_run(run))
    kept = {name: own[name] for name in ("scheme.identity_steps", "scheme.prepared")}
    replant(run, {**read_weights(read_run(out / "one/told/seed-1")), **kept})
    sharing = read_run(run).sharing
    assert sharing is not None
    assert (sharing.ari, sharing.summary["told_types"], sharing.summary["groups_from"]) == (1.0, False, "found")
    assert_only_deep_notices(
        run, r"scheme.labels: \[0, 1, 0, 0\]; the identity phase of this seed gives \[0, 0, 0, 0\]"
    )
    edit_json(run, "provenance.json", lambda value: value["packages"].update(numpy="0"))
    notes = verify_directory(run, deep=deep_checks).notes
    assert any(re.match(r"1 runs \(one/found/seed-1\) name another machine, other packages", note) for note in notes), (
        notes
    )


@pytest.mark.parametrize(
    ("scheme", "settings"),
    [
        ("seps", {"labels": "each"}),
        ("adaps_gates", {"labels": "each", "masks": "never"}),
        ("lorasa", {"switch_at": 1.0}),
        ("snp_ps", {}),
        ("disjoint_masks", {}),
    ],
)
@pytest.mark.parametrize("processor", [None, ELSEWHERE])
def test_what_training_leaves_as_it_is_cannot_hold_the_types(
    tmp_path: Path, scheme: str, settings: dict[str, Any], processor: str | None
) -> None:
    """Groups and masks of the hidden types, in the networks of a scheme that is not told them.

    Only what the identity phase finds may be other elsewhere: seeds draw the same everywhere.
    """
    if scheme == "disjoint_masks" and processor is not None:
        return  # the phase may find others elsewhere
    if scheme in ("disjoint_masks", "adaps_gates"):
        settings = {**settings, "identity": {"env_steps": 400, "num_groups": 2, "encoder": {"updates": 20}}}
    data = suite_data(schemes=[{"name": scheme, "label": "mine", "settings": settings}], seeds=[1])
    config = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]}).runs()[0]
    run = tmp_path / "runs" / config.run_id
    assert execute_job(config, run, lambda steps: None).status == "done"
    assert verify_directory(run, deep=deep_checks).verified
    record, model = read_run(run), build_model(config)
    assert record.sharing is not None
    types, policy = np.array(record.sharing.agent_types), model.policy
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(record).items()})
    weights = policy.state_dict()
    masks = [name for name in weights if ".mask_" in name and "masks" not in settings]
    if not masks:
        policy.scheme.regroup(types)
    for name in masks:
        groups = types if scheme == "snp_ps" else np.array([1, 0])
        weights[name] = torch.from_numpy(np.arange(weights[name].shape[1]) % 2 == groups[:, None])
    policy.load_state_dict(weights if masks else policy.state_dict())
    policy.rebuild_optimizer()
    model.learn(config.task.budget)
    replant(run, {name: tensor.numpy().copy() for name, tensor in policy.state_dict().items()})
    if processor is not None:
        edit_json(run, "provenance.json", lambda value: value.update(processor=processor))
    assert_only_deep_notices(run, r"this seed gives (\[|another)")


def test_the_last_digits_of_gates_cannot_hold_the_types(tmp_path: Path) -> None:
    """A unit with weights of 20,000 would read a hidden type from a gate that is half a ten-thousandth off."""
    settings = {"identity": {"env_steps": 400, "num_groups": 2, "encoder": {"updates": 20}}}
    data = suite_data(schemes=[{"name": "adaps_gates", "label": "mine", "settings": settings}], seeds=[1])
    config = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]}).runs()[0]
    run = tmp_path / "runs" / config.run_id
    assert execute_job(config, run, lambda steps: None).status == "done"
    weights = {name: array.copy() for name, array in read_weights(read_run(run)).items()}
    weights["scheme.actor_net.gates"][0, 0] *= np.float32(1.00005)
    replant(run, weights)
    assert_only_deep_notices(run, "scheme.actor_net.gates: .*the identity phase of this seed gives another")


def test_no_agents_are_told_apart_by_rounding(runs: Path) -> None:
    """One network for all agents can do it where large products cancel: their last bits depend on the place in a batch.

    Its actions are its own; but they are others if the weights are changed by a millionth.
    """
    weights = {name: array.copy() for name, array in read_weights(read_run(runs / FUPS)).items()}
    first, offsets, head = weights["scheme.actor_net.weights.0"], weights["scheme.actor_net.biases.0"], weights[HEAD]
    half = head.shape[-1] // 2
    first[:, half:], offsets[..., half:] = first[:, :half], offsets[..., :half]
    large = np.random.default_rng(0).normal(0.0, 1e6, head[..., :half].shape).astype(np.float32)
    head[..., :half] = 2.0 * head[..., :half] + large
    head[..., half:] = -large
    replant(runs / FUPS, weights)
    assert_only_deep_notices(runs / FUPS, "it hangs on rounding: with weights changed by a millionth")


def assert_it_hangs_on_rounding(record: Any, policy: Any) -> None:
    """Three episodes of what the policy plays here are a fault."""
    env = make_batched(record.config.task.env, 3, **environment_params(record.config))
    first_seed = seeds_of(record.config).evaluation_start
    played = play_episodes(env, lambda obs: policy.logits(obs).numpy().argmax(axis=-1), first_seed)
    actions = FinalActions(played.actions, played.lengths)
    (fault,) = choice_faults(record.config, policy, FINAL, "final", actions, near=True)
    assert "it hangs on rounding" in fault.message


def test_no_agents_are_told_apart_by_their_place_in_a_batch(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of matrices treat the last rows of a batch in their own way; here, the last lane is."""
    honest = SharingPolicy.logits

    def by_place(policy: Any, obs: np.ndarray, **given: Any) -> torch.Tensor:
        logits = honest(policy, obs, **given)
        logits[-1] = -logits[-1]
        return logits

    record, policy = read_run(runs / FUPS), policy_of(runs / FUPS)
    monkeypatch.setattr(SharingPolicy, "logits", by_place)
    assert_it_hangs_on_rounding(record, policy)


def test_no_agents_are_told_apart_by_the_order_of_their_sums(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of matrices may add up in another order in every second row, and overflow in one order alone."""
    honest = SharingPolicy.logits

    def by_parity(policy: Any, obs: np.ndarray, **given: Any) -> torch.Tensor:
        logits = honest(policy, obs, **given)
        if logits.dtype == torch.float32:
            logits[:, 1::2] = -logits[:, 1::2]
        return logits

    record, policy = read_run(runs / FUPS), policy_of(runs / FUPS)
    monkeypatch.setattr(SharingPolicy, "logits", by_parity)
    assert_it_hangs_on_rounding(record, policy)
    assert all(tensor.dtype != torch.float64 for tensor in policy.state_dict().values())


def test_layers_whose_sums_could_overflow_are_a_fault() -> None:
    """In float64, too, it takes many layers: the order of a sum then tells agents of one network apart."""
    deep_one = {f"scheme.actor_net.weights.{layer}": np.full((1, 3, 3), 3e37, np.float32) for layer in range(6)}
    (fault,) = _array_faults(FINAL, deep_one)
    assert "its sums could overflow: its layers enlarge what they read by up to 1e228; at most 1e100" in str(fault)
    of_the_critic = {name.replace("actor", "critic"): array for name, array in deep_one.items()}
    shallow = dict(list(deep_one.items())[:2])
    honest = {name: np.full((1, 64, 64), 0.5, np.float32) for name in deep_one}
    for arrays in (of_the_critic, shallow, honest, {"scheme.labels": np.arange(3)}):
        assert list(_array_faults(FINAL, arrays)) == []


def test_a_phase_is_run_again_whatever_its_settings_would_allow() -> None:
    """Endless patience and many passes do not say what the recorded phase took."""
    identity = {"env_steps": 400, "patience": 1e9, "encoder": {"passes": 20}}
    scheme = {"name": "seps", "label": "patient", "settings": {"identity": identity}}
    config = SuiteConfig.model_validate(suite_data(schemes=[scheme])).runs()[0]
    config = config.model_copy(update={"task": config.task.model_copy(update={"budget": 1 << 30})})
    source = build_model(config).policy.scheme.group_source
    config = network_only(config, config.learner.num_lanes)
    again = groups.prepared_again(config, source, 400)
    assert int(again.scheme.identity_steps) == 400
    with pytest.raises(groups.LongerPhaseError):
        groups.prepared_again(config, source, 384)


def test_a_phase_that_goes_on_after_its_recorded_end_is_a_fault(
    honest_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_on(*_: Any) -> None:
        raise groups.LongerPhaseError

    monkeypatch.setattr(deep, "prepared_again", goes_on)
    (fault,) = verify_directory(honest_runs / "one/adaps/seed-0", deep=deep_checks).all_faults
    assert "identity_steps" in str(fault)
    assert "the identity phase of this seed takes more" in str(fault)


@pytest.mark.parametrize(("others", "faults", "notes"), [(400, 1, 0), (2, 0, 1)])
def test_groups_that_are_right_for_known_seeds_alone_are_told(
    honest_runs: Path, others: int, faults: int, notes: int
) -> None:
    """Among many settings of a phase, some find groups by chance that are right for the seeds of a row."""
    found = verify_directory(honest_runs, deep=lambda *_: deep.Examined((), other_deals=(-0.5,) * others))
    told = "its groups agree with the hidden types by an ARI of 0.00 on average; with"
    assert [told in str(fault) for fault in found.all_faults] == [True] * faults
    assert sum(told in note for note in found.notes) == notes
    for about in (0.0, -0.09):
        same = verify_directory(honest_runs, deep=lambda *_, ari=about: deep.Examined((), other_deals=(ari,) * others))
        assert same.verified
        assert not any("ARI" in note for note in same.notes)


def test_a_phase_with_settings_of_its_own_is_run_with_other_seeds(
    honest_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    honest = deep.prepared_again

    def noted(config: Any, source: Any, steps: int, **limits: Any) -> Any:
        seeds.append(config.seed)
        if len(seeds) == 3:
            raise groups.LongerPhaseError
        return honest(config, source, steps, **limits)

    monkeypatch.setattr(deep, "prepared_again", noted)
    record = read_run(honest_runs / "one/adaps/seed-0")
    found = deep_checks(record)  # type: ignore[arg-type]
    assert found.other_deals == (0.0,) * deep.OTHER_DEALS, "one group for two types, or none in time"
    assert found.held_out is not None
    assert found.held_out.ari == 0.0
    assert len(set(seeds)) == 1 + deep.OTHER_DEALS
    assert seeds[0] == 0
    assert [*deep._other_deals(record, build_model(record.config).policy.scheme.group_source, found.held_out.seed)]
    assert seeds[1 : 1 + deep.OTHER_DEALS] == seeds[1 + deep.OTHER_DEALS :], "they follow from the seed"
    assert apart._decoded(apart._encoded(found)).other_deals == found.other_deals
    assert deep_checks(read_run(honest_runs / FUPS)).other_deals == ()  # type: ignore[arg-type]


def test_weights_are_of_the_networks_types(runs: Path) -> None:
    """What float64 holds can be infinite once it is loaded."""

    def wider(weights: Weights) -> None:
        weights[HEAD] = weights[HEAD].astype(np.float64)

    for file in (FINAL, BEST):
        edit_weights(runs / FUPS, file, wider)
    assert_only_deep_notices(runs / FUPS, "float64; the network has torch.float32")


def test_an_identity_phase_that_takes_too_much_memory_is_a_fault(
    honest_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its groups would be the word of its author, who chooses the settings."""
    monkeypatch.setattr(groups, "MAX_PHASE_BYTES", 1)
    (fault,) = verify_directory(honest_runs / "one/adaps/seed-0", deep=deep_checks).all_faults
    assert "the identity phase of this seed takes more memory than" in str(fault)
    monkeypatch.undo()
    assert verify_directory(honest_runs / "one/adaps/seed-0", deep=deep_checks).verified


@pytest.mark.parametrize(
    ("identity", "steps", "agents"),
    [
        pytest.param({}, 1 << 30, 4, id="long play"),
        pytest.param({"encoder": {"updates": 1 << 27, "batch_size": 1}}, 400, 4, id="small minibatches"),
        pytest.param({"encoder": {"updates": 1, "hidden": 4096, "batch_size": 1 << 16}}, 400, 4, id="wide layers"),
        pytest.param({"encoder": {"passes": 1 << 20}}, 1 << 12, 4, id="passes"),
        pytest.param({"method": "paper", "encoder": {"updates": 1}}, 400, 1_000, id="K-means of many"),
        pytest.param({"method": "paper", "encoder": {"updates": 1, "latent": 4096}}, 400, 256, id="long codes"),
        pytest.param({"encoder": {"updates": 1}}, 400, 2_000, id="tests of many"),
    ],
)
def test_what_an_identity_phase_takes_counts_as_decisions(identity: dict[str, Any], steps: int, agents: int) -> None:
    """Settings can ask for hours, so a phase is run again only if the decisions of all runs allow it."""
    config = SuiteConfig.model_validate(suite_data(schemes=[{"name": "seps", "settings": {"identity": identity}}]))
    own = config.runs()[0]
    preset = own.scheme.model_copy(update={"settings": {"identity": "seps-original"}})
    plain = own.model_copy(update={"scheme": preset})
    env = make_batched(own.task.env, 1, groups=[agents])
    assert groups.phase_decisions(own, env, steps) > MOST_DECISIONS
    assert groups.phase_decisions(plain, open_environment(own), 400) < 1 << 27, "it is run with its own seed alone"
    assert groups.chosen(own)
    assert not groups.chosen(plain)
    unknown = own.scheme.model_copy(update={"settings": {"identity": [["no such", 1]]}})
    assert groups.chosen(own.model_copy(update={"scheme": unknown})), "whatever its form"
    assert groups.phase_decisions(own.model_copy(update={"scheme": unknown}), env, steps) == 0


@pytest.mark.parametrize("tests", [True, False])
def test_a_regression_of_one_reward_for_all_counts(tests: bool) -> None:
    """That of 15 agents with 349 weights each took a minute and 5.4 GiB a phase, with next to no encoder."""
    short: dict[str, Any] = {"env_steps": 48_000, "encoder": {"updates": 1, "batch_size": 32, "hidden": 4, "latent": 2}}
    short |= {} if tests else {"regression": False}
    team = {"groups": [5, 5, 5], "num_landmarks": 84, "reward": "team_sum"}
    data = suite_data(schemes=[{"name": "seps", "settings": {"identity": short}}])
    config = SuiteConfig.model_validate(data).runs()[0]
    config = config.model_copy(update={"task": config.task.model_copy(update={"env": "BPS-1-v0", "params": team})})
    work = groups.phase_decisions(config, open_environment(config), 48_000)
    assert (work > 1 << 31) is tests
    if tests:
        source = GroupSource(identity=short)
        assert groups.prepared_again(config, source, 48_000) is None


@pytest.mark.parametrize(
    "answer", [[[], False, [], {}], [], {}, 3, [[], False, [], [[1, 1], "%"]], [[3], False, [], None]]
)
def test_whatever_a_plugin_answers_is_a_fault_of_its_run(
    honest_runs: Path, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "answer_apart", lambda *_: (answer, ""))
    (fault,) = apart.examined_apart(read_run(honest_runs / FUPS)).faults
    assert fault.message == "cannot be examined: it answered what cannot be read"


def test_files_beyond_what_is_read_are_compared_by_size(tmp_path: Path) -> None:
    with (tmp_path / "suite.json").open("wb") as stream:
        stream.truncate(40 << 30)
    assert runset._contents(tmp_path) == {tmp_path / "suite.json": f"{40 << 30} bytes"}


def test_files_that_change_while_policies_are_played_are_named(runs: Path) -> None:
    """Code of a plug-in runs then, and it can write into the records: its own, and others."""
    first, second = runs / FUPS, runs / "one/fups_id/seed-1"

    def edit(run: Path) -> None:
        edit_json(run, "costs.json", lambda costs: costs.update(cpu_seconds=0.0))

    def examined(record: Any, _: object) -> deep.Examined:
        if record.directory == second:
            edit(first)
            (second / "costs.json").unlink()
            (runs / "suite.json").write_text("{}")
        return deep.Examined(())

    faults = [str(fault) for fault in verify_directory(runs, deep=examined).all_faults]
    changed = "it was changed while the policies of all runs were played"
    assert sorted(fault.removesuffix(f": {changed}") for fault in faults if fault.endswith(changed)) == [
        f"{FUPS}/SHA256SUMS", f"{FUPS}/costs.json", "one/fups_id/seed-1/costs.json", "suite.json",
    ]  # fmt: skip


def test_runs_that_need_code_of_a_plugin_come_last(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could put other files in the place of those that are still to be examined, and the old ones back."""
    monkeypatch.setattr(apart, "needs_plugin", lambda config: config.scheme.name == "adaps")
    order: list[str] = []

    def examined(record: Any, _: object) -> deep.Examined:
        order.append(record.config.scheme.name)
        return deep.Examined(())

    assert verify_directory(runs, deep=examined).verified
    assert order == ["fups_id", "fups_id", "adaps", "adaps"]


def test_a_run_that_names_another_machine_is_noted(runs: Path) -> None:
    edit_json(runs / FUPS, "provenance.json", lambda value: value.update(processor=ELSEWHERE))
    notes = verify_directory(runs, deep=deep_checks).notes
    assert any(note.startswith(f"1 runs ({FUPS}) name another machine") for note in notes), notes


def test_episodes_that_take_too_much_memory_at_once(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "MAX_EPISODE_BYTES", 100)
    faults = [str(fault) for fault in verify_directory(honest_runs / FUPS, deep=deep_checks).all_faults]
    assert any("5 episodes at once take 0 MiB; at most 0 are played" in fault for fault in faults), faults


def test_observations_on_which_agents_are_compared_are_not_all_kept() -> None:
    """64 steps in eight lanes of 200 agents with 404 entries each are 165 MB, of which 512 rows are looked at."""
    params = canonical_json({"groups": [100, 100], "num_landmarks": 200, "max_cycles": 64})
    tracemalloc.start()
    try:
        assert common_observations("BPS-1-v0", params, 512).shape == (512, 404)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_task_of_few_episodes_is_noted(tmp_path: Path) -> None:
    data = suite_data(schemes=["fups_id"], seeds=[0])
    for counts, noted in (((31, 32), True), ((32, 31), True), ((32, 32), False)):
        task = {**data["tasks"][0], **dict(zip(("eval_episodes", "absolute_episodes"), counts, strict=True))}
        suite = SuiteConfig.model_validate({**data, "tasks": [task]})
        out = tmp_path / str(counts)
        for config in suite.runs():
            assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
        verdict = verify_directory(out, deep=deep_checks)
        assert verdict.verified
        assert any("is evaluated in 31 episodes: with fewer than 32" in note for note in verdict.notes) is noted
        assert not any("with fewer than" in note for note in verify_directory(out).notes)


def test_layers_that_take_too_much_memory_at_once(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = honest_runs / FUPS
    episodes = 5 * lane_bytes(open_environment(read_run(run).config))
    monkeypatch.setattr(deep, "MAX_EPISODE_BYTES", episodes)
    faults = [str(fault) for fault in verify_directory(run, deep=deep_checks).all_faults]
    assert any("episodes at once take" in fault for fault in faults), faults


def test_a_wide_network_after_few_updates_does_not_tie() -> None:
    """RMSprop's first steps move all weights alike: with 65,536 neurons the best logit was 1.48, and 1.3e-4 above."""
    margins = Margins(1)
    margins.add(np.array([[[1.48, 1.47987, 1.0]]], np.float32))
    assert not margins.tie()
    margins.add(np.array([[[3e5, 3e5, 0.0]]], np.float32))
    assert margins.tie()


def test_the_work_of_verifying_a_set_is_bounded(honest_runs: Path) -> None:
    """Two rows of two runs of nine episodes; the deep check plays 615 more each.

    It also compares six pairs of agents on 512 observations, which the scripted policy has to find, and runs identity
    phases of 400 steps. Of two runs of a row, with networks of eight neurons, one is compared with the other.
    """
    record = read_run(honest_runs / "one/adaps/seed-0")
    phase = groups.phase_decisions(record.config, open_environment(record.config), 400)
    assert 9 * 400 * 4 < phase < 1 << 20
    drawn = checks.initial_work(record.config, open_environment(record.config)) // 128
    for extra, episodes, more, phases in ((None, 9, 0, 0), (deep_checks, 624, OBSERVED + STEPS + drawn, 2 * phase)):
        decisions = DIGEST + 4 * (episodes * EPISODE + more) + 2 * 8 + phases + held(honest_runs)
        enough = verify_directory(honest_runs, deep=extra, most_decisions=decisions)
        assert enough.verified
        short = verify_directory(honest_runs, deep=extra, most_decisions=decisions - 1)
        assert ["--most-decisions allows more" in str(fault) for fault in short.all_faults] == [True]


def held(directory: Path) -> int:
    return sum(runset._memory_decisions(read_run(path)) for path in find_runs(directory))


def test_what_records_hold_in_memory_is_bounded(runs: Path) -> None:
    """A file of 177 kB unpacked to 100 runs that took 10 GiB, each of them within the limits of one file."""
    edit_metrics(runs / FUPS, lambda lines: [*lines, {"": [{"": 0}] * 50_000}])
    size = (runs / FUPS / "metrics.jsonl").stat().st_size
    (fault,) = verify_directory(runs / FUPS, most_decisions=32 * size).all_faults
    assert "its files count as" in str(fault)
    assert "its files count as" not in str(verify_directory(runs / FUPS).all_faults)


def test_a_large_network_is_counted_by_its_weights(runs: Path) -> None:
    """Its initial weights are played before any are read, so that a file of weights need not hold them."""
    wide = [2_000, 2_000]
    edit_config(runs / FUPS, lambda config: config["learner"].update(net_arch=wide))
    edit_header(runs / FUPS, lambda header: header["network"].update(net_arch=wide))
    decisions = DIGEST + 528 * EPISODE + OBSERVED + held(runs)
    assert verify_directory(runs / FUPS, most_decisions=decisions).verified
    (fault,) = verify_directory(runs / FUPS, deep=deep_checks, most_decisions=decisions).all_faults
    assert "--most-decisions allows more" in str(fault)


@pytest.mark.parametrize(
    ("scheme", "width", "critic", "most"),
    [
        ("fups", 64, "local", 1 << 12),
        ("nops", 64, "local", 1 << 14),
        ("fups", 1_024, "local", 1 << 25),
        ("prism", 5_780, "local", None),
        ("fups", 8_000, "central", None),
    ],
)
def test_drawing_large_networks_is_counted(
    honest_runs: Path, scheme: str, width: int, critic: str, most: int | None
) -> None:
    """Two decompositions of 5,780 x 5,780 took six minutes, but episodes of one step play hardly anything."""
    config = read_run(honest_runs / FUPS).config
    learner = {"net_arch": [width] * 2, "policy_settings": {"critic": critic}}
    changes = {"scheme": SchemeConfig(name=scheme), "learner": config.learner.model_copy(update=learner)}
    work = checks.initial_work(config.model_copy(update=changes), open_environment(config)) // 128
    assert work < most if most else work > MOST_DECISIONS // 2


def test_the_work_of_a_planner_is_counted() -> None:
    """It walks over the whole board for each food: 20 of them took a quarter of an hour, and 2,000 a day."""
    for side, foods, most in ((20, 10, 1 << 21), (100, 50, 1 << 27), (1024, 2_000, None)):
        for blind in ({}, {"grid_observation": True, "sight": 1}):
            params = {"field_size": [side, side], "max_num_food": foods, "players": 4, **blind}
            env = make_batched("LBF-8x8-2p-2f-coop", 1, **params)
            assert scripted_work(env) < most if most else scripted_work(env) > runset.MOST_DECISIONS


@pytest.mark.parametrize("params", [{"groups": [10_000] * 10}, {"groups": [100, 100], "num_landmarks": 10_000}])
def test_the_rollout_of_a_digest_is_counted(
    runs: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    """Its 800 steps take minutes with 100,000 agents, or with long observations."""
    monkeypatch.setattr(runset, "_digest", lambda env, params: pytest.fail("it is played"))
    edit_config(runs / FUPS, lambda config: config["task"].update(params=params))
    (fault,) = verify_directory(runs / FUPS, most_decisions=1 << 31).all_faults
    assert "--most-decisions allows more" in str(fault)


def test_teams_of_which_every_two_agents_take_too_long_to_compare(
    honest_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read_run(honest_runs / FUPS)
    for groups_of, refused in (([200] * 5, False), ([1_300] * 2, True)):
        task = record.config.task.model_copy(update={"params": {"groups": groups_of}})
        large = replace(record, config=record.config.model_copy(update={"task": task}))
        monkeypatch.setattr(deep, "build_model", lambda config: pytest.fail("it is built"))
        if refused:
            (fault,) = deep.examine(large).faults
            assert "every two of 2,600 agents are compared, 270,296,000 probabilities in all" in fault.message
        else:
            assert list(deep._size_faults(large.config)) == []


def test_layers_that_a_scheme_widens_are_counted(honest_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_run(honest_runs / "one/adaps/seed-0").config
    env = make_batched(config.task.env, 1, **environment_params(config))
    for scheme, width, layer in (("adaps", 10, 80), ("adaps_gates", 0.3, 2), ("hypermarl", 10, 8), ("adaps", "x", 8)):
        changed = config.scheme.model_copy(update={"name": scheme, "settings": {"width": width}})
        wide = config.model_copy(update={"scheme": changed})
        assert actor_weights(wide, env) == layer * (env.obs_dim + env.num_actions)
    monkeypatch.setattr(deep, "build_model", lambda config: pytest.fail("it is built"))
    learner = config.learner.model_copy(update={"net_arch": (1_000, 1_000)})
    scheme = config.scheme.model_copy(update={"settings": {"width": 64}})
    record = replace(read_run(honest_runs / "one/adaps/seed-0"), config=config.model_copy(
        update={"learner": learner, "scheme": scheme}))  # fmt: skip
    (fault,) = deep.examine(record).faults
    assert "private networks would have" in fault.message


def test_masks_that_are_drawn_again_and_again_are_counted(honest_runs: Path) -> None:
    """Orthogonal matrices of large layers, a thousand times over, would take hours."""
    record = read_run(honest_runs / "one/adaps/seed-0")
    env = open_environment(record.config)
    for more, costs in (
        ({}, False),
        ({"hidden": 4096, "max_redraws": 1000, "units": "weights"}, True),
        ({"hidden": "x"}, False),
    ):
        scheme = record.config.scheme.model_copy(update={"settings": {"labels": "each", **more}})
        config = record.config.model_copy(update={"scheme": scheme})
        assert (groups.phase_decisions(config, env, 0) > MOST_DECISIONS // 2) is costs


def test_observations_that_a_phase_keeps_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-means looks at all steps at once, which may be more than the memory holds."""
    monkeypatch.setattr(groups, "build_model", lambda config: pytest.fail("it is run again"))
    source = GroupSource(identity={"env_steps": 1 << 24, "method": "paper", "patience": 1, "encoder": {"updates": 1}})
    data = suite_data(schemes=["seps"])
    config = SuiteConfig.model_validate({**data, "tasks": [{**data["tasks"][0], "budget": 1 << 24}]}).runs()[0]
    assert groups.prepared_again(config, source, 1 << 24) is None
    given = GroupSource(labels=[0, 0, 1, 1], identity={"env_steps": 1 << 24, "encoder": {"updates": 1}})
    assert groups.prepared_again(config, given, 1 << 24) is None
    wide = GroupSource(identity={"encoder": {"updates": 1, "hidden": 4096, "batch_size": 1 << 16}})
    assert groups.prepared_again(config, wide, 400) is None


def test_what_training_forms_is_noted_and_masks_of_any_type_load(tmp_path: Path) -> None:
    """Masks have the type of the groups' codes, not of the one group that a network begins with; DiCo has numbers."""
    options = {"soft": {"binarisation": "soft"}, "sparse": {"codes": "sparse"}}
    schemes = [
        {"name": "adaps", "label": label, "settings": {"labels": "true", **more}} for label, more in options.items()
    ]
    data = suite_data(schemes=[*schemes, "dico", "kaleidoscope"], seeds=[0])
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in suite.runs():
        assert execute_job(config, tmp_path / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, tmp_path)
    verdict = verify_directory(tmp_path, deep=deep_checks)
    assert [str(fault) for fault in verdict.all_faults] == []
    assert [note.partition(" form")[0] for note in verdict.notes if "alone checks" in note] == [
        "2 runs (one/dico/seed-0)"
    ]


def test_linear_policies_are_no_copies_by_their_function(honest_runs: Path) -> None:
    """Their seeds converge: honest ones were called copies of each other."""
    config, policy = read_run(honest_runs / FUPS).config, policy_of(honest_runs / FUPS)
    assert deep._answers(config, policy) is not None
    linear = config.learner.model_copy(update={"net_arch": ()})
    assert deep._answers(config.model_copy(update={"learner": linear}), policy) is None


def test_a_policy_without_preferences_takes_its_first_action() -> None:
    """Networks whose weights are masked to nothing have logits of exactly 0, which no processor rounds."""
    margins = Margins(1)
    margins.add(np.zeros((2, 1, 3), np.float32))
    assert not margins.tie()


def test_an_action_that_an_agent_lacks_is_no_margin() -> None:
    own = np.array([[True, True, True], [True, True, False], [True, False, False]])
    scores = np.where(own, np.array([3.0, 1.0, 0.0]), -1e9)[None].astype(np.float32)
    margins = Margins(3, own)
    margins.add(scores)
    assert margins.usual.tolist() == [2.0, 2.0, 0.0]
    assert not margins.tie()
    margins.add(np.where(own, 1e6, -1e9)[None].astype(np.float32))
    margins.add(np.where(own, 1e6, -1e9)[None].astype(np.float32))
    assert margins.tie()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("processor", [None, ELSEWHERE])
def test_honest_runs_pass_whatever_the_number_of_threads(
    honest_runs: Path, more_runs: Path, tmp_path: Path, threads: int, processor: str | None
) -> None:
    before = torch.get_num_threads()
    for number, honest in enumerate((honest_runs, more_runs)):
        runs = shutil.copytree(honest, tmp_path / str(number))
        for file in runs.rglob("provenance.json") if processor else ():
            edit_json(file.parent, file.name, lambda value: value.update(processor=processor))
        torch.set_num_threads(threads)
        try:
            verdict = verify_directory(runs, deep=deep_checks)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        assert verdict.verified, [str(fault) for fault in verdict.all_faults]


def test_networks_of_unequal_groups_are_counted_by_the_labels_that_are_played(runs: Path) -> None:
    """They decide one after the other; what ``sharing.json`` says of them is compared after the play alone."""
    record = read_run(runs / FUPS)
    assert runset._networks(record) == 1  # type: ignore[arg-type]
    for file in (FINAL, BEST):
        edit_weights(runs / FUPS, file, lambda weights: weights.update({LABELS: np.array([0, 1, 2, 0])}))
        assert runset._networks(read_run(runs / FUPS)) == 3  # type: ignore[arg-type]
        edit_weights(runs / FUPS, file, lambda weights: weights.update({LABELS: np.array([0, 1, 1, 0])}))
        assert runset._networks(read_run(runs / FUPS)) == 1  # type: ignore[arg-type]
