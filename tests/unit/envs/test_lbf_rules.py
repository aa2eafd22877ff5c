"""The rules of foraging by hand-made positions: what a reader of the rules would try first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaps_envs import InvalidStateError, make_batched
from adaps_envs.families.lbf.env import LBF
from adaps_envs.families.lbf.params import LBFParams

NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(6)


def _game(players: list[tuple[int, int]], levels: list[int], foods: dict[tuple[int, int], int], **params: Any) -> LBF:
    """Return one lane of a 7 x 7 board with these players and foods."""
    settings = {"max_player_level": 9, "max_food_level": 9, "max_num_food": 4, "field_size": 7, **params}
    env = LBF(1, LBFParams(players=len(players), **settings))
    env.reset(seed=0)
    field = np.zeros((1, 7, 7), int)
    for cell, level in foods.items():
        field[0][cell] = level
    env.set_state(
        {
            "player_row": [[row for row, _ in players]], "player_col": [[col for _, col in players]],
            "player_level": [levels], "field": field, "food_spawned": [float(field.sum())],
        }
    )  # fmt: skip
    return env


def _step(env: LBF, *actions: int) -> tuple[list[float], bool, bool]:
    _, rewards, terminated, truncated = env.step(np.array([actions]))
    return rewards[0].tolist(), bool(terminated[0]), bool(truncated[0])


def _cells(env: LBF) -> list[tuple[int, int]]:
    state = env.get_state()
    return list(zip(state["player_row"][0].tolist(), state["player_col"][0].tolist(), strict=True))


FAR_FOOD = {(5, 5): 9}


@pytest.mark.parametrize(
    ("action", "cell"),
    [(NONE, (2, 2)), (NORTH, (1, 2)), (SOUTH, (3, 2)), (WEST, (2, 1)), (EAST, (2, 3)), (LOAD, (2, 2))],
)
def test_moves(action: int, cell: tuple[int, int]) -> None:
    env = _game([(2, 2)], [1], FAR_FOOD)
    assert _step(env, action) == ([0.0], False, False)
    assert _cells(env) == [cell]


@pytest.mark.parametrize(
    ("start", "action"),
    [((0, 3), NORTH), ((6, 3), SOUTH), ((3, 0), WEST), ((3, 6), EAST), ((4, 5), SOUTH), ((5, 4), EAST)],
)
def test_walls_and_food_stop(start: tuple[int, int], action: int) -> None:
    env = _game([start], [1], FAR_FOOD)
    assert not env.get_state()["valid_actions"][0, 0, action]
    _step(env, action)
    assert _cells(env) == [start]


def test_two_players_for_one_cell_both_stay() -> None:
    env = _game([(1, 1), (1, 3)], [1, 1], FAR_FOOD)
    _step(env, EAST, WEST)
    assert _cells(env) == [(1, 1), (1, 3)]


def test_a_standing_player_is_in_the_way() -> None:
    env = _game([(1, 1), (1, 2)], [1, 1], FAR_FOOD)
    _step(env, EAST, NONE)
    assert _cells(env) == [(1, 1), (1, 2)]


def test_neighbours_may_swap_and_follow() -> None:
    env = _game([(1, 1), (1, 2)], [1, 1], FAR_FOOD)
    _step(env, EAST, WEST)
    assert _cells(env) == [(1, 2), (1, 1)]
    env = _game([(1, 1), (1, 2)], [1, 1], FAR_FOOD)
    _step(env, EAST, EAST)
    assert _cells(env) == [(1, 2), (1, 3)]


def test_a_player_whose_own_move_fails_may_be_joined() -> None:
    env = _game([(1, 1), (1, 2), (1, 4)], [1, 1, 1], FAR_FOOD)
    _step(env, EAST, EAST, WEST)
    assert _cells(env) == [(1, 2), (1, 2), (1, 4)]
    _step(env, NORTH, SOUTH, NONE)
    assert _cells(env) == [(0, 2), (2, 2), (1, 4)]
    # The first and the third want the second's cell, so both stay; the second walks into the first.
    env = _game([(1, 1), (1, 2), (1, 3)], [1, 1, 1], FAR_FOOD)
    _step(env, EAST, WEST, WEST)
    assert _cells(env) == [(1, 1), (1, 1), (1, 3)]


def test_players_load_in_proportion_to_their_levels() -> None:
    env = _game([(2, 3), (3, 2), (3, 4), (0, 0)], [1, 2, 5, 9], {(3, 3): 4, (5, 5): 4})
    rewards, terminated, _ = _step(env, LOAD, LOAD, NONE, LOAD)
    assert rewards == [0.0] * 4
    assert not terminated
    env.set_state({"field": np.where(env.get_state()["field"] > 0, 3, 0)})
    rewards, terminated, _ = _step(env, LOAD, LOAD, NONE, NONE)
    assert rewards == [np.float32(1 * 3 / (3 * 8)), np.float32(2 * 3 / (3 * 8)), 0.0, 0.0]
    assert not terminated
    state = env.get_state()
    assert state["field"].sum() == 3
    assert state["player_score"][0].tolist() == [0.125, 0.25, 0.0, 0.0]


def test_unnormalised_rewards_and_penalties() -> None:
    env = _game([(2, 3), (3, 2)], [1, 2], {(3, 3): 3, (5, 5): 9}, normalize_reward=False, penalty=0.5)
    assert _step(env, LOAD, NONE)[0] == [-0.5, 0.0]
    assert _step(env, LOAD, LOAD)[0] == [3.0, 6.0]
    assert env.get_state()["player_score"][0].tolist() == [2.5, 6.0]
    # No food beside: loading does nothing and costs nothing.
    assert _step(env, LOAD, LOAD)[0] == [0.0, 0.0]


def test_an_empty_board_terminates_even_at_the_time_limit() -> None:
    env = _game([(2, 3)], [3], {(3, 3): 3}, max_cycles=1)
    assert _step(env, LOAD) == ([1.0], True, False)
    assert env.get_state()["game_over"][0]


def test_the_time_limit_truncates() -> None:
    env = _game([(0, 0)], [1], FAR_FOOD, max_cycles=2)
    assert _step(env, NONE) == ([0.0], False, False)
    assert _step(env, NONE) == ([0.0], False, True)
    assert env.ended.all()


def test_cleared_boards_pay_one_in_all() -> None:
    env = _game([(1, 2), (1, 4), (3, 2)], [1, 2, 3], {(2, 2): 4, (2, 4): 2})
    first = _step(env, LOAD, LOAD, LOAD)
    assert first[1]
    assert sum(first[0]) == pytest.approx(1.0, abs=1e-6)


def test_food_is_listed_row_by_row_and_packed() -> None:
    env = _game([(1, 2), (5, 5)], [1, 2], {(2, 2): 1, (2, 4): 5, (4, 1): 3})
    assert env.observe()[0, 0].tolist() == [2, 2, 1, 2, 4, 5, 4, 1, 3, -1, -1, 0, 1, 2, 1, 5, 5, 2]
    obs, *_ = env.step(np.array([[LOAD, NORTH]]))
    assert obs[0, 1].tolist() == [2, 4, 5, 4, 1, 3, -1, -1, 0, -1, -1, 0, 4, 5, 2, 1, 2, 1]


def test_windows_are_relative_and_players_are_seen_further_than_food() -> None:
    env = _game([(1, 1), (4, 4), (6, 6)], [1, 2, 3], {(2, 3): 4, (4, 5): 5}, sight=2, max_num_food=2)
    obs = env.observe()[0]
    # From (1, 1) the window is cut to start at (0, 0): food at (2, 3) is in sight, the player at (4, 4) as well.
    assert obs[0].tolist() == [2, 3, 4, -1, -1, 0, 1, 1, 1, 4, 4, 2, -1, -1, 0]
    assert obs[1].tolist() == [0, 1, 4, 2, 3, 5, 2, 2, 2, 4, 4, 3, -1, -1, 0]
    assert obs[2].tolist() == [0, 1, 5, -1, -1, 0, 2, 2, 3, 0, 0, 2, -1, -1, 0]


def test_hidden_levels_leave_zeros_or_nothing() -> None:
    players, foods = [(1, 1), (4, 4)], {(2, 3): 4}
    zeros = _game(players, [1, 2], foods, zero_agent_levels=True, max_num_food=1).observe()[0, 0]
    assert zeros.tolist() == [2, 3, 4, 1, 1, 0, 4, 4, 0]
    omitted = _game(players, [1, 2], foods, observe_agent_levels=False, max_num_food=1).observe()[0, 0]
    assert omitted.tolist() == [2, 3, 4, 1, 1, 4, 4]


def test_grid_observations_have_three_layers() -> None:
    env = _game([(0, 1), (1, 1)], [4, 2], {(1, 2): 3}, sight=1, grid_observation=True)
    assert env.obs_shape == (3, 3, 3)
    agents, foods, access = env.observe()[0, 0].reshape(env.obs_shape)
    assert agents.tolist() == [[0, 0, 0], [0, 4, 0], [0, 2, 0]]
    assert foods.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 3]]
    assert access.tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    assert env.obs_fields[0].name == "agents[-1,-1]"
    assert env.obs_fields[14].name == "foods[+0,+1]"


def test_every_observation_entry_is_described() -> None:
    env = make_batched("LBF-8x8-2p-3f", 1)
    names = [field.name for field in env.obs_fields]
    assert names[:3] == ["food_0_row", "food_0_col", "food_0_level"]
    assert names[9:] == ["self_row", "self_col", "self_level", "other_1_row", "other_1_col", "other_1_level"]
    assert [field.index for field in env.obs_fields] == list(range(15))


def test_more_food_than_declared_is_refused() -> None:
    env = make_batched("LBF-8x8-2p-3f", 2, seed=0)
    env.reset()
    field = np.zeros((2, 8, 8), int)
    field[1, 1:5, 1] = 1
    with pytest.raises(InvalidStateError, match="holds 4 foods in a lane; max_num_food is 3"):
        env.set_state({"field": field})
    env.set_state({"field": field}, mask=np.array([True, False]))
    assert not env.get_state()["field"][0].any()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"player_row": [[0, 8]]}, "'player_row' spans"),
        ({"player_level": [[0, 1]]}, "'player_level' spans"),
        ({"field": -np.ones((1, 8, 8), int)}, "'field' spans"),
        ({"field": np.zeros((1, 8, 9), int)}, "'field' has shape"),
        ({"current_step": [51]}, "'current_step' spans"),
        ({"player_score": [[np.nan, 0.0]]}, "'player_score' holds NaN"),
        ({"row": [[0, 0]]}, "unknown state array 'row'"),
    ],
)
def test_impossible_states_are_refused(state: dict[str, Any], message: str) -> None:
    env = make_batched("LBF-8x8-2p-3f", 1, seed=0)
    before = env.reset()
    with pytest.raises(InvalidStateError, match=message):
        env.set_state(state)
    assert np.array_equal(env.observe(), before)


def test_valid_actions_follow_from_the_board_whatever_is_injected() -> None:
    env = _game([(0, 0)], [1], {(1, 1): 1})
    before = env.get_state()["valid_actions"].copy()
    assert before[0, 0].tolist() == [True, False, True, False, True, False]
    env.set_state({"valid_actions": ~before})
    assert np.array_equal(env.get_state()["valid_actions"], before)


def test_states_are_restored_array_by_array() -> None:
    source, target = (make_batched("LBF-15x15-4p-5f", 3) for _ in range(2))
    source.reset(seed=1)
    generator = np.random.default_rng(0)
    for _ in range(9):
        source.step(generator.integers(0, 6, (3, 4)))
    for name, array in source.get_state().items():
        target.set_state({name: array})
    assert np.array_equal(target.observe(), source.observe())
    actions = generator.integers(0, 6, (3, 4))
    for ours, theirs in zip(target.step(actions), source.step(actions), strict=True):
        assert np.array_equal(ours, theirs)
    assert all(np.array_equal(target.get_state()[name], array) for name, array in source.get_state().items())


def test_a_nearly_full_board_starts_at_once() -> None:
    env = LBF(64, LBFParams(players=15, field_size=4, max_num_food=4), seed=0)
    env.reset()
    state = env.get_state()
    cells = np.sort(state["player_row"].astype(int) * 4 + state["player_col"], axis=1)
    assert (np.diff(cells, axis=1) > 0).all()
    free = 120 - cells.sum(axis=1)
    assert set(free.tolist()) == set(range(16))


def test_a_start_without_room_for_food_is_over_after_one_step() -> None:
    env = LBF(200, LBFParams(players=8, field_size=3, max_num_food=1), seed=0)
    env.reset()
    empty = env.get_state()["food_spawned"] == 0
    assert empty.any()
    assert not empty.all()
    terminated = env.step(np.zeros((200, 8), int))[2]
    assert np.array_equal(terminated, empty)
