"""The PettingZoo faces: types of what is returned, wrong calls, state, pictures, pickles."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test

import adaps_envs
from adaps_envs import InvalidActionError, InvalidParameterError, ResetNeededError, UnknownNameError
from adaps_envs.adapters.parallel import ParallelFace

LEGAL = {f"agent_{index}": index % 5 for index in range(15)}


def _ready(**kwargs: Any) -> ParallelFace:
    env = adaps_envs.make("BPS-1", **kwargs)
    env.reset(seed=0)
    return env


def test_returned_types() -> None:
    env = _ready()
    obs, rewards, terminated, truncated, infos = env.step(LEGAL)
    assert list(obs) == list(rewards) == list(terminated) == list(truncated) == list(infos) == env.possible_agents
    assert {(value.shape, value.dtype) for value in obs.values()} == {((10,), np.dtype(np.float32))}
    assert {type(value) for value in rewards.values()} == {float}
    assert {type(value) for value in (*terminated.values(), *truncated.values())} == {bool}
    assert len({id(info) for info in infos.values()}) == 15


def test_rewards_are_the_cores() -> None:
    env, core = _ready(), adaps_envs.make_batched("BPS-1", 1)
    core.reset(seed=0)
    rewards = core.step(np.array([list(LEGAL.values())]))[1]
    assert list(env.step(LEGAL)[1].values()) == rewards[0].tolist()


def test_order_of_the_dictionary_does_not_matter() -> None:
    forwards = _ready().step(LEGAL)[0]
    backwards = _ready().step(dict(reversed(LEGAL.items())))[0]
    assert all(np.array_equal(forwards[agent], backwards[agent]) for agent in forwards)


def test_numpy_integers_are_actions() -> None:
    plain = _ready().step(LEGAL)[0]
    typed = _ready().step({agent: np.int64(action) for agent, action in LEGAL.items()})[0]
    assert all(np.array_equal(plain[agent], typed[agent]) for agent in plain)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({}, "no action for agent_0, agent_1"),
        ({k: v for k, v in LEGAL.items() if k != "agent_3"}, "no action for agent_3; every agent needs one"),
        ({**LEGAL, "agent_15": 0}, "unknown agent 'agent_15'. Did you mean"),
        ({**LEGAL, "agent_3": 5}, "action 5 of agent_3 .*out of range"),
        ({**LEGAL, "agent_3": -1}, "action -1 of agent_3 .*out of range"),
        ({**LEGAL, "agent_3": 1.0}, "action 1.0 of agent_3 has the type float"),
        ({**LEGAL, "agent_3": None}, "action None of agent_3 has the type NoneType"),
        ({**LEGAL, "agent_3": np.array([1])}, "of agent_3 has the type ndarray"),
        ({**LEGAL, "agent_3": "1"}, "of agent_3 has the type str"),
        ({**LEGAL, "agent_3": 10**30}, "out of range"),
        (list(LEGAL.values()), "actions are a list; give a dict"),
        (None, "actions are a NoneType"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_moves(actions: Any, message: str) -> None:
    env = _ready()
    before = env.get_state()
    with pytest.raises(InvalidActionError, match=message):
        env.step(actions)
    assert all(np.array_equal(before[name], array) for name, array in env.get_state().items())
    env.step(LEGAL)


def test_calls_before_the_first_reset() -> None:
    env = adaps_envs.make("BPS-1", render_mode="rgb_array")
    assert env.agents == []
    for call in (lambda: env.step(LEGAL), env.state, env.render):
        with pytest.raises(ResetNeededError, match="before the first reset"):
            call()


def test_end_of_the_episode() -> None:
    env = _ready(max_cycles=2)
    env.step(LEGAL)
    _, _, terminated, truncated, _ = env.step(LEGAL)
    assert all(truncated.values())
    assert not any(terminated.values())
    assert env.agents == []
    with pytest.raises(ResetNeededError, match="after the end of the episode: call reset"):
        env.step(LEGAL)
    env.reset()
    assert env.agents == env.possible_agents
    env.step(LEGAL)


def test_after_the_end_no_actions_give_nothing() -> None:
    env = adaps_envs.make("BPS-1", max_cycles=1)
    with pytest.raises(ResetNeededError, match="before the first reset"):
        env.step({})
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match="no action for"):
        env.step({})
    env.step(dict.fromkeys(env.agents, 0))
    assert env.step({}) == env.step({}) == ({}, {}, {}, {}, {})
    with pytest.raises(ResetNeededError, match="after the end"):
        env.step(dict.fromkeys(env.possible_agents, 0))


def test_supersuit_keeps_dead_agents_in_place() -> None:
    supersuit = pytest.importorskip("supersuit")
    parallel_api_test(supersuit.black_death_v3(adaps_envs.make("BPS-1", max_cycles=5)), num_cycles=20)


def test_unknown_options_warn_and_are_ignored() -> None:
    env = adaps_envs.make("BPS-1")
    with pytest.warns(UserWarning, match=r"reset options \['colour'\] are not known"):
        obs, _ = env.reset(seed=3, options={"colour": "red"})
    assert np.array_equal(obs["agent_0"], adaps_envs.make("BPS-1").reset(seed=3)[0]["agent_0"])


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_wrong_seed(seed: Any) -> None:
    with pytest.raises(InvalidParameterError, match="seed"):
        adaps_envs.make("BPS-1").reset(seed=seed)


def test_unknown_agent_has_no_space() -> None:
    env = _ready()
    for call in (env.observation_space, env.action_space, env.obs_fields):
        with pytest.raises(UnknownNameError, match="no agent 'agnt_3'"):
            call("agnt_3")


def test_seeding_one_agents_space_leaves_the_others_alone() -> None:
    left, right = _ready(), _ready()
    for env in (left, right):
        env.action_space("agent_0").seed(1)
    right.action_space("agent_1").seed(2)
    ours = [left.action_space("agent_0").sample() for _ in range(20)]
    assert ours == [right.action_space("agent_0").sample() for _ in range(20)]


def test_spaces_come_from_the_core() -> None:
    env = _ready()
    space = env.observation_space("agent_0")
    assert np.array_equal(space.low, env.batched.obs_space_low)
    assert np.array_equal(space.high, env.batched.obs_space_high)
    assert [item.index for item in env.obs_fields("agent_0")] == list(range(10))
    assert env.state_space.shape == env.state().shape == (env.batched.state_dim,)


def test_state_goes_into_another_environment() -> None:
    env, other = _ready(), adaps_envs.make("BPS-1")
    env.step(LEGAL)
    other.set_state(env.get_state())
    assert other.agents == other.possible_agents
    ours, theirs = env.step(LEGAL), other.step(LEGAL)
    assert all(np.array_equal(ours[0][agent], theirs[0][agent]) for agent in ours[0])
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_pickle_goes_on_in_the_middle_of_an_episode(library: Any) -> None:
    env = _ready(render_mode="rgb_array")
    env.step(LEGAL)
    copy = library.loads(library.dumps(env))
    ours, theirs = env.step(LEGAL), copy.step(LEGAL)
    assert ours[1] == theirs[1]
    assert all(
        np.array_equal(left, right)
        for left, right in zip(env.reset()[0].values(), copy.reset()[0].values(), strict=True)
    )
    assert np.array_equal(env.render(), copy.render())


def test_max_cycles_can_be_written_and_changes_nothing() -> None:
    env = _ready(max_cycles=2)
    env.max_cycles = 1000
    env.step(LEGAL)
    env.step(LEGAL)
    assert env.agents == []


def test_more_than_one_lane_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="the batch has 2"):
        ParallelFace(adaps_envs.make_batched("BPS-1", 2))


def test_truth_is_a_copy() -> None:
    env = _ready()
    env.unwrapped.agent_types[:] = 9
    assert env.unwrapped.agent_types.tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_metadata() -> None:
    env = _ready()
    assert str(env) == env.metadata["name"] == "bps_1_v0"
    assert env.metadata["render_modes"] == ["human", "rgb_array"]
    assert env.metadata["is_parallelizable"] is True


def test_render_without_a_mode_says_what_to_do() -> None:
    with pytest.raises(InvalidParameterError, match="render_mode='rgb_array'"):
        _ready().render()


def test_human_window_shows_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = _ready(render_mode="human")
    assert env.render() is None
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert np.array_equal(shown, env.batched.render_frame(0))
    env.step(LEGAL)
    assert not np.array_equal(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1), shown)
    env.close()


def test_human_window_without_a_display_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no_such_driver")
    with pytest.raises(InvalidParameterError, match=r"no window can be opened .* use render_mode='rgb_array'"):
        adaps_envs.make("BPS-1", render_mode="human").reset(seed=0)


# -- turn by turn ---------------------------------------------------------------------------------------------------


def _turns(**kwargs: Any) -> Any:
    env = adaps_envs.make("BPS-1", api="aec", **kwargs)
    env.reset(seed=0)
    return env


def test_turns_equal_the_parallel_face() -> None:
    turns, together = _turns(max_cycles=3), _ready(max_cycles=3)
    for _ in range(3):
        obs, rewards, _, truncated, _ = together.step(LEGAL)
        for agent in turns.agents:
            assert turns.agent_selection == agent
            turns.step(LEGAL[agent])
        assert turns.rewards == rewards
        assert turns.truncations == truncated
        assert all(np.array_equal(turns.observe(agent), obs[agent]) for agent in obs)
    for _ in range(15):
        turns.step(None)
    assert turns.agents == []
    with pytest.raises(ResetNeededError, match="after the end"):
        turns.step(None)


@pytest.mark.parametrize("action", [5, -1, 1.0, None, "1"])
def test_wrong_action_is_refused_in_its_turn(action: Any) -> None:
    env = _turns()
    env.step(0)
    with pytest.raises(InvalidActionError, match=r"of agent_1 is not legal; give an integer in 0\.\.4"):
        env.step(action)
    assert env.agent_selection == "agent_1"
    env.step(1)


def test_action_after_the_end_is_refused() -> None:
    env = _turns(max_cycles=1)
    for _ in range(15):
        env.step(0)
    with pytest.raises(InvalidActionError, match="whose episode is over"):
        env.step(0)


def test_turns_before_the_first_reset() -> None:
    env = adaps_envs.make("BPS-1", api="aec", render_mode="rgb_array")
    for call in (lambda: env.step(0), lambda: env.observe("agent_0"), env.last, env.state, env.render, env.agent_iter):
        with pytest.raises(ResetNeededError, match="before the first reset"):
            call()


def test_observation_of_a_turn_is_a_copy() -> None:
    env = _turns()
    env.observe("agent_0")[...] = 7
    assert not (env.observe("agent_0") == 7).any()
    assert env.unwrapped.agent_types.shape == (15,)


# -- what wrappers look for -----------------------------------------------------------------------------------------


def test_a_generator_for_wrappers_that_does_not_touch_the_game() -> None:
    used, left = _ready(), _ready()
    draws = []
    for _ in range(2):
        used.reset(seed=5)
        draws.append(used.np_random.integers(1000, size=3).tolist())
    left.reset(seed=5)
    assert draws[0] == draws[1]
    assert np.array_equal(used.step(LEGAL)[0]["agent_0"], left.step(LEGAL)[0]["agent_0"])
    used.reset()
    assert used.np_random.integers(1000, size=3).tolist() != draws[0]
    assert pickle.loads(pickle.dumps(used)).np_random.random() == used.np_random.random()
    used.np_random = np.random.default_rng(1)
    assert used.np_random.random() == np.random.default_rng(1).random()


def test_supersuit_skips_random_numbers_of_frames() -> None:
    supersuit = pytest.importorskip("supersuit")
    env = supersuit.frame_skip_v0(adaps_envs.make("BPS-1"), (2, 4))
    env.reset(seed=1)
    env.step(LEGAL)
    assert 2 <= int(env.unwrapped.get_state()["cur_steps"][0]) <= 4


@pytest.mark.parametrize("api", ["parallel", "aec", "gym", "gym_tuple", "gym_vector", "sb3"])
@pytest.mark.parametrize("mode", ["rgb_array", None])
def test_pictures_before_the_first_reset_are_one_error_everywhere(api: str, mode: str | None) -> None:
    env = adaps_envs.make("BPS-1", api=api, render_mode=mode)
    with pytest.raises(ResetNeededError, match=r"render\(\) before the first reset"):
        env.render()
