"""What can be checked, how checks are chosen, and what a report says."""

from __future__ import annotations

import sys
import types
from typing import Any

import pettingzoo
import pytest
from pettingzoo import AECEnv

import adaps_envs
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.errors import InvalidParameterError, UnknownNameError
from adaps_envs.testing import GROUPS, QUICK, CheckReport, CheckResult, check_target, list_checks
from adaps_envs.testing.target import resolve

SMALL = {"groups": [2, 1], "max_cycles": 6}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module as another package would ship it: a parallel environment, a turn-based one, and things that are none."""
    made = types.ModuleType("someones_env_v0")
    made.parallel_env = lambda max_cycles=6: adaps_envs.make("BPS-1", groups=[2, 1], max_cycles=max_cycles)
    made.turns = lambda: adaps_envs.make("BPS-1", api="aec", **SMALL)
    made.a_class = lambda: ParallelFace
    made.needs_a_size = lambda size: adaps_envs.make("BPS-1", groups=[size])
    monkeypatch.setitem(sys.modules, "someones_env_v0", made)
    return made


@pytest.mark.parametrize("reference", ["BPS-1", "adaps/BPS-1-v0", "adaps/bps_1-v0"])
def test_our_ids_in_every_spelling(reference: str) -> None:
    target = resolve(reference, SMALL)
    assert (target.name, target.env_id) == ("BPS-1-v0", "BPS-1-v0")
    assert target.parallel(max_cycles=3).max_cycles == 3
    assert isinstance(target.aec(), AECEnv)


def test_modules_and_callables(module: types.ModuleType) -> None:
    assert resolve("someones_env_v0").name == "someones_env_v0:parallel_env"
    assert resolve("someones_env_v0:parallel_env").parallel(max_cycles=3).max_cycles == 3
    assert isinstance(resolve("someones_env_v0:parallel_env").aec(), AECEnv)
    turns = resolve("someones_env_v0:turns")
    assert list(turns.parallel().possible_agents) == ["agent_0", "agent_1", "agent_2"]
    assert resolve(module.parallel_env, {"max_cycles": 2}).parallel().max_cycles == 2
    assert resolve("someones_env_v0:needs_a_size", {"size": 2}).env_id is None


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="PettingZoo has a registry from 1.27 on")
def test_an_id_of_pettingzoos_registry() -> None:
    target = resolve("classic/rps-v2")
    assert target.env_id is None
    assert target.parallel().possible_agents == pettingzoo.make("parallel", "classic/rps-v2").possible_agents


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("BPS-9", UnknownNameError, "Did you mean 'BPS-.*neither in PettingZoo's registry.*nor a module"),
        ("someones/env-v3", UnknownNameError, "give module:callable"),
        ("no_such_module:env", UnknownNameError, "cannot import 'no_such_module:env'"),
        ("someones_env_v0:env", UnknownNameError, "cannot import"),
        ("json", UnknownNameError, "neither parallel_env nor env"),
        ("someones_env_v0:a_class", InvalidParameterError, "neither a ParallelEnv nor an AECEnv. The callable returns"),
        ("someones_env_v0:needs_a_size", InvalidParameterError, "cannot be called with {}"),
        ("json:loads", InvalidParameterError, "cannot be called"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked(module: types.ModuleType, reference: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(reference)


def test_illegal_parameters_are_the_callers_error() -> None:
    with pytest.raises(InvalidParameterError, match="no parameter 'colour'"):
        check_target("BPS-1", params={"colour": 1})


@pytest.mark.filterwarnings("ignore")
def test_somebody_elses_environment_gets_the_checks_that_apply(module: types.ModuleType) -> None:
    begun: list[str] = []
    report = check_target("someones_env_v0", effort=QUICK, select=["pettingzoo/*", "parallel/*"], progress=begun.append)
    assert report.passed, report.failures
    assert begun == [result.name for result in report.results]
    expected = [f"{group}/{name}" for group in ("pettingzoo", "parallel") for name in GROUPS[group]]
    assert begun == expected


def test_turn_based_environments_are_checked_through_the_conversion(module: types.ModuleType) -> None:
    report = check_target(
        "someones_env_v0:turns", effort=QUICK, select=["pettingzoo/aec_api", "parallel/deterministic"]
    )
    assert report.counts() == {"passed": 2, "failed": 0, "skipped": 0}


def test_own_groups_are_for_own_ids(module: types.ModuleType) -> None:
    with pytest.raises(UnknownNameError, match=r"no check of this environment fits 'batched/\*'"):
        check_target("someones_env_v0", select=["batched/*"])
    with pytest.raises(UnknownNameError, match="fits 'faces/"):
        check_target("BPS-1", select=["faces/*"])
    assert check_target("BPS-1", params=SMALL, effort=QUICK, faces=True, select=["faces/agreement"]).passed


def test_digests_are_pinned_for_presets_only() -> None:
    names = [result.name for result in check_target("BPS-1", params=SMALL, effort=QUICK, select=["own/*"]).results]
    assert "own/digest" not in names
    assert check_target("BPS-1", select=["own/digest"]).results[0].status == "passed"


def test_a_broken_environment_is_reported_not_raised() -> None:
    class Broken(ParallelFace):
        def step(self, actions: Any) -> Any:
            sys.stdout.write("noise")
            raise RuntimeError("out of order")

    def broken() -> Broken:
        return Broken(adaps_envs.make_batched("BPS-1", 1, **SMALL))

    report = check_target(broken, effort=QUICK, select=["parallel/*"])
    assert not report.passed
    failed = {result.name: result.message for result in report.failures}
    assert failed["parallel/deterministic"] == "RuntimeError: out of order"
    assert "parallel/same_spaces" not in failed


def test_warnings_become_notes() -> None:
    report = check_target("BPS-1", params=SMALL, effort=QUICK, select=["pettingzoo/parallel_api"])
    assert report.results[0].notes == ("reset options ['options'] are not known and are ignored.",)


def test_statuses() -> None:
    results = (
        CheckResult("a", True, ""), CheckResult("b", False, "broken."), CheckResult("c", True, "no use.", skipped=True)
    )  # fmt: skip
    report = CheckReport("x", results)
    assert [result.status for result in results] == ["passed", "failed", "skipped"]
    assert report.counts() == {"passed": 1, "failed": 1, "skipped": 1}
    assert not report.passed
    assert report.failures == results[1:2]
    assert repr(report) == "<CheckReport x: 1 passed, 1 failed, 1 skipped (b)>"
    assert str(report).splitlines() == [repr(report), "a  passed", "b  failed   broken.", "c  skipped  no use."]


def test_every_check_states_its_rule() -> None:
    rules = list_checks()
    assert len(rules) == sum(map(len, GROUPS.values()))
    assert all(rule.endswith((".", "``.")) for rule in rules.values()), rules


@pytest.mark.filterwarnings("ignore")
def test_an_installed_environment_of_others_passes() -> None:
    pytest.importorskip("mpe2")
    report = check_target("mpe2.simple_spread_v3", effort=QUICK, select=["pettingzoo/*_api", "parallel/*"])
    assert report.failures == ()
    assert report.counts()["passed"] >= 12
