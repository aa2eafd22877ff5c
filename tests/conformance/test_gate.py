"""Our own gate on every id; the five faces against the core and each other."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pytest

import adaps_envs
from adaps_envs.registry import families
from adaps_envs.testing import (
    QUICK,
    CheckReport,
    check_env,
    check_target,
    list_checks,
    pinned_digest,
    trace_digest,
)

LANES = 3
STEPS = 55
SEED = 17

# PettingZoo's tests and the libraries' checks have tests of their own; own/light_import is the same for all ids.
OURS = ["parallel/*", "own/[!l]*", "batched/*", "faces/*"]


def _failures(report: CheckReport) -> list[tuple[str, str]]:
    return [(result.name, result.message) for result in report.results if result.status != "passed"]


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_gate_through_every_face(env_id: str) -> None:
    report = check_target(env_id, effort=QUICK, faces=True, select=OURS)
    assert _failures(report) == []
    expected = [name for name in list_checks() if any(fnmatchcase(name, pattern) for pattern in OURS)]
    assert [result.name for result in report.results] == expected
    assert report.env_id == env_id


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_gate_at_full_length(family: str) -> None:
    for env_id in families()[family].presets:
        assert _failures(check_target(env_id, select=["parallel/*", "own/*"])) == []


def test_gate_by_the_short_name() -> None:
    report = check_env("BPS-1", groups=[1], max_cycles=10)
    assert report.passed
    assert "own/light_import" in [result.name for result in report.results]
    assert report.env_id == "BPS-1-v0"


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_every_id_has_a_pinned_digest(env_id: str) -> None:
    assert pinned_digest(env_id) == trace_digest(env_id), f"pin it in the digests.py of {env_id}'s family"


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
