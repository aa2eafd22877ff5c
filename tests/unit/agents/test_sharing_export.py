"""Who shares a network, as RLlib and TorchRL write it down."""

from __future__ import annotations

import pickle

import pytest
from agents_common import small_model
from methods_common import build

from adaps_agents import SharingA2C, list_schemes
from adaps_agents.export import group_map, policy_mapping_fn
from adaps_agents.schemes.registry import scheme_class
from adaps_envs.errors import InvalidParameterError, UnknownNameError

ONE = {"group_0": ["agent_0", "agent_1", "agent_2", "agent_3"]}
EACH = {f"group_{i}": [f"agent_{i}"] for i in range(4)}
HALVES = {"group_0": ["agent_0", "agent_2"], "group_1": ["agent_1", "agent_3"]}


@pytest.mark.parametrize(
    ("scheme", "options", "expected"),
    [
        ("fups", {}, ONE),
        ("nops", {}, EACH),
        ("oracle", {"types": [0, 1, 0, 1]}, HALVES),
        ("seps", {"labels": [0, 1, 0, 1]}, HALVES),
        ("adaps", {"labels": [0, 1, 0, 1]}, HALVES),
    ],
)
def test_group_map_holds_the_groups(scheme: str, options: dict[str, list[int]], expected: dict[str, list[str]]) -> None:
    assert group_map(build(scheme, **options)) == expected


@pytest.mark.parametrize(
    "scheme", ["fups_id", "snp_ps", "kaleidoscope", "hypermarl", "lorasa", "dico", "gradps", "prism"]
)
def test_a_scheme_without_groups_is_refused(scheme: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"scheme '{scheme}' shares weights in part"):
        policy_mapping_fn(build(scheme))


def test_every_scheme_has_groups_or_says_why_not() -> None:
    for name in list_schemes():
        options = {"types": [0, 0, 1, 1]} if scheme_class(name).uses_true_types else {}
        try:
            members = group_map(build(name, **options)).values()
        except InvalidParameterError:
            continue
        assert sorted(agent for group in members for agent in group) == ONE["group_0"]


def test_the_mapping_function_survives_pickling_and_takes_what_rllib_passes() -> None:
    mapping = pickle.loads(pickle.dumps(policy_mapping_fn(build("seps", labels=[0, 1, 0, 1]))))
    assert mapping.policies == ["group_0", "group_1"]
    assert [mapping(f"agent_{i}", None, worker=None) for i in range(4)] == ["group_0", "group_1"] * 2
    assert mapping("agent_1", episode=object()) == "group_1"
    with pytest.raises(UnknownNameError, match="no agent 'agent_9'"):
        mapping("agent_9")


def test_a_learner_and_other_names_do_as_well() -> None:
    model = small_model(SharingA2C, "oracle")
    assert [len(group) for group in group_map(model).values()] == [4, 2]
    names = ["ann", "bob", "cid", "dee", "eve", "fay"]
    assert group_map(model.policy, names)["group_1"] == ["eve", "fay"]
    with pytest.raises(InvalidParameterError, match="2 names"):
        group_map(model, ["ann", "bob"])
    with pytest.raises(InvalidParameterError, match="has no sharing scheme"):
        group_map(object())
