"""Types that have only some of the actions: unequal action spaces, in every family with types."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import adaps_envs
from adaps_envs.testing import QUICK, check_target

# An id, a roster in which the second type lacks something, and what it has left.
ROSTERS: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    ("BPS-1", [{"count": 2}, {"count": 2, "actions": ["push +x", "nothing", "push -x"]}],
     ["nothing", "push -x", "push +x"]),
    ("CRWARE-tiny-4a-2c", [{"count": 2}, {"count": 2, "actions": ["noop", "forward", "turn right"]}],
     ["noop", "forward", "turn right"]),
    ("LBF-8x8-2p-3f", [{"count": 1}, {"count": 2, "level": 2, "actions": ["north", "south", "load"]}],
     ["north", "south", "load"]),
]  # fmt: skip


@pytest.mark.parametrize(("env_id", "roster", "left"), ROSTERS)
def test_action_spaces_are_the_types_own(env_id: str, roster: list[dict[str, Any]], left: list[str]) -> None:
    env = adaps_envs.make(env_id, roster=roster)
    types, core = env.unwrapped.agent_types, env.batched
    for agent, kind in zip(env.possible_agents, types, strict=True):
        assert env.action_space(agent) == spaces.Discrete(len(left) if kind else core.num_actions)
    assert core.params.roster[1].actions == tuple(left)
    assert core.params.roster[0].actions is None
    infos = env.reset(seed=0)[1]
    assert [len(info["action_mask"]) for info in infos.values()] == [
        len(left) if k else core.num_actions for k in types
    ]
    team = adaps_envs.make(env_id, api="gym", roster=roster)
    assert team.action_space.nvec.tolist() == [len(left) if kind else core.num_actions for kind in types]


@pytest.mark.parametrize(("env_id", "roster", "left"), ROSTERS)
def test_every_face_passes_the_gate(env_id: str, roster: list[dict[str, Any]], left: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_target(env_id, params={"roster": roster, "max_cycles": 20}, effort=QUICK, faces=True)
    assert not report.failures


def test_own_actions_are_executed_and_lacking_ones_replaced() -> None:
    roster = [{"count": 1}, {"count": 1, "actions": ["push -y", "push +x"]}]
    env = adaps_envs.make("BPS-1", roster=roster)
    env.reset(seed=0)
    env.step({"agent_0": 1, "agent_1": 1})
    # The second agent's actions are push +x and push -y, in the layout's order.
    assert np.sign(env.get_state()["vel"][0]).tolist() == [[-1, 0], [0, -1]]
    batch = adaps_envs.make_batched("BPS-1", 1, roster=roster)
    batch.reset(seed=0)
    batch.step(np.array([[4, 4]]))
    assert np.sign(batch.get_state()["vel"][0]).tolist() == [[0, 1], [1, 0]]


def test_a_rotation_shifts_which_actions_are_left() -> None:
    roster = [{"count": 2}, {"count": 2, "actions": ["noop", "forward"], "action_rotation": 1}]
    env = adaps_envs.make_batched("CRWARE-tiny-4a-2c", 1, roster=roster)
    assert env.action_mask[3].tolist() == [False, True, True, False, False]
    assert env.action_map[3, 1:3].tolist() == [0, 1]


@pytest.mark.parametrize("env_id", ["BPS-1", "CRWARE-tiny-4a-2c", "LBF-8x8-2p-3f"])
def test_all_actions_by_name_are_no_restriction(env_id: str) -> None:
    names = adaps_envs.make_batched(env_id, 1).action_names
    env = adaps_envs.make_batched(env_id, 1, roster=[{"count": 4, "actions": list(names), **_all_colours(env_id)}])
    assert env.params.roster[0].actions is None
    assert env.padding.replacements is None


def _all_colours(env_id: str) -> dict[str, Any]:
    return {"colours": [0, 1]} if env_id.startswith("CRWARE") else {}


def test_numpy_numbers_are_numbers() -> None:
    roster = [{"count": np.int64(2), "obs_permutation": np.arange(6)}]
    env = adaps_envs.make_batched("BPS-1", 2, roster=roster, max_cycles=np.int32(7), local_ratio=np.float64(0.25))
    assert (env.num_agents, env.max_cycles, env.params.local_ratio) == (2, 7, 0.25)
    assert adaps_envs.make_batched("BPS-1", 1, groups=np.array([1, 2])).params.groups == (1, 2)
    assert adaps_envs.make_batched("CRWARE-tiny-4a-2c", 1, num_agents=np.int64(6)).num_agents == 6
