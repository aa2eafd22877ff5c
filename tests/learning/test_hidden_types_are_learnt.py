"""The game of opposite types: full sharing is capped at a score computed by hand, schemes with identity are not.

With four agents of one type and two of the other, a policy that cannot tell them apart is right for at most four of
six: 2/3. The optimum is 1; an untrained policy scores 1/2. Whoever shares networks by groups is right for the larger
type of every group.

The entropy bonus is that of the suite ``paper``. Methods that start as full sharing and part later need more: where
full sharing is right for two agents of three, an action is worth 2/3 - 1/3 more than the other, and with the weight 0.1
its best policy keeps 3 % for the other one. A policy that is sure of itself never learns that it is wrong for some.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_agents.schemes import SharingScheme, make_scheme

CAP = 4 / 6
NEAR_OPTIMUM = 0.95
LANES = 16
UPDATES = 250
STEPS = LANES * 5 * UPDATES
ENTROPY = {"gradps": 0.1, "lorasa": 0.1, "prism": 0.1}
OTHERS_ENTROPY = 0.01
IDENTITY = {"env_steps": 800, "encoder": {"latent": 4, "hidden": 32, "updates": 400, "batch_size": 256}}
# Each mixes both types in every group, and in each the larger type has two of three.
SHUFFLED = [0, 1, 0, 1, 0, 1]
# What methods do once in thousands of updates must happen within these.
PACE: dict[str, dict[str, Any]] = {"gradps": {"interval": 5, "period": 10}, "madps": {"period": 100, "window": 50}}
# Spectral masks act on few singular values here, and part late.
LONGER = {"prism": 4}
# Generated weights all move with each weight of the generator, so its steps must be smaller.
RATE = {"hypermarl": 3e-3}
IDENTIFIED = [name for name in list_schemes() if name != "oracle" and make_scheme(name).group_source]


def _model(algorithm: Any, scheme: str, options: dict[str, Any]) -> Any:
    """Return a trained learner."""
    options = {**({"identity": IDENTITY} if scheme in IDENTIFIED else {}), **PACE.get(scheme, {}), **options}
    policy = {"net_arch": [16, 16], "scheme_kwargs": options}
    a2c = algorithm is SharingA2C
    settings: dict[str, Any] = {"use_rms_prop": False} if a2c else {"batch_size": 240, "n_epochs": 2}
    model = algorithm(
        scheme, type_game(LANES), seed=0, n_steps=5, gamma=0.5, learning_rate=RATE.get(scheme, 1e-2),
        ent_coef=ENTROPY.get(scheme, OTHERS_ENTROPY), policy_kwargs=policy, device="cpu", **settings,
    )  # fmt: skip
    return model.learn(LONGER.get(scheme, 1) * (STEPS if a2c else STEPS // 4))


def _score(model: Any) -> float:
    """Return the mean reward an agent and step of the greedy policy."""
    env = type_game(64)
    env.seed(12345)
    obs, total = env.reset(), 0.0
    for _ in range(10):
        obs, rewards, _, _ = env.step(model.predict(obs, deterministic=True)[0])
        total += float(np.mean(rewards))
    return total / 10


def _bound(model: Any) -> float:
    """Return by hand what the best policy that shares as this scheme does scores."""
    kind = type(model.scheme)
    if kind.fups_options == {} and kind.after_update is SharingScheme.after_update:
        return CAP
    groups, types = model.scheme.assignment(), type_game(1).batched.agent_types
    if groups is None:
        return 1.0
    return sum(np.bincount(types[groups == group]).max() for group in np.unique(groups)) / len(types)


@pytest.mark.parametrize("algorithm", [SharingA2C, SharingPPO])
def test_full_sharing_reaches_the_cap_and_no_more(algorithm: Any) -> None:
    model = _model(algorithm, "fups", {})
    assert _bound(model) == CAP
    assert _score(model) == pytest.approx(CAP, abs=1e-6)


@pytest.mark.parametrize("scheme", list_schemes())
def test_every_scheme_reaches_what_its_sharing_allows(scheme: str) -> None:
    model = _model(SharingA2C, scheme, {})
    bound, score = _bound(model), _score(model)
    assert NEAR_OPTIMUM * bound < score <= bound + 1e-6
    # Full sharing is capped, and the control may mix types in its groups; all others tell agents apart.
    assert bound == 1.0 or scheme in ("fups", "random_groups")


def test_ppo_learns_it_as_well() -> None:
    assert _score(_model(SharingPPO, "adaps", {})) > NEAR_OPTIMUM


@pytest.mark.parametrize("scheme", IDENTIFIED)
def test_shuffled_labels_fall_back_to_the_cap(scheme: str) -> None:
    model = _model(SharingA2C, scheme, {"labels": SHUFFLED})
    if scheme != "random_groups":
        assert _bound(model) == CAP
    assert _score(model) <= _bound(model) + 1e-6


@pytest.mark.parametrize("scheme", ["seps", "adaps"])
def test_shuffled_transitions_fall_back_to_the_cap(scheme: str) -> None:
    assert _score(_model(SharingA2C, scheme, {"identity": {**IDENTITY, "shuffle_agents": True}})) <= CAP + 1e-6
