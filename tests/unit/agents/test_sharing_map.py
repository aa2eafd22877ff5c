"""Who shares what with whom: the map, its table and its picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
from methods_common import BPS_1, build, on_bps_1

from adaps_agents import AgentSpaces, list_schemes
from adaps_agents.diagnostics import SharingMap, draw_sharing, sharing_map, sharing_table
from adaps_agents.diagnostics.parameter_usage import used_entries
from adaps_agents.diagnostics.sharing_map import MAX_SETS
from adaps_agents.diagnostics.table import brief_agents
from adaps_agents.schemes.registry import scheme_class
from adaps_envs.errors import InvalidParameterError

THREE = [0] * 5 + [1] * 5 + [2] * 5
TWENTY = [index % 20 for index in range(200)]
MANY = AgentSpaces(200, 10, 5)


def test_full_sharing_is_one_set() -> None:
    found = sharing_map(on_bps_1("fups"))
    assert found.sets == [list(range(15))]
    assert found.parts["actor"].used.tolist() == [5_189]
    assert found.parts["critic"].used.tolist() == [4_929]
    assert found.trainable == 10_118


def test_private_networks_have_nothing_in_common() -> None:
    found = sharing_map(on_bps_1("nops"))
    assert found.sets == [[agent] for agent in range(15)]
    np.testing.assert_array_equal(found.parts["actor"].shared, np.eye(15))
    assert found.parts["critic"].own.tolist() == [1.0] * 15
    assert found.groups == list(range(15))


def test_an_index_adds_one_private_column() -> None:
    found = sharing_map(on_bps_1("fups_id"))
    assert found.parts["actor"].used.tolist() == [5_189 + 64] * 15
    assert found.parts["actor"].own == pytest.approx(64 / 5_253)
    assert found.parts["actor"].shared[3, 4] == pytest.approx(5_189 / 5_253)
    assert found.groups is None


def test_masked_groups_share_the_joint_neurons() -> None:
    scheme = on_bps_1("adaps", labels=THREE)
    found = sharing_map(scheme)
    assert found.sets == [list(range(5)), list(range(5, 10)), list(range(10, 15))]
    first, second = (mask.double().numpy() for mask in scheme.actor_net.masks or [])
    joint, in_second = first @ first.T, second @ second.T
    # Input weights and biases of the first layer, the block between the layers, biases, output weights, output biases.
    expected = joint * (10 + 1) + joint * in_second + in_second + in_second * 5 + 5
    used = np.diag(expected)
    np.testing.assert_array_equal(found.parts["actor"].used, used)
    np.testing.assert_allclose(found.parts["actor"].shared, expected / used[:, None])


def test_shares_are_of_what_the_rows_agents_use() -> None:
    scheme = build("snp_ps", keep=0.5, draw="bernoulli")
    found = sharing_map(scheme).parts["actor"]
    assert len(set(found.used.tolist())) > 1
    used = [torch.cat([e.flatten() for e in used_entries(scheme, "actor", agent).values()]) for agent in range(4)]
    for row, column in np.ndindex(4, 4):
        share = int((used[row] & used[column]).sum()) / int(used[row].sum())
        assert found.shared[row, column] == pytest.approx(share)


def test_what_no_other_set_uses_is_counted_once() -> None:
    found = sharing_map(build("dico"))
    parts = found.parts["actor"]
    assert parts.own == pytest.approx(0.5)
    assert parts.shared[0, 1] == pytest.approx(0.5)
    assert found.parts["critic"].own.tolist() == [1.0] * 4


@pytest.mark.parametrize("name", list_schemes())
def test_every_scheme_has_a_map_that_survives_json(name: str) -> None:
    options = {"types": [0, 1, 0, 1]} if scheme_class(name).uses_true_types else {}
    found = sharing_map(build(name, **options), ["ann", "bob", "cid", "dee"])
    assert sorted(agent for members in found.sets for agent in members) == [0, 1, 2, 3]
    assert found.complete
    again = SharingMap.from_json(json.loads(json.dumps(found.as_json())))
    assert again.as_json() == found.as_json()
    assert sharing_table(again) == sharing_table(found)
    for part in found.parts.values():
        assert ((part.shared >= 0) & (part.shared <= 1)).all()
        assert (part.own <= 1 + 1e-12).all()


def test_what_is_no_map_is_refused() -> None:
    good = sharing_map(build("fups")).as_json()
    for bad in (None, {}, {**good, "sets": [["nobody"]]}, {**good, "sets": []}, {**good, "parts": {"actor": 1}}):
        with pytest.raises(InvalidParameterError, match="not a sharing map"):
            SharingMap.from_json(bad)


@pytest.mark.parametrize(
    ("name", "options"), [("nops", {}), ("snp_ps", {}), ("adaps", {"labels": TWENTY}), ("fups", {})]
)
def test_a_table_is_readable_whatever_the_team(name: str, options: dict[str, list[int]]) -> None:
    for spaces, chosen in ((BPS_1, {"labels": THREE} if options else {}), (MANY, options)):
        table = sharing_table(sharing_map(build(name, spaces, (64, 64), **chosen)))
        lines = table.splitlines()
        assert len(lines) <= 26
        assert max(map(len, lines)) <= 120
        assert lines[0].startswith(f"{name}: {spaces.num_agents} agents")


def test_the_table_says_who_shares_what() -> None:
    table = sharing_table(sharing_map(on_bps_1("oracle", types=THREE)))
    assert table.splitlines()[0] == "oracle: 15 agents in 3 groups, 30,354 trainable parameters"
    row = " ".join(table.splitlines()[2].split())
    assert row == "0 agent_0 .. agent_4 (5) 5,189 100 % 0 % 4,929 100 % 0 %"
    assert "share of a row's parameters that a column uses too:" in table
    assert sharing_table(sharing_map(on_bps_1("fups"))).endswith("all agents share every parameter")
    alone = sharing_table(sharing_map(on_bps_1("nops")))
    assert "no two agents use the same parameters" in alone
    assert "an agent uses 5,189 parameters; another one uses 0 % of them too" in alone


def test_of_many_agents_some_stand_for_all() -> None:
    found = sharing_map(build("snp_ps", MANY, (16, 16)))
    assert len(found.sets) == MAX_SETS
    assert not found.complete
    assert (found.sets[0], found.sets[-1]) == ([0], [199])
    assert f"(as far as {MAX_SETS} of them tell)" in sharing_table(found)
    shared = sharing_table(sharing_map(build("gradps", MANY, (16, 16))))
    assert f"all agents share every parameter (as far as {MAX_SETS} of them tell)" in shared


def test_runs_of_agents_are_shortened() -> None:
    names = [f"agent_{index}" for index in range(200)]
    assert brief_agents(names, [0, 1, 2, 7]) == "agent_0 .. agent_2, agent_7"
    assert brief_agents(names, [4, 5]) == "agent_4, agent_5"
    assert brief_agents(names, range(0, 200, 2)) == "agent_0, agent_2, agent_4, ..."


@pytest.mark.parametrize(("spaces", "labels"), [(BPS_1, THREE), (MANY, TWENTY)])
def test_pictures_are_files_of_their_kind(spaces: AgentSpaces, labels: list[int], tmp_path: Path) -> None:
    scheme = build("adaps", spaces, (16, 16), labels=labels)
    for name in ("a.svg", "new/b.svg"):
        draw_sharing(sharing_map(scheme).as_json() if "b" in name else scheme, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "new/b.svg").read_bytes()
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    text = [item.text for item in root.iter("{http://www.w3.org/2000/svg}text")]
    number = len(set(labels))
    assert root.get("aria-label") == f"adaps: {len(labels)} agents, {number} different sets of parameters"
    assert [word for word in text if str(word).startswith("g")] == [f"g{place}" for place in range(number)]
    assert sum(str(word).isdigit() for word in text) == len(labels)
    assert [f"{part}: parameters in common, {number} sets" in text for part in ("actor", "critic")] == [True, True]


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"cannot draw 'map\.gif'; .* SVG"):
        draw_sharing(build("fups"), tmp_path / "map.gif")
    assert list(tmp_path.iterdir()) == []
