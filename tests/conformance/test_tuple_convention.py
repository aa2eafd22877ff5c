"""``gym_tuple`` has the interface that rware and lbforaging have, so that code written for them runs our ids."""

from __future__ import annotations

import sys
import types
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeAwareObservation, TimeLimit
from uneven import uneven_env

import adaps_envs
from adaps_envs.adapters.gym_tuple import AgentsEnv
from adaps_envs.errors import InvalidActionError, InvalidParameterError, ResetNeededError

pytestmark = pytest.mark.filterwarnings("ignore:.*reward returned by")
OURS = ["adaps/BPS-1-tuple-v0", "adaps/RWARE-tiny-4a-tuple-v0", "adaps/LBF-8x8-2p-3f-tuple-v0"]
THEIRS = {"rware": "rware:rware-tiny-4ag-v2", "lbforaging": "lbforaging:Foraging-8x8-2p-1f-v3"}


def _shape(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Return the kinds of everything that a caller sees of an environment."""
    obs, info = env.reset(seed=3)
    stepped = env.step([0] * env.unwrapped.n_agents)
    return {
        "n_agents": type(env.unwrapped.n_agents),
        "action_space": (type(env.action_space), {type(space) for space in env.action_space}),
        "observation_space": (type(env.observation_space), {type(space) for space in env.observation_space}),
        "lengths": {len(env.action_space) - env.unwrapped.n_agents, len(obs) - len(stepped[1])},
        "reset": (type(obs), {(type(part), part.dtype, part.ndim) for part in obs}, type(info), len(info)),
        "step": [type(part) for part in stepped],
        "inside": all(space.contains(part) for space, part in zip(env.observation_space, stepped[0], strict=True)),
        "rewards": all(isinstance(reward, (int, float, np.floating)) for reward in stepped[1]),
        "seeds": callable(env.unwrapped.seed),
    }


@pytest.mark.parametrize("env_id", OURS)
@pytest.mark.parametrize("package", THEIRS)
def test_every_value_is_of_the_kind_that_the_packages_give(package: str, env_id: str) -> None:
    pytest.importorskip(package)
    ours, theirs = _shape(gymnasium.make(env_id)), _shape(gymnasium.make(THEIRS[package]))
    assert ours == theirs


@pytest.mark.parametrize("env_id", OURS)
def test_a_client_of_the_convention_runs(env_id: str) -> None:
    """Limit by a wrapper, sizes from the tuples, sum of the rewards, padding to the longest, seeds by ``seed``."""
    env = TimeLimit(gymnasium.make(f"adaps_envs:{env_id}"), max_episode_steps=9)
    longest = max(space.shape[0] for space in env.observation_space)
    choices = [int(space.n) for space in env.action_space]
    starts = []
    for _ in range(2):
        env.unwrapped.seed(5)
        obs, _ = env.reset()
        starts.append(np.stack([np.pad(part, (0, longest - len(part))) for part in obs]))
    assert np.array_equal(*starts)
    assert np.array_equal(starts[0], np.stack(env.reset(seed=5)[0]))
    for step in range(9):
        _, rewards, done, truncated, _ = env.step([step % number for number in choices])
        assert isinstance(rewards, list)
        assert isinstance(sum(rewards), float)
        assert (done, truncated) == (False, step == 8)


def test_it_plays_the_same_game_as_the_others() -> None:
    tuples, parallel = (adaps_envs.make("RWARE-tiny-4a", api=api, max_cycles=20) for api in ("gym_tuple", "parallel"))
    seen, (expected, _) = tuples.reset(seed=7)[0], parallel.reset(seed=7)
    truncated = False
    for step in range(20):
        assert all(np.array_equal(*pair) for pair in zip(seen, expected.values(), strict=True))
        actions = [(step + agent) % 5 for agent in range(4)]
        seen, rewards, done, truncated, info = tuples.step(actions)
        expected, paid, *_ = parallel.step(dict(zip(parallel.possible_agents, actions, strict=True)))
        assert rewards == list(paid.values())
        assert (done, info) == (False, {})
    assert truncated


def test_agents_that_differ_have_spaces_of_their_own() -> None:
    env = AgentsEnv(uneven_env(1))
    parallel = adaps_envs.adapters.parallel.ParallelFace(uneven_env(1))
    assert list(env.observation_space) == [parallel.observation_space(name) for name in parallel.possible_agents]
    assert list(env.action_space) == [parallel.action_space(name) for name in parallel.possible_agents]
    obs, _ = env.reset(seed=0)
    assert env.observation_space.contains(obs)
    assert env.observation_space.contains(env.step([space.n - 1 for space in env.action_space])[0])


@pytest.mark.parametrize("env_id", ["BPS-1", "RWARE-tiny-4a"])
def test_old_calls(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("gym")
    old.spaces = types.SimpleNamespace(
        Tuple=lambda inner: ("tuple", inner), Box=lambda low, high, dtype: ("box", dtype), Discrete=lambda n: n
    )
    monkeypatch.setitem(sys.modules, "gym", old)
    env = adaps_envs.make(env_id, api="gym_tuple", old_step=True, max_cycles=2)
    assert env.observation_space == ("tuple", [("box", np.float32)] * env.n_agents)
    assert env.action_space == ("tuple", [5] * env.n_agents)
    env.seed(4)
    obs = env.reset()
    assert len(obs) == env.n_agents
    assert obs[0].dtype == np.float32
    _, rewards, done, info = env.step([0] * env.n_agents)
    assert (len(rewards), done, info) == (env.n_agents, [False] * env.n_agents, {})
    assert env.step([0] * env.n_agents)[2:] == ([True] * env.n_agents, {"TimeLimit.truncated": True})


def test_wrong_use_is_one_clear_error() -> None:
    env = adaps_envs.make("BPS-1", api="gym_tuple")
    with pytest.raises(ResetNeededError, match="before the first reset"):
        env.render(mode="rgb_array")
    env.reset(seed=np.int64(1))
    with pytest.raises(InvalidActionError, match=r"shape \(2,\); it must be \[N\] = \[15\]"):
        env.step([0, 0])
    with pytest.raises(InvalidParameterError, match="old_step is 1"):
        adaps_envs.make("BPS-1", api="gym_tuple", old_step=1)
    with pytest.raises(InvalidParameterError, match="give num_envs=1"):
        AgentsEnv(adaps_envs.make_batched("BPS-1", 2))
    assert env.render() is None
    assert env.render(mode="rgb_array").dtype == np.uint8


def test_human_window(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(OURS[0], render_mode="human")
    env.reset(seed=0)
    assert env.render() is None
    env.close()


@pytest.mark.parametrize("env_id", [OURS[0], "adaps/BPS-1-v0"])
def test_the_specification_tells_the_time_limit(env_id: str) -> None:
    env = gymnasium.make(env_id, max_cycles=7)
    assert env.spec.max_episode_steps == 7
    timed = TimeAwareObservation(env, flatten=False)
    space = timed.observation_space
    assert (space["time"] if isinstance(space, spaces.Dict) else space[-1]).high == 7
    again = gymnasium.make(env.spec)
    assert again.spec == env.spec
    assert again.unwrapped.batched.max_cycles == 7
    direct = adaps_envs.make("BPS-1", api="gym_tuple" if "tuple" in env_id else "gym", max_cycles=7)
    assert (direct.spec.id, direct.spec.max_episode_steps) == (env_id, 7)
    assert gymnasium.make(direct.spec).unwrapped.batched.max_cycles == 7
