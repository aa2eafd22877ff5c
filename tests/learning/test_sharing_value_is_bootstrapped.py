"""Our critics on reward 1 for ever, discount 0.9 and a time limit: 10, and 2.6 if the limit passes for an end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fakes import constant_env
from stable_baselines3.common.vec_env import VecEnvWrapper

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs.adapters.sb3 import SharedVecEnv

GAMMA, LIMIT = 0.9, 5
TRUE_VALUE = 1 / (1 - GAMMA)
# The time left is not observed, so a blind critic learns the mean of 1, 1.9, 2.71, 3.44 and 4.10.
BLIND_VALUE = float(np.mean([(1 - GAMMA**left) / (1 - GAMMA) for left in range(1, LIMIT + 1)]))
SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    (SharingA2C, {"use_rms_prop": False}),
    (SharingPPO, {"batch_size": 80, "n_epochs": 2}),
]


class _NoFlag(VecEnvWrapper):
    """Withholds the time-limit flag."""

    def reset(self) -> Any:
        """Reset."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Step."""
        obs, rewards, dones, infos = self.venv.step_wait()
        return obs, rewards, dones, [{**info, "TimeLimit.truncated": False} for info in infos]


def _value(algorithm: Any, env: Any, settings: dict[str, Any], scheme: str = "fups") -> float:
    model = algorithm(
        scheme, env, gamma=GAMMA, gae_lambda=1.0, seed=0, n_steps=5, learning_rate=0.1, ent_coef=0.0, max_grad_norm=1e9,
        policy_kwargs={"net_arch": []}, device="cpu", **settings,
    )  # fmt: skip
    model.learn(8 * 5 * 200)
    with torch.no_grad():
        return float(model.policy.predict_values(torch.as_tensor(env.reset())).mean())


@pytest.mark.parametrize(("algorithm", "settings"), SETTINGS)
@pytest.mark.parametrize("scheme", ["fups", "nops"])
def test_the_critic_learns_the_bootstrapped_value(algorithm: Any, settings: dict[str, Any], scheme: str) -> None:
    value = _value(algorithm, SharedVecEnv(constant_env(8, max_cycles=LIMIT)), settings, scheme)
    assert value == pytest.approx(TRUE_VALUE, abs=0.3)


@pytest.mark.parametrize(("algorithm", "settings"), SETTINGS)
def test_without_the_flag_it_learns_the_wrong_one(algorithm: Any, settings: dict[str, Any]) -> None:
    value = _value(algorithm, _NoFlag(SharedVecEnv(constant_env(8, max_cycles=LIMIT))), settings)
    assert value == pytest.approx(BLIND_VALUE, abs=0.6)
