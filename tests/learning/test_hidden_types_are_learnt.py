"""The game of opposite types: full sharing is capped at a score computed by hand, schemes with identity are not.

With four agents of one type and two of the other, a policy that cannot tell them apart is right for at most four of
six: 2/3. The optimum is 1; an untrained policy scores 1/2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO

CAP = 4 / 6
NEAR_OPTIMUM = 0.95
LANES = 16
STEPS = 16 * 5 * 250
IDENTITY = {"env_steps": 800, "encoder": {"latent": 4, "hidden": 32, "updates": 400, "batch_size": 256}}
# Each mixes both types in every group, and in each the larger type has two of three.
SHUFFLED = [0, 1, 0, 1, 0, 1]


def _score(algorithm: Any, scheme: str, options: dict[str, Any]) -> float:
    """Return the mean reward an agent and step of the greedy policy after training."""
    policy = {"net_arch": [16, 16], "scheme_kwargs": options}
    a2c = algorithm is SharingA2C
    settings: dict[str, Any] = {"use_rms_prop": False} if a2c else {"batch_size": 240, "n_epochs": 2}
    model = algorithm(
        scheme, type_game(LANES), seed=0, n_steps=5, gamma=0.5, learning_rate=1e-2, policy_kwargs=policy, device="cpu",
        **settings,
    )  # fmt: skip
    model.learn(STEPS if a2c else STEPS // 4)
    env = type_game(64)
    env.seed(12345)
    obs, total = env.reset(), 0.0
    for _ in range(10):
        obs, rewards, _, _ = env.step(model.predict(obs, deterministic=True)[0])
        total += float(np.mean(rewards))
    return total / 10


@pytest.mark.parametrize("algorithm", [SharingA2C, SharingPPO])
def test_full_sharing_reaches_the_cap_and_no_more(algorithm: Any) -> None:
    assert _score(algorithm, "fups", {}) == pytest.approx(CAP, abs=1e-6)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("oracle", {}),
        ("nops", {}),
        ("fups_id", {}),
        ("snp_ps", {}),
        ("hypermarl", {}),
        ("hypermarl_linear", {}),
        ("kaleidoscope", {}),
        ("dico", {}),
        ("prism", {}),
        ("seps", {"identity": IDENTITY}),
        ("adaps", {"identity": IDENTITY}),
    ],
)
def test_identity_lifts_the_cap(scheme: str, options: dict[str, Any]) -> None:
    assert _score(SharingA2C, scheme, options) > NEAR_OPTIMUM


def test_ppo_learns_it_as_well() -> None:
    assert _score(SharingPPO, "adaps", {"identity": IDENTITY}) > NEAR_OPTIMUM


@pytest.mark.parametrize("scheme", ["seps", "adaps"])
@pytest.mark.parametrize(
    "options", [{"labels": SHUFFLED}, {"identity": {**IDENTITY, "shuffle_agents": True}}], ids=["labels", "identity"]
)
def test_shuffled_identities_fall_back_to_the_cap(scheme: str, options: dict[str, Any]) -> None:
    assert _score(SharingA2C, scheme, options) <= CAP + 1e-6
