"""A cue at the first step, the paid action at the last: policies without memory are capped at one half.

With four agents of one type and two of the other, a policy that remembers but cannot tell them apart is right for at
most four of six. Who remembers and has an identity reaches the optimum, 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hidden_games import HiddenParams, MemoryGame
from luck import ask

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs.adapters.sb3 import SharedVecEnv

GROUPS, DELAY, LANES = (4, 2), 4, 16
TYPES = [0, 0, 0, 0, 1, 1]
WITHOUT_MEMORY, WITHOUT_IDENTITY = 0.5, 4 / 6
NEAR_OPTIMUM = 0.95
EPISODES = 16 * 200


def _game(num_lanes: int) -> MemoryGame:
    return MemoryGame(num_lanes, HiddenParams(groups=GROUPS, max_cycles=DELAY), seed=0)


def _score(
    algorithm: Any,
    scheme: str,
    recurrent: str,
    options: dict[str, Any] | None = None,
    *,
    episodes: int = EPISODES,
    ent_coef: float = 0.01,
    **policy: Any,
) -> float:
    """Return the mean pay an agent and episode of the greedy policy after training, over both sides of the coin."""
    a2c = algorithm is SharingA2C
    settings: dict[str, Any] = {"use_rms_prop": False} if a2c else {"batch_size": 8 * DELAY * 6, "n_epochs": 2}
    model = algorithm(
        scheme, SharedVecEnv(_game(LANES)), seed=0, n_steps=DELAY, learning_rate=1e-2, ent_coef=ent_coef, device="cpu",
        policy_kwargs={"net_arch": [16], "recurrent": recurrent, "scheme_kwargs": options or {}, **policy}, **settings,
    )  # fmt: skip
    model.learn(DELAY * episodes)
    env = _game(2)
    env.reset(seed=0)
    env.set_state({"coin": np.array([0, 1], np.int32)})
    obs, memory, total = env.observe(), model.policy.new_memory(2), 0.0
    for _ in range(DELAY):
        obs, rewards, *_ = env.step(model.policy.act(obs, deterministic=True, memory=memory))
        total += float(rewards.mean())
    return total


@pytest.mark.parametrize(("scheme", "options"), [("fups", {}), ("nops", {}), ("adaps", {"labels": TYPES})])
def test_without_memory_nobody_does_better_than_a_guess(scheme: str, options: dict[str, Any]) -> None:
    assert _score(SharingA2C, scheme, "none", options) == WITHOUT_MEMORY


def test_memory_without_identity_is_capped_by_the_larger_type() -> None:
    assert _score(SharingA2C, "fups", "gru") == pytest.approx(WITHOUT_IDENTITY)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("oracle", {}),
        ("nops", {}),
        ("fups_id", {}),
        ("snp_ps", {}),
        ("seps", {"labels": TYPES}),
        ("adaps", {"labels": TYPES}),
        ("adaps", {"labels": TYPES, "units": "both"}),
        ("hypermarl_linear", {}),
        ("lorasa", {}),
    ],
)
def test_memory_and_identity_reach_the_optimum(scheme: str, options: dict[str, Any]) -> None:
    score = _score(SharingA2C, scheme, "gru", options)
    ask(score > NEAR_OPTIMUM, f"one seed alone ends at {score:.2f}")


@pytest.mark.slow
def test_masks_that_are_learnt_need_more_episodes_to_part_the_agents() -> None:
    assert _score(SharingA2C, "kaleidoscope", "gru", episodes=4 * EPISODES, ent_coef=0.2) > NEAR_OPTIMUM


def test_ppo_learns_it_as_well() -> None:
    assert _score(SharingPPO, "adaps", "gru", {"labels": TYPES}) > NEAR_OPTIMUM


def test_an_actor_that_remembers_beside_a_centralised_critic_is_enough() -> None:
    assert _score(SharingA2C, "seps", "gru_actor", {"labels": TYPES}, critic="central") > NEAR_OPTIMUM
