"""Gymnasium's and stable-baselines3's environment checkers on the team view, and every way to make a vector."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from stable_baselines3 import A2C
from stable_baselines3.common.env_checker import check_env as sb3_check

import adaps_envs
from adaps_envs.adapters.gym_vector import TeamVectorEnv

IDS = adaps_envs.list_envs()


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasium_checker_has_nothing_to_say(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(adaps_envs.spec(env_id).gym_id, render_mode="rgb_array")
        gymnasium_check(env.unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines3_checker_accepts(env_id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A matrix of observations that is no picture: it advises to flatten.
        warnings.filterwarnings("ignore", message=".*unconventional shape")
        sb3_check(adaps_envs.make(env_id, api="gym"), skip_render_check=True)


def test_gymnasium_make_passes_parameters() -> None:
    env = gymnasium.make("adaps/BPS-1-v0", groups=[2, 2], max_cycles=7)
    assert env.observation_space.shape == (4, 8)
    assert env.unwrapped.batched.max_cycles == 7
    assert env.spec is not None
    assert gymnasium.make(env.spec).observation_space.shape == (4, 8)


@pytest.mark.parametrize(
    ("mode", "kind"), [(None, TeamVectorEnv), ("vector_entry_point", TeamVectorEnv), ("sync", SyncVectorEnv)]
)
def test_make_vec(mode: Any, kind: type) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=4, vectorization_mode=mode)
    assert isinstance(env.unwrapped, kind)
    obs, _ = env.reset(seed=0)
    assert obs.shape == (4, 15, 10)
    assert env.observation_space.contains(obs)
    actions = env.action_space.sample()
    assert actions.shape == (4, 15)
    obs, rewards, terminated, truncated, infos = env.step(actions)
    assert (rewards.shape, rewards.dtype) == ((4,), np.float64)
    assert env.observation_space.contains(obs)
    assert infos["agent_rewards"].shape == (4, 15)
    assert not terminated.any()
    assert not truncated.any()
    env.close()


def test_async_vector_in_other_processes() -> None:
    env = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=2, vectorization_mode="async", max_cycles=2)
    assert isinstance(env, AsyncVectorEnv)
    theirs = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=2, max_cycles=2)
    try:
        assert np.array_equal(env.reset(seed=1)[0], theirs.reset(seed=1)[0])
        actions = np.ones((2, 15), np.int64)
        assert np.array_equal(env.step(actions)[0], theirs.step(actions)[0])
    finally:
        env.close()


def test_stock_learner_trains_on_the_team_view() -> None:
    env = gymnasium.make("adaps/BPS-1-v0", groups=[1, 1], max_cycles=5)
    model = A2C("MlpPolicy", env, n_steps=5, seed=0, policy_kwargs={"net_arch": [8]}, device="cpu")
    model.learn(20)
    assert model.num_timesteps == 20
