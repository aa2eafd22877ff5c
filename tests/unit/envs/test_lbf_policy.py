"""Scripted players of foraging: how much they collect, how fast, and that they obey what they may know."""

from __future__ import annotations

import numpy as np
import pytest

from adaps_envs import make_batched, make_policy
from adaps_envs.core.batched import BatchedEnv

LANES = 64
GAMES = [
    "LBF-8x8-2p-3f", "LBF-10x10-3p-3f", "LBF-15x15-4p-5f", "LBF-8x8-2p-2f-coop", "LBF-10x10-6p-5f-3t",
    "LBF-15x15-12p-6f-3t", "LBF-15x15-12p-6f-3t-coop",
]  # fmt: skip

HARD = GAMES[-1]


def _play(name: str, env: BatchedEnv, seed: int = 0) -> tuple[float, float]:
    """Return the mean share of the food value that is collected, and the mean length of an episode."""
    obs, policy, generator = env.reset(seed=seed), make_policy(name, env), np.random.default_rng(seed)
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs)
    while not env.ended.all():
        running = ~env.ended
        obs, rewards, _, _ = env.step(policy(obs, generator), mask=running)
        # Normalised rewards of a step sum to the share of the food value that was collected in it.
        returns += rewards.sum(axis=1)
        lengths += running
    return float(returns.mean()), float(lengths.mean())


@pytest.mark.parametrize("env_id", GAMES)
def test_random_is_worst_and_the_expert_nearly_perfect(env_id: str) -> None:
    scores = {name: _play(name, make_batched(env_id, LANES)) for name in ("random", "blind", "expert")}
    assert scores["expert"][0] >= 0.99
    assert scores["random"][0] < 0.6
    assert scores["random"][0] < scores["blind"][0] <= scores["expert"][0] + 1e-6
    assert scores["expert"][1] <= scores["blind"][1] < scores["random"][1]


def test_knowing_the_types_saves_half_of_the_time() -> None:
    lengths = {name: _play(name, make_batched("LBF-15x15-12p-6f-3t", LANES))[1] for name in ("blind", "expert")}
    assert lengths["expert"] < 0.6 * lengths["blind"]


def test_the_blind_player_does_not_look_at_levels() -> None:
    env = make_batched("LBF-15x15-12p-6f-3t", 8, seed=0)
    obs = env.reset()
    policies = {name: make_policy(name, env) for name in ("blind", "expert")}
    before = {name: policy(obs) for name, policy in policies.items()}
    env.set_state({"player_level": env.get_state()["player_level"][:, ::-1]})
    after = {name: policy(env.observe()) for name, policy in policies.items()}
    assert np.array_equal(before["blind"], after["blind"])
    assert not np.array_equal(before["expert"], after["expert"])


@pytest.mark.parametrize("name", ["blind", "expert"])
def test_a_lane_does_not_depend_on_the_others(name: str) -> None:
    batch, single = make_batched(HARD, 5), make_batched(HARD, 1)
    left, right = batch.reset(seed=0), single.reset(seed=3)
    policies = make_policy(name, batch), make_policy(name, single)
    for _ in range(6):
        actions = policies[0](left), policies[1](right)
        assert actions[0].shape == (5, 12)
        assert actions[0].dtype == np.int64
        assert np.array_equal(actions[0][3:4], actions[1])
        left, right = batch.step(actions[0])[0], single.step(actions[1])[0]


@pytest.mark.parametrize("name", ["blind", "expert"])
@pytest.mark.parametrize(
    "params",
    [
        {"field_size": 3, "max_num_food": 1, "players": 8},
        {"field_size": (3, 9), "max_num_food": 3, "players": 1, "max_food_level": 9},
        {"field_size": (12, 5), "max_num_food": 9, "players": 20, "max_player_level": 3, "penalty": 0.1},
        {"grid_observation": True, "sight": 2},
    ],
)
def test_policies_play_any_board(name: str, params: dict[str, int]) -> None:
    env = make_batched("LBF-8x8-2p-3f", 16, **params)
    share, length = _play(name, env)
    assert -20.0 < share <= 1.0 + 1e-5
    assert length >= 1


def test_policies_stand_still_on_an_empty_board() -> None:
    env = make_batched("LBF-8x8-2p-3f", 1, seed=0)
    env.reset()
    env.set_state({"field": np.zeros((1, 8, 8), int)})
    assert not make_policy("expert", env)(env.observe()).any()


def test_players_without_a_task_leave_room_beside_food() -> None:
    """The weak player stands where one of the two strong ones must stand, and nobody else can do it."""
    env = make_batched(
        "LBF-8x8-2p-3f", 1, roster=[{"count": 1, "level": 1}, {"count": 4, "level": 3}], max_food_level=12
    )
    env.reset(seed=0)
    field = np.zeros((1, 8, 8), int)
    field[0, 3, 3] = 12
    env.set_state(
        {
            "field": field, "food_spawned": [12.0], "player_row": [[2, 0, 0, 7, 7]], "player_col": [[3, 3, 5, 3, 5]],
        }
    )  # fmt: skip
    policy = make_policy("expert", env)
    while not env.ended.any():
        _, rewards, terminated, _ = env.step(policy(env.observe()))
    assert terminated.all()
    assert rewards[0].tolist() == [0.0, 0.25, 0.25, 0.25, 0.25]
