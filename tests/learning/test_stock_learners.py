"""stable-baselines3's own PPO and A2C with a sharing policy, in the game of opposite types: full sharing gets 2/3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3 import A2C, PPO
from type_game import type_game

from adaps_agents import IdentityPhase, SharingPolicy
from adaps_envs.adapters.sb3_index import AgentIndexed

CAP = 4 / 6
IDENTITY = {"env_steps": 800, "encoder": {"latent": 4, "hidden": 32, "updates": 400, "batch_size": 256}}


def _score(algorithm: Any, scheme: str, options: dict[str, Any]) -> float:
    policy = {"scheme": scheme, "net_arch": [16, 16], "scheme_kwargs": options}
    settings: dict[str, Any] = {"batch_size": 240, "n_epochs": 2} if algorithm is PPO else {"use_rms_prop": False}
    model = algorithm(
        SharingPolicy, AgentIndexed(type_game(16)), seed=0, n_steps=5, gamma=0.5, learning_rate=1e-2, device="cpu",
        policy_kwargs=policy, **settings,
    )  # fmt: skip
    model.learn(6 * (800 + 16 * 5 * 120), callback=IdentityPhase())
    env = AgentIndexed(type_game(64))
    env.seed(12345)
    obs, total = env.reset(), 0.0
    for _ in range(10):
        obs, rewards, _, _ = env.step(model.predict(obs, deterministic=True)[0])
        total += float(np.mean(rewards))
    return total / 10


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_adaps_beats_the_cap(algorithm: Any) -> None:
    assert _score(algorithm, "adaps", {"identity": IDENTITY}) > 0.95


def test_full_sharing_is_not_told_the_index() -> None:
    assert _score(PPO, "fups", {}) == pytest.approx(CAP, abs=1e-6)
