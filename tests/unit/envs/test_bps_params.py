"""Every illegal roster and number of BPS gives one clear error; legal ones do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_games import particles

from adaps_envs import InvalidParameterError, make_batched
from adaps_envs.families.bps.params import BPSParams, BPSType


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"groups": []}, "roster is empty"),
        ({"groups": [5, -1]}, "type 1 has -1 agents; every type needs an integer >= 1"),
        ({"groups": [0]}, "type 0 has 0 agents"),
        ({"groups": [2.5]}, "type 0 has 2.5 agents"),
        ({"groups": [True]}, "type 0 has True agents"),
        ({"groups": "555"}, "give a list of agents a type"),
        ({"groups": 15}, "give a list of agents a type"),
        ({"groups": [10**9]}, "the limit is"),
        ({"roster": []}, "roster is empty"),
        ({"roster": "abc"}, "give a list of BPSType"),
        ({"roster": [3]}, "every entry must be an instance of BPSType"),
        ({"roster": [BPSType(count=1, landmark=-1)]}, "landmark -1"),
        ({"roster": [BPSType(count=1, acceleration=0.0)]}, "acceleration 0.0"),
        ({"roster": [BPSType(count=1, acceleration=float("nan"))]}, "acceleration nan"),
        ({"roster": [BPSType(count=1, max_speed=-2.0)]}, "max_speed -2.0"),
        ({"roster": [BPSType(count=1, obs_permutation=(0, 0, 1, 2, 3, 4))]}, "each once"),
        ({"roster": [BPSType(count=1)], "groups": [2]}, "disagree"),
        ({"roster": [BPSType(count=1, obs_permutation=7)]}, "obs_permutation 7; it must order"),  # type: ignore[arg-type]
        ({"roster": [{"count": 1, "mass": 2.0}]}, "type 0 has no field 'mass'"),
        ({"roster": [BPSType(count=1)], "groups": 1}, "give a list of agents a type"),
        ({"roster": [BPSType(count=1, actions=())]}, r"type 0 has actions \(\); list some of nothing, push -x"),
        ({"roster": [BPSType(count=1, actions=("push x",))]}, "an action 'push x'. Did you mean 'push [-+]x'"),
        ({"num_landmarks": 2}, "needs an integer >= 3"),
        ({"num_landmarks": 3.0}, "needs an integer >= 3"),
        ({"num_landmarks": 10**12}, "entries for each of 15 agents; the limits are 100000 an agent"),
        ({"num_landmarks": 1000, "groups": [100_000]}, "and 50000000 together: take fewer agents or landmarks"),
        ({"max_cycles": 2**31}, "max_cycles is 2147483648; it must be an integer from 1 to"),
        ({"max_cycles": 0}, "max_cycles is 0"),
        ({"max_cycles": "50"}, "max_cycles is '50'"),
        ({"local_ratio": 1.5}, "local_ratio is 1.5"),
        ({"local_ratio": float("nan")}, "local_ratio is nan"),
        ({"cooperative": 1}, "cooperative is 1"),
        ({"shuffle_obs": "yes"}, "shuffle_obs is 'yes'"),
        ({"reward": "sum"}, "choose one of individual, team_sum, team_mean"),
    ],
)
def test_illegal_values_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make_batched("BPS-1", 1, **params)


def test_roster_by_dictionaries_equals_roster_by_types() -> None:
    by_dict = make_batched("BPS-1", 1, roster=[{"count": 2, "max_speed": 1.0}, {"count": 1, "landmark": 0}])
    by_type = make_batched("BPS-1", 1, roster=[BPSType(count=2, max_speed=1.0), BPSType(count=1, landmark=0)])
    assert by_dict.params == by_type.params
    assert by_dict.agent_types.tolist() == [0, 0, 1]


def test_types_can_be_dialled_at_fixed_spaces() -> None:
    shapes = set()
    for num_types in (1, 2, 4):
        roster = [BPSType(count=8 // num_types, landmark=index) for index in range(num_types)]
        env = make_batched("BPS-1", 2, roster=roster, num_landmarks=4)
        shapes.add((env.reset(seed=0).shape, env.obs_space_high.tobytes()))
        assert len(np.unique(env.agent_types)) == num_types
    assert len(shapes) == 1


def test_speed_limit_holds() -> None:
    env = make_batched("BPS-1", 4, roster=[BPSType(count=3, max_speed=0.5)], seed=0)
    env.reset()
    for _ in range(20):
        env.step(np.full((4, 3), 2))
    speed = np.linalg.norm(env.get_state()["vel"], axis=-1)
    assert speed.max() <= 0.5 + 1e-12
    assert speed.min() > 0.49


def test_same_landmark_same_pay() -> None:
    env = make_batched("BPS-1", 1, roster=[BPSType(count=1, landmark=0), BPSType(count=1, landmark=0)])
    env.reset(seed=0)
    env.set_state({"pos": np.zeros((1, 2, 2))})
    rewards = env.step(np.zeros((1, 2), int))[1]
    assert rewards[0, 0] == rewards[0, 1] < 0


def test_shuffled_observations_are_the_plain_ones_in_another_order() -> None:
    plain, shuffled = make_batched("BPS-1", 2), make_batched("BPS-5", 2)
    left, right = plain.reset(seed=4), shuffled.reset(seed=4)
    for agent, kind in enumerate(shuffled.agent_types):
        order = shuffled.params.roster[kind].obs_permutation
        assert np.array_equal(right[:, agent], left[:, agent][:, list(order)])
    assert len({kind.obs_permutation for kind in shuffled.params.roster}) == 3


def test_params_are_frozen_and_comparable() -> None:
    assert BPSParams(groups=(5, 5, 5)) == BPSParams(groups=(5, 5, 5))
    with pytest.raises(AttributeError):
        BPSParams().max_cycles = 3  # type: ignore[misc]


ODD = st.sampled_from([None, -1, 0, 1, 3, 10**6, 10**12, 0.5, float("nan"), float("inf"), "x", "", True, [], (2, 2)])
TYPES = st.fixed_dictionaries(
    {"count": ODD},
    optional={
        "landmark": ODD,
        "acceleration": ODD,
        "max_speed": ODD,
        "obs_permutation": ODD | st.permutations(range(6)),
    },
)
WILD = st.fixed_dictionaries(
    {},
    optional={
        "groups": ODD | st.lists(st.integers(0, 3), max_size=3),
        "roster": ODD | st.lists(TYPES, max_size=2),
        "num_landmarks": ODD,
        "max_cycles": ODD,
        "local_ratio": ODD,
        "cooperative": ODD,
        "shuffle_obs": ODD,
        "reward": ODD | st.sampled_from(["individual", "team_sum", "team_mean"]),
    },
)


@given(base=particles(), wild=WILD)
@settings(max_examples=500)
def test_generated_settings_play_or_give_one_clear_error(base: dict[str, Any], wild: dict[str, Any]) -> None:
    _play_or_refuse({**base, **wild})


@pytest.mark.slow
@given(base=particles(), wild=WILD)
@settings(max_examples=10_000)
def test_ten_thousand_settings_play_or_give_one_clear_error(base: dict[str, Any], wild: dict[str, Any]) -> None:
    _play_or_refuse({**base, **wild})


def _play_or_refuse(params: dict[str, Any]) -> None:
    try:
        env = make_batched("BPS-1", 2, seed=0, **params)
    except InvalidParameterError as error:
        if not str(error).endswith("."):
            raise
        return
    generator = np.random.default_rng(0)
    observations = [env.reset()]
    for _ in range(3):
        if env.ended.any():
            env.reset(mask=env.ended)
        observations.append(env.step(generator.integers(0, 5, (2, env.num_agents)))[0])
    for obs in observations:
        assert (obs >= env.obs_space_low).all()
        assert (obs <= env.obs_space_high).all()
