"""One run handed in as several seeds, however its weights are disguised; and honest seeds that are no copies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fabricate import suite_data
from replant import Weights, noisy, permuted, replant

from baselines.leaderboard.execution.job import execute_job
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.records.reader import read_run, read_weights
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.verify import apart, verify_directory
from baselines.leaderboard.verify.copies import (
    WeightsPrint,
    answers_apart,
    answers_of,
    neurons_apart,
    print_of,
    same_weights,
)
from baselines.leaderboard.verify.deep import deep_checks
from baselines.leaderboard.verify.verdict import Examined

ONE, OTHER = "one/fups_id/seed-0", "one/fups_id/seed-1"


def run_all(out: Path, **changes: object) -> Path:
    data = suite_data(**changes)
    suite = SuiteConfig.model_validate({**data, "tasks": data["tasks"][:1]})
    for config in suite.runs():
        assert execute_job(config, out / config.run_id, lambda steps: None).status == "done"
    write_suite_file(suite, out)
    return out


@pytest.fixture(scope="session")
def wide_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a network of a usual width."""
    learner = {"num_lanes": 4, "net_arch": [32, 32], "settings": {"n_steps": 5, "learning_rate": 2e-3}}
    return run_all(tmp_path_factory.mktemp("wide") / "runs", schemes=["fups_id"], learner=learner)


def faults_of(runs: Path, *, deep: bool) -> list[str]:
    return [str(fault) for fault in verify_directory(runs, deep=deep_checks if deep else None).all_faults]


DISGUISES: dict[str, Callable[[Weights], Weights]] = {
    "in another order": lambda weights: permuted(weights, 1),
    "in another order, with noise": lambda weights: permuted(noisy(weights, 2, 0.01), 1),
    "with much noise": lambda weights: noisy(weights, 2, 0.1),
    "under another name for each agent": lambda weights: agents_swapped(weights),
}


def agents_swapped(weights: Weights) -> Weights:
    """Two agents of one type change places: the columns of their indices in the input do."""
    out = dict(permuted(weights, 3))
    for name in ("scheme.actor_net.weights.0", "scheme.critic_net.weights.0"):
        columns = np.arange(out[name].shape[-1])
        columns[[-4, -3]] = columns[[-3, -4]]
        out[name] = np.ascontiguousarray(out[name][..., columns])
    return out


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_copy_of_another_seed_is_named(wide_runs: Path, tmp_path: Path, disguise: str) -> None:
    runs = shutil.copytree(wide_runs, tmp_path / "runs")
    replant(runs / OTHER, DISGUISES[disguise](read_weights(read_run(runs / ONE))))
    what = f"{OTHER}/policy.safetensors: the {{}} of {ONE} "
    shallow = faults_of(runs, deep=False)
    if disguise != "under another name for each agent":
        assert any(fault.startswith((what.format("neurons"), what.format("weights"))) for fault in shallow), shallow
    deep = faults_of(runs, deep=True)
    if disguise != "with much noise":
        assert any(fault.startswith(what.format("policy")) for fault in deep), deep


@pytest.mark.parametrize("disguise", ["in another order", "in another order, with noise"])
def test_a_copy_of_a_small_network_is_named_by_what_it_does(runs: Path, disguise: str) -> None:
    """Eight neurons say nothing; the function that they compute does."""
    replant(runs / OTHER, DISGUISES[disguise](read_weights(read_run(runs / ONE))))
    assert faults_of(runs, deep=False) == []
    deep = faults_of(runs, deep=True)
    assert any(fault.startswith(f"{OTHER}/policy.safetensors: the policy of {ONE} (") for fault in deep), deep


def test_weights_of_another_row_are_noted(tmp_path: Path) -> None:
    """Private networks that all hold the shared one: other arrays, names and counts, the same function."""
    runs = run_all(tmp_path / "runs", schemes=["fups", "nops"], seeds=[0])
    one, other = "one/fups/seed-0", "one/nops/seed-0"
    assert notes_of_rows(runs) == []
    shared, own = (read_weights(read_run(runs / run)) for run in (one, other))
    stolen = {
        name: np.repeat(shared[name], len(array), axis=0) if array.dtype.kind == "f" else array
        for name, array in own.items()
    }
    replant(runs / other, stolen)
    (note,) = notes_of_rows(runs)
    assert re.fullmatch(rf"{other} acts as {one} does \(scores apart by (0|\S+e-\d+)\)", note)


