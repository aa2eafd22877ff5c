"""Our own gate on every id; the five faces against the core and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adaps_envs
from adaps_envs.testing import BATCHED_CHECKS, PARALLEL_CHECKS, check_env, trace_digest

LANES = 3
STEPS = 55
SEED = 17

# What the game was when these were pinned. A change of a rule, an observation or a random stream must show here and
# bump the version of the id.
DIGESTS = {
    "BPS-1-v0": "70e53aae89712adad6754c71952b9cda22ff7f540bb34f80872b5ef17df9f8c0",
    "BPS-2-v0": "2fcaa7a724f5f2b35d0d153dbb061bda4f6d599b50e422e5c5d3bb37456be1e1",
    "BPS-3-v0": "f06df922c4db8761d9372cae010053f407b0f121d49d6fb60179750f036e0b61",
    "BPS-4-v0": "44ad2cba8a49155fe644e9a66e86f0b74b257d939d5edc7264f3a1c59f7701fb",
    "BPS-5-v0": "32aa44ee10ddae667edf27bd823e90914e25995246f4e56502d59357dd88f662",
    "BPS-6-v0": "96b75c1e3bc6a2d61f964993e77653294c9ae9c59ca51a460d263f70f945a628",
}


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_gate(env_id: str) -> None:
    report = check_env(env_id)
    assert [(result.name, result.message) for result in report.results if not result.passed] == []
    assert len(report.results) == len(BATCHED_CHECKS) + len(PARALLEL_CHECKS)
    assert report.env_id == env_id


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_digest_is_the_pinned_one(env_id: str) -> None:
    assert trace_digest(env_id) == DIGESTS[env_id]


def test_digest_sees_every_parameter() -> None:
    variants: list[dict[str, Any]] = [{}, {"max_cycles": 49}, {"local_ratio": 0.4}, {"cooperative": True}]
    assert len({trace_digest("BPS-1", **params) for params in variants}) == len(variants)
    assert trace_digest("BPS-1") == trace_digest("adaps/BPS-1-v0", groups=[5, 5, 5])


def _core(env_id: str, actions: np.ndarray) -> list[Any]:
    env = adaps_envs.make_batched(env_id, LANES)
    rows = [env.reset(seed=SEED)]
    for step_actions in actions:
        rows.append(env.step(step_actions))
        if env.ended.any():
            env.reset(mask=env.ended)
    return rows


@pytest.mark.parametrize("env_id", ["BPS-1-v0", "BPS-6-v0"])
@pytest.mark.parametrize("api", ["parallel", "aec", "gym"])
def test_single_faces_are_lanes_of_the_core(env_id: str, api: str) -> None:
    num_agents = adaps_envs.make_batched(env_id, 1).num_agents
    actions = np.random.default_rng(0).integers(0, 5, (STEPS, LANES, num_agents))
    rows = _core(env_id, actions)
    for lane in range(LANES):
        env = adaps_envs.make(env_id, api=api)
        start = _reset(env, api, SEED + lane)
        assert np.array_equal(start, rows[0][lane])
        for row, step_actions in zip(rows[1:], actions[:, lane], strict=True):
            obs, rewards, terminated, truncated = _step(env, api, step_actions)
            assert np.array_equal(obs, row[0][lane])
            assert np.array_equal(rewards, row[1][lane])
            assert (terminated, truncated) == (row[2][lane], row[3][lane])
            if terminated or truncated:
                _reset(env, api, None)


@pytest.mark.parametrize("env_id", ["BPS-1-v0", "BPS-6-v0"])
@pytest.mark.parametrize("api", ["gym_vector", "sb3"])
def test_batched_faces_are_the_core(env_id: str, api: str) -> None:
    env = adaps_envs.make(env_id, api=api, num_envs=LANES, **({"autoreset_mode": "SameStep"} if api != "sb3" else {}))
    num_agents = env.batched.num_agents
    actions = np.random.default_rng(0).integers(0, 5, (STEPS, LANES, num_agents))
    rows = _core(env_id, actions)
    env.seed(SEED) if api == "sb3" else env.reset(seed=SEED)
    if api == "sb3":
        assert np.array_equal(env.reset().reshape(rows[0].shape), rows[0])
    for row, step_actions in zip(rows[1:], actions, strict=True):
        ended = row[2] | row[3]
        if api == "sb3":
            obs, rewards, dones, infos = env.step(step_actions.reshape(-1))
            assert np.array_equal(rewards.reshape(row[1].shape), row[1])
            assert np.array_equal(dones.reshape(row[1].shape), np.repeat(ended[:, None], num_agents, axis=1))
            obs = obs.reshape(row[0].shape)
            if ended.all():
                obs = np.stack([info["terminal_observation"] for info in infos]).reshape(row[0].shape)
        else:
            obs, rewards, _, truncated, infos = env.step(step_actions)
            assert np.array_equal(rewards, row[1].astype(np.float64).sum(axis=1))
            assert np.array_equal(truncated, row[3])
            obs = np.stack(infos["final_obs"]) if ended.all() else obs
        assert np.array_equal(obs, row[0])


def _reset(env: Any, api: str, seed: int | None) -> np.ndarray:
    if api == "gym":
        return env.reset(seed=seed)[0]
    if api == "aec":
        env.reset(seed=seed)
        return np.stack([env.observe(agent) for agent in env.possible_agents])
    return np.stack(list(env.reset(seed=seed)[0].values()))


def _step(env: Any, api: str, actions: np.ndarray) -> tuple[Any, ...]:
    if api == "gym":
        obs, reward, terminated, truncated, info = env.step(actions)
        assert reward == info["agent_rewards"].astype(np.float64).sum()
        return obs, info["agent_rewards"], terminated, truncated
    if api == "aec":
        for action in actions.tolist():
            env.step(action)
        obs = np.stack([env.observe(agent) for agent in env.possible_agents])
        rewards, first = np.array(list(env.rewards.values()), np.float32), env.agents[0]
        return obs, rewards, env.terminations[first], env.truncations[first]
    given = dict(zip(env.agents, actions.tolist(), strict=True))
    obs, rewards, terminated, truncated, _ = env.step(given)
    return (
        np.stack(list(obs.values())),
        np.array(list(rewards.values()), np.float32),
        all(terminated.values()),
        all(truncated.values()),
    )
