"""Every illegal warehouse gives one clear error; ten thousand generated ones never crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaps_envs import InvalidParameterError, make, make_batched
from adaps_envs.families.crware.params import CRWAREParams, CRWAREType, RWAREParams

BOTH = [
    ({"shelf_columns": 2}, "shelf_columns is 2; it must be odd"),
    ({"shelf_columns": 1}, "the layout has 0 shelves"),
    ({"shelf_rows": 0}, "shelf_rows is 0; it must be an integer >= 1"),
    ({"column_height": 2.5}, "column_height is 2.5"),
    ({"column_height": 10**9}, "the limit is 4096 a side"),
    ({"shelf_rows": 300, "shelf_columns": 301}, "the warehouse has 904 x 2702 cells"),
    ({"num_agents": 0}, "num_agents is 0; it must be an integer from 1"),
    ({"num_agents": 111}, "111 agents on 110 cells; at most 110 fit"),
    ({"num_agents": "4"}, "num_agents is '4'"),
    ({"num_agents": 40}, "difficulty 'normal' asks for 40 shelves for 40 agents"),
    ({"sensor_range": -1}, "sensor_range is -1"),
    ({"sensor_range": 65}, "sensor_range is 65; it must be an integer from 0 to 64"),
    ({"difficulty": "insane"}, "difficulty is 'insane'; choose one of easy, normal, hard"),
    ({"request_queue_size": 0}, "the request queue holds 0 shelves .* it must hold 1 to 31"),
    ({"request_queue_size": 32}, "it must hold 1 to 31"),
    ({"request_queue_size": 2.0}, "the request queue holds 2.0 shelves"),
    ({"reward_type": "team"}, "reward_type is 'team'; choose one of individual, global, two_stage"),
    ({"reward_type": None}, "reward_type is None"),
    ({"reward": "sum"}, "choose one of individual, team_sum, team_mean"),
    ({"max_cycles": 0}, "max_cycles is 0"),
    ({"max_cycles": None}, "max_cycles is None"),
    ({"max_cycles": 2**31}, "max_cycles is 2147483648"),
    ({"max_inactivity_steps": 0}, "max_inactivity_steps is 0"),
    ({"max_inactivity_steps": float("nan")}, "max_inactivity_steps is nan"),
    ({"normalised_coordinates": 1}, "normalised_coordinates is 1; it must be True or False"),
    ({"layout": 7}, "layout is 7; give a string"),
    ({"layout": "  "}, "layout holds nothing"),
    ({"layout": "xx.\n.g"}, r"lines of \[2, 3\] cells"),
    ({"layout": "xx.\n..."}, "layout has no goal; mark at least one cell with g"),
    ({"layout": "..x\n.g."}, "the layout has 1 shelves"),
    ({"layout": "xx?\n.gq"}, r"layout holds \['\?', 'q'\]"),
]
COLOURED = [
    ({"num_agents": 1}, "1 agents cannot have 2 types"),
    ({"num_agents": 1, "num_colours": 1, "difficulty": "hard"}, "asks for 0 shelves for 1 agents"),
    ({"num_colours": 0}, "num_colours is 0"),
    ({"num_colours": 65}, "num_colours is 65"),
    (
        {"num_colours": 40, "num_agents": 80, "sensor_range": 64, "request_queue_size": 3},
        "the limits are 100000 an agent",
    ),
    ({"num_colours": 1.5}, "num_colours is 1.5"),
    ({"num_types": 3}, "3 types for 2 colours; set num_colours to 3"),
    ({"num_types": 0}, "num_types is 0"),
    ({"groups": []}, "the roster is empty"),
    ({"groups": [2, 0]}, "type 1 has 0 agents"),
    ({"groups": "22"}, "groups is '22'; give a list"),
    ({"groups": [3, 3], "num_agents": 4}, "num_agents is 4, the types have 6 agents together"),
    ({"groups": [1, 1, 1]}, "3 types for 2 colours; set num_colours to 3"),
    ({"roster": []}, "the roster is empty"),
    ({"roster": "abc"}, "give a list of CRWAREType"),
    ({"roster": [4]}, "every entry must be an instance of CRWAREType"),
    ({"roster": [{"colours": [0]}]}, "type 0 has None agents"),
    ({"roster": [{"count": 1, "color": 2}]}, "no field 'color'. Did you mean 'colours'"),
    ({"roster": [CRWAREType(count=4)]}, "no type delivers colour 1"),
    ({"roster": [{"count": 2}, {"count": 2, "colours": [5]}]}, r"type 1 delivers colours \[5\]"),
    ({"roster": [{"count": 2, "colours": []}, {"count": 2}]}, r"type 0 delivers colours \[\]"),
    ({"roster": [{"count": 2, "colours": 1}, {"count": 2}]}, "type 0 delivers colours 1"),
    ({"roster": [{"count": 2, "sensor_range": 2}, {"count": 2}]}, "sensor_range 2; it must be 0 to"),
    ({"roster": [{"count": 2, "action_rotation": 5}, {"count": 2}]}, "action_rotation 5; it must be 0..4"),
    (
        {"roster": [{"count": 2, "obs_permutation": [0, 1]}, {"count": 2}]},
        r"obs_permutation \[0, 1\]; it must order the 44 indices",
    ),
    ({"roster": [{"count": 2, "obs_permutation": 3}, {"count": 2}]}, "obs_permutation 3; it must order the 44 indices"),
    ({"roster": [{"count": 2, "actions": "forward"}, {"count": 2}]}, "type 0 has actions 'forward'; list some of noop"),
    ({"roster": [{"count": 2}, {"count": 2, "actions": ["back"]}]}, "type 1 has an action 'back'"),
    ({"roster": [{"count": 2}, {"count": 2}], "groups": [1, 3]}, "disagree"),
    ({"type_seed": -1}, "type_seed is -1"),
    ({"shuffle_obs": "no"}, "shuffle_obs is 'no'"),
    ({"rotate_actions": None}, "rotate_actions is None"),
    ({"unequal_spaces": 0}, "unequal_spaces is 0"),
    ({"msg_bits": 2}, "no parameter 'msg_bits'"),
]
PLAIN = [
    ({"msg_bits": -1}, "msg_bits is -1; it must be 0 to 8"),
    ({"msg_bits": 9}, "msg_bits is 9"),
    ({"observation_type": "sound"}, "choose one of flattened, dict, image, image_dict"),
    ({"image_observation_layers": []}, r"image_observation_layers is \(\); list some of"),
    ({"image_observation_layers": "agents"}, "image_observation_layers is 'agents'; list some of"),
    ({"image_observation_layers": ["agents", "walls"]}, "image_observation_layers is 'walls'"),
    ({"image_observation_layers": ["agents", "agents"]}, "name each layer once"),
    ({"image_observation_directional": 2}, "image_observation_directional is 2"),
    ({"num_colours": 2}, "no parameter 'num_colours'"),
]


@pytest.mark.parametrize(
    ("env_id", "params", "message"),
    [
        *(("CRWARE-tiny-4a-2c", params, message) for params, message in BOTH + COLOURED),
        *(("RWARE-tiny-4a", params, message) for params, message in BOTH + PLAIN),
    ],
)
def test_illegal_values_are_refused(env_id: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make_batched(env_id, 1, **params)


def test_layouts_are_read_as_the_original_reads_them() -> None:
    text = """
        . X X .
        . x x .
        . . G g
    """
    env = make_batched("RWARE-tiny-4a", 1, layout=text, num_agents=2, shelf_columns=2)
    assert env.plan.rows == (".xx.", ".xx.", "..gg")
    assert env.plan.goals == ((2, 2), (3, 2))
    assert env.plan.shelves == ((1, 0), (2, 0), (1, 1), (2, 1))


@pytest.mark.parametrize(
    ("size", "shape", "shelves"),
    [((1, 3), (11, 10), 32), ((2, 3), (20, 10), 80), ((2, 5), (20, 16), 144), ((3, 5), (29, 16), 224)],
)
def test_sizes(size: tuple[int, int], shape: tuple[int, int], shelves: int) -> None:
    plan = RWAREParams(shelf_rows=size[0], shelf_columns=size[1]).plan
    assert (plan.height, plan.width, len(plan.shelves)) == (*shape, shelves)


@pytest.mark.parametrize(("difficulty", "queue"), [("easy", 8), ("normal", 4), ("hard", 2), ("HARD", 2)])
def test_difficulty_is_requests_a_robot(difficulty: str, queue: int) -> None:
    assert make_batched("CRWARE-tiny-4a-2c", 1, difficulty=difficulty).params.request_queue_size == queue


def test_a_callers_choice_of_agents_replaces_the_presets() -> None:
    assert make_batched("CRWARE-tiny-4a-2c", 1, num_agents=7).params.groups == (4, 3)
    assert make_batched("CRWARE-tiny-4a-2c", 1, groups=[1, 4]).num_agents == 5
    roster = [CRWAREType(count=1), CRWAREType(count=2)]
    assert make_batched("CRWARE-tiny-4a-2c", 1, roster=roster).num_agents == 3
    by_dict = make("CRWARE-tiny-4a-2c", roster=[{"count": 1}, {"count": 2}])
    assert by_dict.unwrapped.batched.agent_types.tolist() == [0, 1, 1]


def test_params_are_frozen_and_comparable() -> None:
    assert CRWAREParams(num_agents=6) == CRWAREParams(groups=(3, 3))
    assert hash(RWAREParams()) == hash(RWAREParams(num_agents=4))
    with pytest.raises(AttributeError):
        RWAREParams().max_cycles = 3  # type: ignore[misc]


ODD = st.sampled_from(
    [None, -1, 0, 1, 2, 3, 5, 8, 40, 10**6, 10**12, 0.5, float("nan"), "x", "", True, [], [1], (2, 2)]
)
LAYOUTS = st.text("x.g \nq", max_size=40) | st.sampled_from(["x.g\n.x.", "xxg", "g.\nxx", "x" * 200 + "g"])
ROSTERS = st.lists(
    st.fixed_dictionaries(
        {"count": ODD},
        optional={
            "colours": ODD | st.lists(st.integers(-1, 4), max_size=3),
            "sensor_range": ODD,
            "obs_permutation": ODD | st.permutations(range(44)),
            "action_rotation": ODD,
            "actions": ODD | st.lists(st.sampled_from(["noop", "forward", "x"]), max_size=3),
        },
    ),
    max_size=3,
)
KNOWN: dict[str, st.SearchStrategy[Any]] = {
    "shelf_rows": st.integers(1, 2),
    "shelf_columns": st.integers(1, 5),
    "column_height": st.integers(1, 4),
    "layout": LAYOUTS,
    "num_agents": st.integers(1, 12),
    "sensor_range": st.integers(0, 3),
    "difficulty": st.sampled_from(["easy", "normal", "hard", "none"]),
    "request_queue_size": st.integers(0, 12),
    "reward_type": st.sampled_from(["individual", "GLOBAL", "two_stage", "x"]),
    "max_cycles": st.integers(1, 3),
    "max_inactivity_steps": st.integers(1, 3),
    "normalised_coordinates": st.booleans(),
    "reward": st.sampled_from(["individual", "team_sum", "team_mean"]),
}
OF_CRWARE = {
    "num_colours": st.integers(1, 5),
    "num_types": st.integers(1, 3),
    "groups": st.lists(st.integers(0, 4), max_size=3),
    "roster": ROSTERS,
    "type_seed": st.integers(-1, 5),
    "unequal_spaces": st.booleans(),
}
OF_RWARE = {
    "msg_bits": st.integers(0, 9),
    "observation_type": st.sampled_from(["flattened", "dict", "image", "image_dict", "x"]),
    "image_observation_layers": st.lists(st.sampled_from(["agents", "goals", "agent_load", "x"]), max_size=3),
}


def _anything(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly legal values, now and then an odd one."""
    mixed = {name: st.one_of(values, values, values, ODD) for name, values in known.items()}
    return st.fixed_dictionaries({}, optional=mixed)


