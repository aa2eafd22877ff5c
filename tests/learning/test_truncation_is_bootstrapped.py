"""A time limit is not an end: with reward 1 for ever and discount 0.9, the value is 10, whatever the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fakes import constant_env
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import VecEnvWrapper

from adaps_envs.adapters.sb3 import SharedVecEnv

GAMMA = 0.9
TRUE_VALUE = 1 / (1 - GAMMA)
# Limit 5: a critic that takes the limit for an end learns the mean of 1, 1.9, 2.71, 3.44 and 4.10.
LIMIT = 5
BLIND_VALUE = float(np.mean([(1 - GAMMA**left) / (1 - GAMMA) for left in range(1, LIMIT + 1)]))


class _Forgetful(VecEnvWrapper):
    """Takes the time-limit flag away: the fault that this test is about."""

    def reset(self) -> Any:
        """Reset."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Step."""
        obs, rewards, dones, infos = self.venv.step_wait()
        return obs, rewards, dones, [{**info, "TimeLimit.truncated": False} for info in infos]


def _learnt_value(algorithm: Any, wrapper: Any, settings: dict[str, Any]) -> float:
    venv = wrapper(SharedVecEnv(constant_env(8, max_cycles=LIMIT)))
    policy = {"net_arch": {"pi": [], "vf": []}}
    model = algorithm(
        "MlpPolicy", venv, gamma=GAMMA, gae_lambda=1.0, seed=0, policy_kwargs=policy, device="cpu",
        max_grad_norm=1e9, ent_coef=0.0, **settings,
    )  # fmt: skip
    model.learn(16 * 5 * 150)
    obs = torch.as_tensor(venv.reset())
    with torch.no_grad():
        return float(model.policy.predict_values(obs).mean())


SETTINGS = [
    (A2C, {"n_steps": 5, "learning_rate": 0.1, "use_rms_prop": False}),
    (PPO, {"n_steps": 5, "learning_rate": 0.1, "batch_size": 80, "n_epochs": 2}),
]


@pytest.mark.parametrize(("algorithm", "settings"), SETTINGS)
def test_stock_critic_learns_the_bootstrapped_value(algorithm: Any, settings: dict[str, Any]) -> None:
    value = _learnt_value(algorithm, lambda venv: venv, settings)
    assert value == pytest.approx(TRUE_VALUE, abs=0.3)


def test_without_the_flag_it_learns_the_wrong_one() -> None:
    algorithm, settings = SETTINGS[0]
    value = _learnt_value(algorithm, _Forgetful, settings)
    assert value == pytest.approx(BLIND_VALUE, abs=0.6)
