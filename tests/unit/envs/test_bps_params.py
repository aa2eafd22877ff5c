"""Every illegal roster and number of BPS gives one clear error; legal ones do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaps_envs import InvalidParameterError, make_batched
from adaps_envs.bps.params import BPSParams, BPSType


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"groups": []}, "roster is empty"),
        ({"groups": [5, -1]}, "type 1 has -1 agents; every group needs an integer >= 1"),
        ({"groups": [0]}, "type 0 has 0 agents"),
        ({"groups": [2.5]}, "type 0 has 2.5 agents"),
        ({"groups": [True]}, "type 0 has True agents"),
        ({"groups": "555"}, "give a list of agents a type"),
        ({"groups": 15}, "give a list of agents a type"),
        ({"groups": [10**9]}, "the limit is"),
        ({"roster": []}, "roster is empty"),
        ({"roster": "abc"}, "give a list of BPSType"),
        ({"roster": [3]}, "every entry must be a BPSType"),
        ({"roster": [BPSType(count=1, landmark=-1)]}, "landmark -1"),
        ({"roster": [BPSType(count=1, acceleration=0.0)]}, "acceleration 0.0"),
        ({"roster": [BPSType(count=1, acceleration=float("nan"))]}, "acceleration nan"),
        ({"roster": [BPSType(count=1, max_speed=-2.0)]}, "max_speed -2.0"),
        ({"roster": [BPSType(count=1, obs_permutation=(0, 0, 1, 2, 3, 4))]}, "each once"),
        ({"roster": [BPSType(count=1)], "groups": [2]}, "disagree"),
        ({"num_landmarks": 2}, "needs an integer >= 3"),
        ({"num_landmarks": 3.0}, "needs an integer >= 3"),
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
