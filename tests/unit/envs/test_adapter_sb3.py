"""The stable-baselines3 face: slots, same-step resets, seeds, attributes, wrappers and stock algorithms."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import constant_env
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor, VecNormalize

import adaps_envs
from adaps_envs import InvalidActionError, InvalidParameterError, ResetNeededError
from adaps_envs.adapters.sb3 import SharedVecEnv

NETWORK = {"net_arch": [8]}


def _make(num_envs: int = 3, **kwargs: Any) -> SharedVecEnv:
    return adaps_envs.make("BPS-1", api="sb3", num_envs=num_envs, **kwargs)


def test_slots_are_lanes_times_agents() -> None:
    venv, core = _make(), adaps_envs.make_batched("BPS-1", 3)
    assert (venv.num_envs, venv.num_lanes, venv.num_agents) == (45, 3, 15)
    venv.seed(0)
    assert np.array_equal(venv.reset().reshape(3, 15, 10), core.reset(seed=0))
    actions = np.arange(45) % 5
    obs, rewards, dones, infos = venv.step(actions)
    core_obs, core_rewards, _, _ = core.step(actions.reshape(3, 15))
    assert np.array_equal(obs.reshape(3, 15, 10), core_obs)
    assert np.array_equal(rewards.reshape(3, 15), core_rewards)
    assert (dones.shape, dones.dtype, dones.any()) == ((45,), bool, False)
    assert infos == [{}] * 45
    assert len({id(info) for info in infos}) == 45


def test_lanes_reset_in_the_same_step_and_say_how_they_ended() -> None:
    venv, core = (SharedVecEnv(constant_env(6, max_cycles=4, ragged=True)), constant_env(6, max_cycles=4, ragged=True))
    venv.seed(2)
    venv.reset()
    core.reset(seed=2)
    actions = np.zeros(12, int)
    endings = set()
    for _ in range(30):
        obs, _, dones, infos = venv.step(actions)
        last, _, terminated, truncated = core.step(actions.reshape(6, 2))
        ended = terminated | truncated
        fresh = core.reset(mask=ended) if ended.any() else last
        assert np.array_equal(obs.reshape(6, 2, 2), fresh)
        assert np.array_equal(dones, ended.repeat(2))
        for slot, info in enumerate(infos):
            lane, agent = divmod(slot, 2)
            assert bool(info) == ended[lane]
            if info:
                assert np.array_equal(info["terminal_observation"], last[lane, agent])
                assert info["TimeLimit.truncated"] is bool(truncated[lane])
                endings.add(info["TimeLimit.truncated"])
    assert endings == {True, False}


def test_terminal_observation_is_private() -> None:
    venv = _make(max_cycles=1)
    venv.reset()
    obs, _, _, infos = venv.step(np.zeros(45, int))
    kept = obs.copy()
    for info in infos:
        info["terminal_observation"][:] = 9
    assert np.array_equal(obs, kept)
    assert np.array_equal(venv.batched.observe().reshape(45, -1), kept)


def test_global_states_are_told_before_and_after_ends() -> None:
    venv = _make(max_cycles=2)
    venv.reset()
    assert venv.state_dim == 66
    np.testing.assert_array_equal(venv.global_state(), venv.batched.global_state())
    venv.step(np.zeros(45, int))
    assert all("terminal_state" not in info for info in venv.step(np.zeros(45, int))[3])
    venv.report_states()
    assert all("terminal_state" not in info for info in venv.step(np.ones(45, int))[3])
    twin = _make(max_cycles=2)
    twin.batched.reset()
    twin.batched.set_state(venv.batched.get_state())
    twin.batched.step(np.full((3, 15), 2))
    infos = venv.step(np.full(45, 2))[3]
    for slot, info in enumerate(infos):
        np.testing.assert_array_equal(info["terminal_state"], twin.global_state()[slot // 15])
    assert not np.array_equal(venv.global_state(), twin.global_state())


def test_seed_is_used_by_the_next_reset_and_once() -> None:
    venv = _make()
    assert venv.seed(10) == [10] * 15 + [11] * 15 + [12] * 15
    first = venv.reset()
    assert venv._seeds == [None] * 45
    second = venv.reset()
    assert not np.array_equal(first, second)
    venv.seed(10)
    assert np.array_equal(venv.reset(), first)
    assert np.array_equal(venv.reset(), second)


def test_seed_none_draws_one_without_the_global_generator() -> None:
    state = repr(np.random.get_state())  # noqa: NPY002
    seeds = _make().seed()
    assert repr(np.random.get_state()) == state  # noqa: NPY002
    assert len(seeds) == 45
    assert seeds[0] is not None


def test_wrong_seed_is_refused_at_once() -> None:
    with pytest.raises(InvalidParameterError, match="seed -1"):
        _make().seed(-1)


def test_options_warn() -> None:
    venv = _make()
    venv.set_options({"speed": 3})
    with pytest.warns(UserWarning, match=r"reset options \['speed'\]"):
        venv.reset()
    assert venv._options == [{}] * 45


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros(44, int), r"shape \(44,\); give \[B\*N\] = \[45\]"),
        (np.zeros((45, 1), int), r"shape \(45, 1\)"),
        (np.zeros(45), "dtype float64"),
        (np.full(45, 7), "action 7 of agent_0 in lane 0"),
    ],
)
def test_wrong_actions(actions: Any, message: str) -> None:
    venv = _make()
    venv.reset()
    with pytest.raises(InvalidActionError, match=message):
        venv.step(actions)


def test_wrong_order_of_calls() -> None:
    venv = _make()
    with pytest.raises(ResetNeededError, match="before the first reset"):
        venv.step(np.zeros(45, int))
    venv.reset()
    with pytest.raises(InvalidActionError, match="without step_async"):
        venv.step_wait()
    venv.step_async(np.zeros(45, int))
    venv.reset()
    with pytest.raises(InvalidActionError, match="without step_async"):
        venv.step_wait()


def test_attributes_of_slots() -> None:
    venv = _make(render_mode="rgb_array")
    assert venv.get_attr("agent", [0, 1, 15]) == ["agent_0", "agent_1", "agent_0"]
    assert venv.get_attr("lane", [0, 14, 15]) == [0, 0, 1]
    assert venv.get_attr("max_cycles") == [50] * 45
    assert venv.get_attr("render_mode", 3) == ["rgb_array"]
    assert venv.has_attr("spec_id")
    assert not venv.has_attr("no_such_thing")
    assert not venv.has_attr("action_masks")


def test_set_attr_is_per_slot() -> None:
    venv = _make()
    venv.set_attr("team", "red", indices=[1, 3])
    assert venv.get_attr("team", [1, 3]) == ["red", "red"]
    with pytest.raises(AttributeError):
        venv.get_attr("team", [0])


@pytest.mark.parametrize("name", ["max_cycles", "params", "num_agents", "render_mode", "step"])
def test_set_attr_refuses_what_the_environment_owns(name: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"'{name}' belongs to the environment"):
        _make().set_attr(name, 1)


def test_methods_of_slots() -> None:
    venv = _make(render_mode="rgb_array")
    venv.reset()
    left, same, other = venv.env_method("render", indices=[0, 1, 15])
    assert np.array_equal(left, same)
    assert not np.array_equal(left, other)
    with pytest.raises(AttributeError, match=r"call vec_env.batched.reset\(\)"):
        venv.env_method("reset")


def test_lanes_are_never_wrapped() -> None:
    assert _make().env_is_wrapped(TimeLimit, indices=[0, 4]) == [False, False]


def test_pictures_one_a_lane() -> None:
    venv = _make(render_mode="rgb_array")
    venv.reset()
    assert len(venv.get_images()) == 3
    tiled = venv.render("rgb_array")
    size = venv.get_images()[0].shape[0]
    assert tiled.shape == (2 * size, 2 * size, 3)
    venv.close()


def test_pickle_goes_on() -> None:
    venv = _make()
    venv.reset()
    copy = pickle.loads(pickle.dumps(venv))
    actions = np.ones(45, int)
    assert np.array_equal(copy.step(actions)[0], venv.step(actions)[0])
    assert copy.get_attr("agent", 3) == ["agent_3"]


def test_monitor_counts_an_episode_a_slot() -> None:
    venv = VecMonitor(_make(max_cycles=3))
    venv.reset()
    for _ in range(3):
        _, _, dones, infos = venv.step(np.zeros(45, int))
    assert dones.all()
    assert {info["episode"]["l"] for info in infos} == {3}


def test_normalize_normalises_the_terminal_observation_too() -> None:
    venv = VecNormalize(_make(max_cycles=2), clip_obs=1000.0)
    venv.reset()
    venv.step(np.zeros(45, int))
    _, _, _, infos = venv.step(np.zeros(45, int))
    raw = infos[0]["terminal_observation"]
    assert raw.shape == (10,)
    assert np.isfinite(raw).all()


def test_frame_stack() -> None:
    venv = VecFrameStack(_make(max_cycles=3), 2)
    first = venv.reset()
    obs, _, _, _ = venv.step(np.zeros(45, int))
    assert obs.shape == (45, 20)
    assert np.array_equal(obs[:, :10], first[:, 10:])


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (A2C, {"n_steps": 4}),
        (PPO, {"n_steps": 4, "batch_size": 60, "n_epochs": 1}),
        (DQN, {"learning_starts": 0, "buffer_size": 900, "train_freq": 2, "batch_size": 16}),
    ],
)
def test_stock_algorithms_train_repeatably(algorithm: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    weights = []
    for attempt in range(2):
        model = algorithm("MlpPolicy", _make(max_cycles=6), seed=5, policy_kwargs=NETWORK, device="cpu", **settings)
        model.learn(45 * 8)
        weights.append({name: value.clone() for name, value in model.policy.state_dict().items()})
        model.save(tmp_path / f"model{attempt}")
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    loaded = algorithm.load(tmp_path / "model0", env=_make(max_cycles=6), device="cpu")
    obs = np.zeros((45, 10), np.float32)
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


def test_evaluate_policy_runs() -> None:
    venv = VecMonitor(_make(max_cycles=3))
    model = A2C("MlpPolicy", venv, seed=0, policy_kwargs=NETWORK, device="cpu")
    mean, _ = evaluate_policy(model, venv, n_eval_episodes=45)
    assert mean < 0