def notes_of_rows(runs: Path) -> list[str]:
    verdict = verify_directory(runs, deep=deep_checks)
    assert verdict.verified, [str(fault) for fault in verdict.all_faults]
    return [note.partition(":")[0] for note in verdict.notes if " acts as " in note]


def test_honest_seeds_are_no_copies(wide_runs: Path) -> None:
    for deep in (False, True):
        assert faults_of(wide_runs, deep=deep) == []


def test_seeds_whose_thresholds_hardly_differ_are_no_copies(tmp_path: Path) -> None:
    """They outweigh the weights, and all of them start near one constant."""
    scheme = {"name": "kaleidoscope", "label": "offset", "settings": {"offset": 40, "scale": 1}}
    assert faults_of(run_all(tmp_path / "runs", schemes=[scheme]), deep=True) == []


def test_prints_of_unusual_weights() -> None:
    rng = np.random.default_rng(0)
    name = "scheme.actor_net.weights.0"
    for array in (
        np.zeros((1, 64, 5), np.float32),
        np.ones((1, 64, 5), np.float32),
        np.ones((), np.float32),
        np.full((1, 64, 5), 3e38, np.float32),
        np.zeros((1, 0, 5), np.float32),
    ):
        own = print_of({name: array})
        assert neurons_apart(own, own) == 1.0
        assert same_weights(own, own)
    honest = [print_of({name: rng.standard_normal((4, 64, 5)).astype(np.float32)}) for _ in range(2)]
    assert not same_weights(*honest)
    assert 0.8 < neurons_apart(*honest) < 1.25
    assert neurons_apart(honest[0], honest[0]) < 1e-3


def test_every_array_of_a_copy_is_near_that_of_the_other() -> None:
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"a": (9, 9), "b": (0, 3), "c": (), "d": (5,)}
    own = {name: np.asarray(rng.standard_normal(shape), np.float32) for name, shape in shapes.items()}

    def noisy(**sizes: float) -> WeightsPrint:
        return print_of({name: array * np.float32(1 + sizes.get(name, 0.0)) for name, array in own.items()})

    assert same_weights(print_of(own), noisy(a=0.04, c=-0.04, d=0.04))
    for name in "acd":
        assert not same_weights(print_of(own), noisy(**{name: 0.06}))
    assert not same_weights(print_of(own), print_of({**own, "a": own["a"].reshape(-1)}))
    assert not same_weights(print_of({"a": own["a"][:3]}), print_of({"a": own["a"][:3] * np.float32(1.01)})), "too few"


def test_answers_are_those_of_agents_in_any_order_and_scale() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((50, 3, 4))
    own = answers_of(scores)
    assert answers_apart(own, answers_of(7.0 * scores[:, [2, 0, 1]] + 100.0)) < 1e-3
    assert answers_apart(own, answers_of(rng.standard_normal((50, 3, 4)))) > 0.8
    blind = answers_of(np.broadcast_to(rng.standard_normal((1, 3, 4)), (50, 3, 4)))
    assert answers_apart(blind, blind) == 1.0, "policies that do not look cannot be compared"
    lacking = np.zeros((3, 4), np.bool_)
    lacking[1, 2:] = True
    masked = np.where(lacking, -1e9, scores)
    assert answers_apart(answers_of(masked, lacking), answers_of(2.0 * masked, lacking)) < 1e-3
    assert answers_apart(own, own[:2]) == 1.0
    nobody = np.zeros((0, 5), np.float32)
    assert answers_apart(nobody, nobody) == 1.0


def test_a_plugin_that_answers_for_no_agent_is_not_believed() -> None:
    found = Examined((), answers=np.zeros((0, 5), np.float32))
    with pytest.raises(ValueError, match="no answers"):
        apart._decoded(apart._encoded(found))
