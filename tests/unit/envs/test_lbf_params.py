"""Every illegal setting of foraging gives one clear error; legal ones do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_games import foraging

from adaps_envs import InvalidParameterError, make_batched
from adaps_envs.families.lbf.env import LBF
from adaps_envs.families.lbf.params import LBFParams, LBFType, params_from_golden

DEFAULT = "LBF-8x8-2p-3f"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"players": 0}, "players is 0; it must be an integer >= 1"),
        ({"players": 2.0}, "players is 2.0"),
        ({"players": True}, "players is True"),
        ({"players": 64}, "64 players do not fit on a board of 8 x 8 cells"),
        ({"players": 10**9}, "do not fit"),
        ({"field_size": 2}, "field_size is 2; it must be an integer in 3..1024"),
        ({"field_size": (8,)}, "give rows and columns"),
        ({"field_size": (8, 8, 8)}, "give rows and columns"),
        ({"field_size": "8x8"}, "give rows and columns"),
        ({"field_size": (8, -8)}, "field_size is -8"),
        ({"field_size": (8.0, 8)}, "field_size is 8.0"),
        ({"field_size": (2000, 8)}, "in 3..1024"),
        ({"max_num_food": 0}, r"max_num_food is 0; it must be an integer in 1\.\.64"),
        ({"max_num_food": 65}, r"max_num_food is 65; it must be an integer in 1\.\.64"),
        ({"sight": -1}, "sight is -1"),
        ({"sight": 1.5}, "sight is 1.5"),
        ({"min_player_level": 0}, "min_player_level is 0"),
        ({"min_player_level": 3}, "min_player_level is 3 and max_player_level is 2"),
        ({"min_player_level": [1]}, "min_player_level has 1 entries; give one integer, or one entry for each of the 2"),
        ({"max_player_level": [1, "2"]}, "max_player_level is '2'"),
        ({"max_player_level": 10**6}, "in 1..10000"),
        ({"min_food_level": 0}, "min_food_level is 0"),
        ({"min_food_level": 3}, "can be as weak as to allow food of level 2 only"),
        ({"min_food_level": [1, 2]}, "for each of the 3 foods"),
        ({"max_food_level": [1, 2, 3], "min_food_level": [1, 3, 1]}, "min_food_level is 3 and max_food_level is 2"),
        ({"max_food_level": 0}, "max_food_level is 0"),
        ({"exclusive_max_food_level": True, "max_food_level": 3}, "an explicit limit is inclusive"),
        ({"exclusive_max_food_level": True, "players": 1}, "allow food of level 0 only"),
        ({"penalty": -0.1}, "penalty is -0.1"),
        ({"penalty": float("nan")}, "penalty is nan"),
        ({"penalty": float("inf")}, "penalty is inf"),
        ({"penalty": "0"}, "penalty is '0'"),
        ({"force_coop": 1}, "force_coop is 1; it must be True or False"),
        ({"normalize_reward": None}, "normalize_reward is None"),
        ({"grid_observation": "yes"}, "grid_observation is 'yes'"),
        ({"observe_agent_levels": False, "zero_agent_levels": True}, "leaves no entry for a level"),
        ({"max_cycles": 0}, "max_cycles is 0"),
        ({"max_cycles": 50.0}, "max_cycles is 50.0"),
        ({"reward": "sum"}, "choose one of individual, team_sum, team_mean"),
        ({"roster_order": "random"}, "choose one of blocks, alternating"),
        ({"roster": []}, "roster is empty"),
        ({"roster": "ab"}, "give a list of LBFType"),
        ({"roster": [3]}, "type 0 is 3; every entry must be an instance of LBFType"),
        ({"roster": [{"count": 1, "levels": 2}]}, "type 0 has no field 'levels'. Did you mean 'level'"),
        ({"roster": [{"level": 2}]}, "type 0 has None agents"),
        ({"roster": [LBFType(count=0)]}, "type 0 has 0 agents; every type needs an integer >= 1"),
        ({"roster": [LBFType(count=2, actions=("eat",))]}, "type 0 has an action 'eat'"),
        ({"roster": [LBFType(count=1, level=0)]}, "type 0: level is 0"),
        ({"roster": [LBFType(count=1, level=(2, 1))]}, "type 0: level is 1; it must be an integer in 2.."),
        ({"roster": [LBFType(count=1, level=(1, 2, 3))]}, "give one integer or a range"),
        ({"roster": [LBFType(count=1, sight=-2)]}, "type 0: sight is -2"),
        ({"roster": [LBFType(count=70)]}, "70 players do not fit"),
        ({"roster": [LBFType(count=1)], "players": 2}, "players is 2, but the roster has 1"),
        ({"roster": [LBFType(count=1)], "min_player_level": 1}, "with a roster each type has its own level"),
        ({"roster": [LBFType(count=1, level=3)], "max_player_level": 2}, "max_player_level is 2"),
        ({"roster": [LBFType(count=1)], "max_player_level": [3]}, "with a roster it is one integer"),
        ({"field_size": 500, "grid_observation": True}, "an observation would have"),
        ({"field_size": 300, "players": 80_000}, "an observation would have"),
        ({"max_episode_steps": 50}, "has no parameter 'max_episode_steps'"),
    ],
)  # fmt: skip
def test_illegal_values_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make_batched(DEFAULT, 1, **params)


ODD = [None, True, 1.5, float("nan"), "x", (), (1, 2), [3, 3, 1], 10**12, -(10**12)]
WILD = st.one_of(
    st.integers(-3, 12), st.sampled_from(ODD),
    st.lists(st.integers(-1, 5), max_size=4).map(tuple), st.tuples(st.integers(0, 9), st.integers(0, 9)),
)  # fmt: skip
NAMES = [
    "players", "roster", "roster_order", "field_size", "max_num_food", "sight", "min_player_level", "max_player_level",
    "min_food_level", "max_food_level", "exclusive_max_food_level", "force_coop", "normalize_reward", "penalty",
    "observe_agent_levels", "zero_agent_levels", "grid_observation", "max_cycles", "reward",
]  # fmt: skip


SETTINGS = {"base": foraging(), "wild": st.dictionaries(st.sampled_from(NAMES), WILD, max_size=3)}


@given(**SETTINGS, seed=st.integers(0, 99))
@settings(max_examples=1500)
def test_generated_settings_play_or_give_one_clear_error(base: dict[str, Any], wild: dict[str, Any], seed: int) -> None:
    _play_or_refuse({**base, **wild}, seed)


@pytest.mark.slow
@given(**SETTINGS, seed=st.integers(100, 199))
@settings(max_examples=10_000)
def test_ten_thousand_settings_play_or_give_one_clear_error(
    base: dict[str, Any], wild: dict[str, Any], seed: int
) -> None:
    _play_or_refuse({**base, **wild}, seed)


def _play_or_refuse(params: dict[str, Any], seed: int) -> None:
    try:
        env = LBF(2, LBFParams(**params), seed=seed)
    except InvalidParameterError as error:
        if not str(error).endswith("."):
            raise
        return
    generator = np.random.default_rng(seed)
    observations = [env.reset()]
    for _ in range(3):
        if env.ended.any():
            env.reset(mask=env.ended)
        observations.append(env.step(generator.integers(0, 6, (2, env.num_agents)))[0])
    for obs in observations:
        assert obs.shape == (2, env.num_agents, np.prod(env.obs_shape))
        assert (obs >= env.obs_space_low).all()
        assert (obs <= env.obs_space_high).all()
    assert (env.global_state() >= env.state_low).all()
    assert (env.global_state() <= env.state_high).all()


def test_types_come_in_blocks_or_in_turn() -> None:
    roster = [{"count": 3, "level": 1}, {"count": 1, "level": 2}, {"count": 2, "level": 3}]
    blocks = LBFParams(roster=roster)  # type: ignore[arg-type]
    turns = LBFParams(roster=roster, roster_order="alternating")  # type: ignore[arg-type]
    assert blocks.agent_types == (0, 0, 0, 1, 2, 2)
    assert turns.agent_types == (0, 1, 2, 0, 2, 0)
    assert turns.player_levels == ((1, 2, 3, 1, 3, 1),) * 2


def test_levels_stay_with_their_players_under_a_roster() -> None:
    env = make_batched("LBF-10x10-6p-5f-3t", 8, seed=0)
    for _ in range(4):
        env.reset()
        assert (env.get_state()["player_level"] == [1, 2, 3, 1, 2, 3]).all()
    assert env.agent_types.tolist() == [0, 1, 2, 0, 1, 2]


def test_level_ranges_are_dealt_anew_without_a_roster() -> None:
    env = make_batched(DEFAULT, 400, min_player_level=[1, 5], max_player_level=[1, 6], seed=0)
    env.reset()
    levels = env.get_state()["player_level"]
    assert set(np.sort(levels, axis=1)[:, 0].tolist()) == {1}
    assert set(np.sort(levels, axis=1)[:, 1].tolist()) == {5, 6}
    assert 0.4 < (levels[:, 0] == 1).mean() < 0.6
    assert env.agent_types.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("env_id", "levels"),
    [("LBF-10x10-6p-5f-3t", {1, 2, 3}), ("LBF-15x15-12p-6f-3t", {1, 2, 3, 4, 5}), ("LBF-15x15-12p-6f-3t-coop", {6})],
)
def test_food_levels_of_the_hidden_type_games(env_id: str, levels: set[int]) -> None:
    env = make_batched(env_id, 200, seed=0)
    env.reset()
    state = env.get_state()
    assert set(state["field"][state["field"] > 0].tolist()) == levels
    assert state["player_level"].max() == 3
    assert (state["field"] > 0).sum(axis=(1, 2)).min() >= env.params.max_num_food - 1


def test_hidden_levels_are_neither_observed_nor_in_the_global_state() -> None:
    env = make_batched("LBF-15x15-12p-6f-3t", 16, seed=0)
    obs = env.reset()
    state = env.get_state()
    other = {"player_level": state["player_level"][:, ::-1]}
    before = env.global_state()
    env.set_state(other)
    assert np.array_equal(env.observe(), obs)
    assert np.array_equal(env.global_state(), before)
    assert not obs[:, :, 20::3].any()
    visible = make_batched(DEFAULT, 4, seed=0)
    assert visible.reset()[:, :, 11::3].min() >= 1
    assert visible.state_dim == 3 * 3 + 3 * 2


def test_types_can_be_dialled_at_fixed_spaces() -> None:
    bounds = set()
    for levels in ([2], [1, 3], [1, 2, 3], [1, 2, 2, 2, 2, 3]):
        roster = [LBFType(count=6 // len(levels), level=level) for level in levels]
        env = make_batched("LBF-10x10-6p-5f-3t", 2, roster=roster, max_player_level=3)
        shape = env.reset(seed=0).shape
        bounds.add((shape, env.obs_space_high.tobytes(), env.state_high.tobytes(), env.num_actions))
        assert len(set(env.agent_types.tolist())) == len(levels)
    assert len(bounds) == 1


def test_a_roster_takes_the_place_of_the_presets_players() -> None:
    env = make_batched(DEFAULT, 1, roster=[LBFType(count=2, level=(1, 4)), LBFType(count=1, level=2, sight=1)])
    assert env.num_agents == 3
    assert env.params.sights == (8, 8, 1)
    assert env.params.highest_player_level == 4


def test_short_sight_of_one_type_shows_in_its_observations_only() -> None:
    roster = [LBFType(count=1), LBFType(count=1, sight=1)]
    far, near = make_batched(DEFAULT, 64, roster=[LBFType(count=2)]), make_batched(DEFAULT, 64, roster=roster)
    left, right = far.reset(seed=0), near.reset(seed=0)
    assert np.array_equal(left[:, 0], right[:, 0])
    assert (left[:, 1] != right[:, 1]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("players", [1, 2, 3, 5, 6, 7, 12, 19])
def test_fixed_levels_of_the_recorded_branch(players: int) -> None:
    config = {
        "family": "lbfseps", "field_size": [10, 10], "players": players, "max_food": 2, "sight": 10, "force_coop": True,
        "max_player_level": 3, "max_episode_steps": 50,
    }  # fmt: skip
    params = params_from_golden(config)
    assert params.player_levels[0] == tuple(index % 3 + 1 for index in range(players))
    assert params.agent_types == tuple(index % 3 for index in range(players))


def test_numpy_integers_are_integers() -> None:
    params = LBFParams(players=np.int64(2), field_size=(np.int32(5), 6), sight=np.int8(3))  # type: ignore[arg-type]
    assert (params.players, params.field_size, params.sight) == (2, (5, 6), 3)
    assert params == LBFParams(players=2, field_size=(5, 6), sight=3)


def test_params_are_frozen() -> None:
    with pytest.raises(AttributeError):
        LBFParams().max_cycles = 3  # type: ignore[misc]
