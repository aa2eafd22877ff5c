"""The batched core: masks, ends, fresh arrays, injected states, and every wrong call."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from fakes import ConstantEnv, ConstantParams, constant_env

import adaps_envs
from adaps_envs import (
    InvalidActionError,
    InvalidParameterError,
    InvalidStateError,
    ResetNeededError,
    make_batched,
)
from adaps_envs.errors import InvalidDeclarationError

NO_MOVE = np.zeros((3, 15), np.int64)


def _ready(num_envs: int = 3, **params: Any) -> Any:
    env = make_batched("BPS-1", num_envs, seed=0, **params)
    env.reset()
    return env


def test_shapes_and_dtypes() -> None:
    env = _ready()
    obs, rewards, terminated, truncated = env.step(NO_MOVE)
    assert (obs.shape, obs.dtype) == ((3, 15, 10), np.float32)
    assert (rewards.shape, rewards.dtype) == ((3, 15), np.float32)
    assert (terminated.shape, terminated.dtype, truncated.shape, truncated.dtype) == ((3,), bool, (3,), bool)
    assert (env.global_state().shape, env.global_state().dtype) == ((3, env.state_dim), np.float32)
    assert env.possible_agents == [f"agent_{index}" for index in range(15)]


def test_time_limit_truncates_and_never_terminates() -> None:
    env = _ready(max_cycles=3)
    for step in range(3):
        _, _, terminated, truncated = env.step(NO_MOVE)
        assert not terminated.any()
        assert truncated.all() == (step == 2)
    assert env.ended.all()


@pytest.mark.parametrize("env_id", ["BPS-1", "CRWARE-tiny-4a-2c", "LBF-8x8-2p-3f"])
def test_there_is_nothing_to_see_before_the_first_reset(env_id: str) -> None:
    env = make_batched(env_id, 2)
    state = env.get_state()
    for call in (env.observe, env.global_state, env.render_frame):
        with pytest.raises(ResetNeededError, match=rf"{call.__name__}\(\) before the first reset"):
            call()
    seeded = make_batched(env_id, 2)
    seeded.reset(seed=0)
    env.set_state(seeded.get_state())
    assert np.array_equal(env.render_frame(1), seeded.render_frame(1))
    assert state.keys() == env.get_state().keys()
    for lane in (2, -1, 0.5):
        with pytest.raises(InvalidParameterError, match="lane is"):
            env.render_frame(lane)  # type: ignore[arg-type]


def test_step_needs_a_reset_first_and_after_the_end() -> None:
    env = make_batched("BPS-1", 3, max_cycles=1)
    with pytest.raises(ResetNeededError, match="before the first reset"):
        env.step(NO_MOVE)
    env.reset(seed=1)
    env.step(NO_MOVE)
    before = env.get_state()
    with pytest.raises(ResetNeededError, match=r"after the end of lanes \[0, 1, 2\]"):
        env.step(NO_MOVE)
    assert all(np.array_equal(before[name], array) for name, array in env.get_state().items())
    env.reset(mask=[True, False, True])
    with pytest.raises(ResetNeededError, match=r"after the end of lanes \[1\]"):
        env.step(NO_MOVE)
    env.reset(mask=env.ended)
    env.step(NO_MOVE)


def test_first_reset_must_cover_all_lanes() -> None:
    with pytest.raises(ResetNeededError, match="first reset must cover every lane"):
        make_batched("BPS-1", 2).reset(mask=[True, False])


def test_reset_mask_leaves_the_others_and_their_streams_alone() -> None:
    env, twin = _ready(), _ready()
    env.step(NO_MOVE)
    twin.step(NO_MOVE)
    before = env.get_state()
    obs = env.reset(mask=[False, True, False])
    after = env.get_state()
    for name in before:
        assert np.array_equal(before[name][[0, 2]], after[name][[0, 2]])
    assert not np.array_equal(before["pos"][1], after["pos"][1])
    assert np.array_equal(obs, env.observe())
    assert np.array_equal(obs[[0, 2]], twin.observe()[[0, 2]])


def test_step_mask_moves_only_the_chosen_lanes() -> None:
    env, twin = _ready(num_envs=6), _ready(num_envs=6)
    actions = np.ones((6, 15), np.int64)
    mask = np.array([True, False, False, True, True, False])
    before = env.observe()
    obs, rewards, terminated, truncated = env.step(actions, mask=mask)
    expected_obs, expected_rewards, _, _ = twin.step(actions)
    assert np.array_equal(obs[mask], expected_obs[mask])
    assert np.array_equal(obs[~mask], before[~mask])
    assert np.array_equal(rewards[mask], expected_rewards[mask])
    assert not rewards[~mask].any()
    assert not terminated.any()
    assert not truncated.any()
    assert env.get_state()["cur_steps"].tolist() == [1, 0, 0, 1, 1, 0]


def test_step_mask_skips_lanes_that_wait_and_keeps_them_waiting() -> None:
    env = constant_env(4, max_cycles=5, ragged=True)
    env.reset(seed=3)
    actions = np.zeros((4, 2), np.int64)
    while not env.ended.any():
        env.step(actions)
    waiting = env.ended
    assert not waiting.all()
    env.step(actions, mask=~waiting)
    assert env.ended[waiting].all()
    with pytest.raises(ResetNeededError):
        env.step(actions, mask=waiting)


def test_returned_arrays_are_fresh_and_private() -> None:
    env, twin = _ready(), _ready()
    arrays = [env.observe(), env.global_state(), *env.step(NO_MOVE), env.ended, *env.get_state().values()]
    twin.step(NO_MOVE)
    for array in arrays:
        array[...] = 1
    for ours, theirs in zip(env.step(NO_MOVE), twin.step(NO_MOVE), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((3, 14), int), r"shape \(3, 14\); they must be \[B, N\] = \[3, 15\]"),
        (np.zeros(45, int), r"shape \(45,\)"),
        (np.zeros((3, 15)), "dtype float64; give integers"),
        (np.zeros((3, 15), bool), "dtype bool"),
        (np.full((3, 15), 5), "action 5 of agent_0 in lane 0 is out of range; legal actions are 0..4"),
        (np.full((3, 15), -1), "action -1 of agent_0 in lane 0 is out of range"),
        (np.full((3, 15), 2**63, np.uint64), "out of range"),
        (np.full((3, 15), None), "dtype object"),
        (None, r"shape \(\)"),
        ([[0], [0, 1], []], "rows of unequal lengths"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_moves(actions: Any, message: str) -> None:
    env = _ready()
    before = env.get_state()
    with pytest.raises(InvalidActionError, match=message):
        env.step(actions)
    assert all(np.array_equal(before[name], array) for name, array in env.get_state().items())


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_any_integer_type_is_taken(dtype: Any) -> None:
    env, twin = _ready(), _ready()
    actions = np.arange(45).reshape(3, 15) % 5
    assert np.array_equal(env.step(actions.astype(dtype))[0], twin.step(actions)[0])


@pytest.mark.parametrize("num_envs", [0, -1, 1.5, "2", True, None])
def test_number_of_lanes_must_be_positive(num_envs: Any) -> None:
    with pytest.raises(InvalidParameterError, match="num_envs is"):
        make_batched("BPS-1", num_envs)


@pytest.mark.parametrize("seed", [-1, 1.5, "x", [1], [1, 2, -3], True])
def test_wrong_seeds_are_refused(seed: Any) -> None:
    env = make_batched("BPS-1", 3)
    with pytest.raises(InvalidParameterError, match="seed"):
        env.reset(seed=seed)
    with pytest.raises(InvalidParameterError, match="seed"):
        make_batched("BPS-1", 3, seed=seed)


@pytest.mark.parametrize("mask", [[True], [1, 0, 1], np.ones((3, 1), bool), "yes", [[True], []]])
def test_wrong_masks_are_refused(mask: Any) -> None:
    env = _ready()
    with pytest.raises(InvalidParameterError, match=r"mask has (shape|rows of unequal lengths)"):
        env.reset(mask=mask)
    with pytest.raises(InvalidParameterError, match=r"mask has (shape|rows of unequal lengths)"):
        env.step(NO_MOVE, mask=mask)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"poss": np.zeros((3, 15, 2))}, "unknown state array 'poss'. Did you mean 'pos'"),
        ({"pos": np.zeros((15, 2))}, r"'pos' has shape \(15, 2\); it must be \(3, 15, 2\)"),
        ({"pos": np.full((3, 15, 2), np.nan)}, "NaN or infinity"),
        ({"pos": np.full((3, 15, 2), np.inf)}, "NaN or infinity"),
        ({"pos": np.full((3, 15, 2), 1e9)}, "legal is"),
        ({"pos": np.full((3, 15, 2), "a")}, "dtype <U1"),
        ({"cur_steps": np.zeros(3)}, "'cur_steps' has dtype float64"),
        ({"cur_steps": np.full(3, -1)}, "spans"),
        ({"pos": [[1.0], [1.0, 2.0], []]}, "'pos' has rows of unequal lengths"),
        ({"rng": [[1, 2, 3, 4], [1], []]}, r"'rng' has shape \(3,\)"),
        ({"rng": [[1, 2, 3, 0.5]] * 3}, "'rng' has dtype object; give uint64"),
        ({"rng": [[1, 2, 3, 2**64]] * 3}, "'rng' has dtype object; give uint64"),
        ({"rng": np.full((3, 4), -1)}, "'rng' has a lane of zeros only, or a negative number"),
        ({"rng": [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]}, "'rng' has a lane of zeros only"),
        ([1, 2], "state is a list"),
    ],
)
def test_wrong_states_are_refused_and_nothing_changes(state: Any, message: str) -> None:
    env = _ready()
    before = env.get_state()
    with pytest.raises(InvalidStateError, match=message):
        env.set_state(state)
    assert all(np.array_equal(before[name], array) for name, array in env.get_state().items())


def test_set_state_takes_a_subset_and_a_mask() -> None:
    env = _ready()
    before = env.get_state()
    env.set_state({"vel": np.ones((3, 15, 2))}, mask=[True, False, True])
    after = env.get_state()
    assert (after["vel"][[0, 2]] == 1).all()
    assert np.array_equal(after["vel"][1], before["vel"][1])
    assert np.array_equal(after["pos"], before["pos"])


def test_states_may_be_lists_as_after_json() -> None:
    env, twin = _ready(), make_batched("BPS-1", 3)
    state = env.get_state()
    assert state["rng"].max() >= 2**63 > state["rng"].min()
    twin.set_state(json.loads(json.dumps({name: array.tolist() for name, array in state.items()})))
    assert all(np.array_equal(state[name], array) for name, array in twin.get_state().items())
    assert np.array_equal(env.reset(), twin.reset())


def test_set_state_lets_an_ended_lane_run_again() -> None:
    env = _ready(max_cycles=1)
    start = env.get_state()
    first = env.step(NO_MOVE)[0]
    env.set_state(start)
    assert not env.ended.any()
    assert np.array_equal(env.step(NO_MOVE)[0], first)


def test_pickle_keeps_threads_and_goes_on() -> None:
    env = _ready(num_threads=2)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.num_threads == 2
    assert np.array_equal(copy.step(NO_MOVE)[0], env.step(NO_MOVE)[0])
    env.close()
    copy.close()


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None, True, 10**6])
def test_number_of_threads_must_be_sensible(count: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"num_threads is {count!r}; it must be"):
        make_batched("BPS-1", 2, num_threads=count)


def test_more_lanes_than_memory_are_refused() -> None:
    for lanes in (10**14, 2**62):
        with pytest.raises(InvalidParameterError, match=f"num_envs is {lanes}, and the state .* give fewer"):
            make_batched("BPS-1", lanes)


def test_threads_do_not_need_numbas(clean_environment: dict[str, str]) -> None:
    program = (
        "import hashlib, numpy as np, adaps_envs\n"
        "for threads in (1, 2, 3):\n"
        "    env = adaps_envs.make_batched('BPS-1', 6, seed=0, num_threads=threads); env.reset()\n"
        "    print(hashlib.sha256(env.step(np.ones((6, 15), int))[0].tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean_environment, "NUMBA_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(set(done.stdout.split())) == 1


@pytest.mark.parametrize(("mode", "expected"), [("individual", None), ("team_sum", np.sum), ("team_mean", np.mean)])
def test_reward_modes(mode: str, expected: Any) -> None:
    plain = _ready().step(NO_MOVE)[1]
    rewards = _ready(reward=mode).step(NO_MOVE)[1]
    wanted = plain if expected is None else np.broadcast_to(expected(plain, axis=1, keepdims=True), plain.shape)
    assert np.array_equal(rewards, wanted)


def test_seed_sequences_and_integers_name_the_same_lanes() -> None:
    by_integer = make_batched("BPS-1", 3).reset(seed=7)
    by_sequence = make_batched("BPS-1", 3).reset(seed=[7, 8, 9])
    at_construction = make_batched("BPS-1", 3, seed=7).reset()
    assert np.array_equal(by_integer, by_sequence)
    assert np.array_equal(by_integer, at_construction)


def test_unseeded_environments_differ() -> None:
    assert not np.array_equal(make_batched("BPS-1", 1).reset(), make_batched("BPS-1", 1).reset())


def test_very_large_seeds_stay_distinct() -> None:
    starts = [make_batched("BPS-1", 1).reset(seed=seed).tobytes() for seed in (0, 2**32, 2**64, 2**64 + 1, 2**127)]
    assert len(set(starts)) == len(starts)


def test_scripted_policies_are_ordered_random_blind_expert() -> None:
    returns = {}
    for name in adaps_envs.list_policies("BPS-1"):
        env = make_batched("BPS-1", 32, seed=0)
        policy, generator = adaps_envs.make_policy(name, env), np.random.default_rng(0)
        obs, total = env.reset(), np.zeros(32)
        for _ in range(env.max_cycles):
            obs, rewards, _, _ = env.step(policy(obs, generator))
            total += rewards.sum(axis=1)
        returns[name] = total.mean()
    assert returns["random"] < returns["blind"] < returns["expert"] < 0
    assert (returns["blind"] - returns["random"]) / (returns["expert"] - returns["random"]) < 0.5


def test_unknown_policy_suggests() -> None:
    env = make_batched("BPS-1", 1)
    with pytest.raises(adaps_envs.UnknownNameError, match=r"no scripted policy 'exprt'. Did you mean 'expert'"):
        adaps_envs.make_policy("exprt", env)


NEEDED = [
    "family", "default_id", "action_names", "num_agents", "agent_types", "state_table", "sizes", "obs_fields",
    "obs_space_low", "obs_space_high", "state_low", "state_high", "max_cycles",
]  # fmt: skip


@pytest.mark.parametrize("name", NEEDED)
def test_a_family_without_a_declaration_is_told_which(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(ConstantEnv):
        def _declare(self) -> None:
            super()._declare()
            vars(self).pop(name, None)

    monkeypatch.delattr(ConstantEnv, name, raising=False)
    with pytest.raises(InvalidDeclarationError, match=rf"^Forgetful does not declare {name};"):
        Forgetful(1, ConstantParams())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("agent_types", np.zeros(3, np.int64)),
        ("agent_types", np.zeros(2)),
        ("obs_space_low", np.zeros(5, np.float32)),
        ("obs_space_high", np.ones(2, np.int64)),
        ("state_low", np.zeros((1, 1), np.float32)),
        ("state_high", np.zeros(2, np.float32)),
    ],
)
def test_a_family_with_a_wrong_declaration_is_told_which(name: str, wrong: np.ndarray) -> None:
    class Wrong(ConstantEnv):
        def _declare(self) -> None:
            super()._declare()
            setattr(self, name, wrong)

    with pytest.raises(InvalidDeclarationError, match=f"^Wrong declares {name} with shape"):
        Wrong(1, ConstantParams())
