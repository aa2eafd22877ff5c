"""The Gymnasium faces: team rewards, autoreset modes against Gymnasium's own vector environment, wrong calls."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
from fakes import constant_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import adaps_envs
from adaps_envs import InvalidActionError, InvalidParameterError, ResetNeededError
from adaps_envs.adapters.gym_single import TeamEnv
from adaps_envs.adapters.gym_vector import TeamVectorEnv

MODES = list(AutoresetMode)


def _equal(left: Any, right: Any, path: str = "") -> None:
    """Assert that nested infos are equal, types and masks included."""
    assert type(left) is type(right), path
    if isinstance(left, tuple):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            _equal(one, other, f"{path}/{index}")
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            _equal(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, np.ndarray) and left.dtype == object:
        for one, other in zip(left, right, strict=True):
            _equal(one, other, path)
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype, path
        np.testing.assert_array_equal(left, right, err_msg=path)
    else:
        assert left == right, path


def test_single_returned_types() -> None:
    env = adaps_envs.make("BPS-1", api="gym")
    obs, info = env.reset(seed=0)
    assert (obs.shape, obs.dtype, info) == ((15, 10), np.float32, {})
    obs, reward, terminated, truncated, info = env.step(np.ones(15, int))
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert reward == pytest.approx(info["agent_rewards"].astype(np.float64).sum(), rel=1e-12)
    assert env.observation_space.contains(obs)


@pytest.mark.parametrize(("mode", "scale"), [("individual", 1), ("team_sum", 1), ("team_mean", 1 / 15)])
def test_team_reward_counts_a_shared_reward_once(mode: str, scale: float) -> None:
    plain, shared = (adaps_envs.make("BPS-1", api="gym", reward=name) for name in ("individual", mode))
    plain.reset(seed=0)
    shared.reset(seed=0)
    action = np.ones(15, int)
    assert shared.step(action)[1] == pytest.approx(plain.step(action)[1] * scale, rel=1e-6)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(14, int), r"shape \(14,\); it must be \[N\] = \[15\]"),
        (0, r"shape \(\)"),
        (np.zeros(15), "dtype float64"),
        (np.full(15, 5), "action 5 of agent_0"),
    ],
)
def test_single_refuses_wrong_actions(action: Any, message: str) -> None:
    env = adaps_envs.make("BPS-1", api="gym")
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=message):
        env.step(action)


@pytest.mark.parametrize("api", ["gym", "gym_vector"])
def test_calls_before_the_first_reset(api: str) -> None:
    env = adaps_envs.make("BPS-1", api=api, render_mode="rgb_array")
    with pytest.raises(ResetNeededError, match="before the first reset"):
        env.step(env.action_space.sample())
    with pytest.raises(ResetNeededError, match="before the first reset"):
        env.render()


def test_single_needs_a_reset_after_the_end() -> None:
    env = adaps_envs.make("BPS-1", api="gym", max_cycles=1)
    env.reset(seed=0)
    assert env.step(np.zeros(15, int))[2:4] == (False, True)
    with pytest.raises(ResetNeededError, match="after the end"):
        env.step(np.zeros(15, int))


@pytest.mark.parametrize("mode", MODES)
def test_vector_behaves_as_gymnasiums_own(mode: AutoresetMode) -> None:
    """Lanes end at different times, by rule and by limit: every return value and info must be the same."""
    lanes = 5
    ours = TeamVectorEnv(constant_env(lanes, max_cycles=4, ragged=True), autoreset_mode=mode)
    singles = [lambda: TeamEnv(constant_env(1, max_cycles=4, ragged=True)) for _ in range(lanes)]
    theirs = SyncVectorEnv(singles, autoreset_mode=mode)
    _equal(ours.reset(seed=11), theirs.reset(seed=11))
    generator = np.random.default_rng(0)
    kinds = set()
    for _ in range(40):
        actions = generator.integers(0, 2, (lanes, 2))
        left, right = ours.step(actions), theirs.step(actions)
        _equal(left, right)
        ended = left[2] | left[3]
        kinds.add((bool(ended.any()), bool(ended.all()), bool(left[3].any())))
        if mode is AutoresetMode.DISABLED and ended.any():
            _equal(ours.reset(options={"reset_mask": ended}), theirs.reset(options={"reset_mask": ended.copy()}))
    assert (True, False, False) in kinds
    assert any(by_limit for _, _, by_limit in kinds)


def test_vector_equals_singles_on_bps() -> None:
    ours = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=3, max_cycles=4)
    theirs = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=3, vectorization_mode="sync", max_cycles=4)
    _equal(ours.reset(seed=5), theirs.reset(seed=5))
    ours.action_space.seed(0)
    for _ in range(12):
        actions = ours.action_space.sample()
        _equal(ours.step(actions), theirs.step(actions))


def test_illegal_actions_do_not_reset_waiting_lanes() -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=2, max_cycles=1)
    env.reset(seed=0)
    env.step(np.zeros((2, 15), int))
    before = env.batched.get_state()
    with pytest.raises(InvalidActionError):
        env.step(np.full((2, 15), 9))
    assert all(np.array_equal(before[name], array) for name, array in env.batched.get_state().items())


def test_disabled_refuses_to_step_ended_lanes() -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=2, max_cycles=1, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step(np.zeros((2, 15), int))
    with pytest.raises(ResetNeededError, match="after the end"):
        env.step(np.zeros((2, 15), int))


@pytest.mark.parametrize("mode", MODES)
def test_metadata_declares_the_mode(mode: AutoresetMode) -> None:
    for given in (mode, mode.value):
        env = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=2, autoreset_mode=given)
        assert env.metadata["autoreset_mode"] is mode


def test_unknown_mode_suggests() -> None:
    with pytest.raises(InvalidParameterError, match=r"autoreset_mode is 'NextStp'. Did you mean 'NextStep'"):
        adaps_envs.make("BPS-1", api="gym_vector", autoreset_mode="NextStp")


def test_seeds_one_a_lane_some_of_them_none() -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=3)
    by_integer = env.reset(seed=4)[0]
    assert np.array_equal(env.reset(seed=[4, 5, 6])[0], by_integer)
    mixed = env.reset(seed=[4, None, 6])[0]
    assert np.array_equal(mixed[[0, 2]], by_integer[[0, 2]])
    assert not np.array_equal(mixed[1], by_integer[1])
    with pytest.raises(InvalidParameterError, match="2 seeds for 3 lanes"):
        env.reset(seed=[1, 2])
    with pytest.raises(InvalidParameterError, match="not an integer >= 0"):
        env.reset(seed=[1, 2, -3])


@pytest.mark.parametrize("mask", [np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), [1]])
def test_wrong_reset_masks_are_refused(mask: Any) -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=2)
    env.reset(seed=0)
    with pytest.raises(InvalidParameterError, match="mask"):
        env.reset(options={"reset_mask": mask})


def test_options_are_not_written_to_and_unknown_ones_warn() -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=2)
    env.reset(seed=0)
    options = {"reset_mask": np.array([True, False])}
    kept = copy.deepcopy(options)
    env.reset(options=options)
    _equal(options, kept)
    with pytest.warns(UserWarning, match="not known"):
        env.reset(options={"speed": 1})


def test_vector_pictures_one_a_lane() -> None:
    env = adaps_envs.make("BPS-1", api="gym_vector", num_envs=2, render_mode="rgb_array")
    env.reset(seed=0)
    left, right = env.render()
    assert left.shape == right.shape
    assert not np.array_equal(left, right)
    assert adaps_envs.make("BPS-1", api="gym_vector").reset()[1] == {}
    env.close()
    assert env.closed


def test_gymnasium_statistics_wrapper_counts_episodes() -> None:
    env = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=2, max_cycles=3, autoreset_mode="SameStep")
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    env.reset(seed=0)
    for _ in range(3):
        _, _, _, truncated, infos = env.step(np.zeros((2, 15), int))
    assert truncated.all()
    assert infos["episode"]["l"].tolist() == [3, 3]


@pytest.mark.filterwarnings("ignore:.*HumanRendering")
def test_human_mode_is_served_by_gymnasiums_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make("adaps/BPS-1-v0", render_mode="human")
    env.reset(seed=0)
    assert env.render() is None
    env.close()


def test_lists_of_pictures_as_gymnasiums_own_vector_gives_them() -> None:
    options = {"num_envs": 2, "max_cycles": 3, "render_mode": "rgb_array_list"}
    ours = gymnasium.make_vec("adaps/BPS-1-v0", **options)
    theirs = gymnasium.make_vec("adaps/BPS-1-v0", vectorization_mode="sync", **options)
    assert ours.metadata["render_modes"] == ["rgb_array", "rgb_array_list"]
    for env in (ours, theirs):
        env.reset(seed=1)
    for steps in (2, 3, 0, 4):
        for _ in range(steps):
            ours.step(np.ones((2, 15), int))
            theirs.step(np.ones((2, 15), int))
        left, right = ours.render(), theirs.render()
        assert [len(pictures) for pictures in left] == [len(pictures) for pictures in right]
        assert all(np.array_equal(*lane) for lane in zip(left, right, strict=True))


def test_the_time_limit_of_make_vec() -> None:
    env = gymnasium.make_vec("adaps/BPS-1-v0", num_envs=2, max_episode_steps=4)
    assert (env.batched.max_cycles, env.spec.max_episode_steps) == (4, 4)


@pytest.mark.parametrize(
    "kwargs", [{}, {"num_envs": 3}, {"max_cycles": 9}, {"max_episode_steps": 9}, {"vectorization_mode": "sync"}]
)
def test_what_make_vec_made_is_made_again_from_its_specification(kwargs: dict[str, Any]) -> None:
    env = gymnasium.make_vec("adaps/BPS-1-v0", **kwargs)
    again = gymnasium.make_vec(env.spec)
    assert again.spec == env.spec
    assert again.num_envs == env.num_envs
    assert again.observation_space == env.observation_space