def _never_crashes(env_id: str, params: dict[str, Any]) -> None:
    try:
        env = make_batched(env_id, 2, **params)
    except InvalidParameterError:
        return
    generator = np.random.default_rng(0)
    assert np.isfinite(env.reset(seed=0)).all()
    for _ in range(3):
        if env.ended.any():
            env.reset(mask=env.ended)
        obs = env.step(generator.integers(0, env.num_actions, (2, env.num_agents)))[0]
        assert (obs >= env.obs_space_low).all()
        assert (obs <= env.obs_space_high).all()


@settings(max_examples=1000)
@given(params=_anything(KNOWN | OF_CRWARE))
def test_generated_coloured_warehouses_never_crash(params: dict[str, Any]) -> None:
    _never_crashes("CRWARE-tiny-4a-2c", params)


@settings(max_examples=1000)
@given(params=_anything(KNOWN | OF_RWARE))
def test_generated_plain_warehouses_never_crash(params: dict[str, Any]) -> None:
    _never_crashes("RWARE-tiny-4a", params)


@pytest.mark.slow
@settings(max_examples=5000)
@given(params=_anything(KNOWN | OF_CRWARE))
def test_ten_thousand_generated_warehouses_coloured(params: dict[str, Any]) -> None:
    _never_crashes("CRWARE-tiny-4a-2c", params)


@pytest.mark.slow
@settings(max_examples=5000)
@given(params=_anything(KNOWN | OF_RWARE))
def test_ten_thousand_generated_warehouses_plain(params: dict[str, Any]) -> None:
    _never_crashes("RWARE-tiny-4a", params)
