"""SuperSuit as a consumer: its usual pipeline into a stock PPO."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import adaps_envs

supersuit = pytest.importorskip("supersuit")


@pytest.mark.filterwarnings("ignore")
def test_pipeline_into_stock_ppo() -> None:
    from stable_baselines3 import PPO

    env = adaps_envs.make("BPS-1", max_cycles=10)
    env = supersuit.pad_observations_v0(env)
    env = supersuit.pad_action_space_v0(env)
    env = supersuit.agent_indicator_v0(env, type_only=False)
    env = supersuit.pettingzoo_env_to_vec_env_v1(env)
    env = supersuit.concat_vec_envs_v1(env, 2, num_cpus=0, base_class="stable_baselines3")
    assert env.num_envs == 30
    obs = env.reset()
    assert obs.shape == (30, 25)
    assert np.isfinite(obs).all()
    model = PPO("MlpPolicy", env, n_steps=12, batch_size=60, n_epochs=1, policy_kwargs={"net_arch": [8]}, device="cpu")
    model.learn(30 * 12)
    assert model.num_timesteps == 30 * 12


def test_type_indicator_cannot_see_the_hidden_type() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = supersuit.agent_indicator_v0(adaps_envs.make("BPS-1"), type_only=True)
        obs, _ = env.reset(seed=0)
    assert len({tuple(value[10:]) for value in obs.values()}) == 1
