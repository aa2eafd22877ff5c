"""Unequal spaces: own spaces in PettingZoo's faces, one padded layout with masks in the batched ones."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AutoresetMode
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
from uneven import FIELDS, UnevenEnv, uneven_env

import adaps_envs
from adaps_envs.adapters.aec import AECFace, TurnOrder
from adaps_envs.adapters.gym_single import TeamEnv
from adaps_envs.adapters.gym_vector import TeamVectorEnv
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.adapters.sb3 import SharedVecEnv
from adaps_envs.core.padding import Padding
from adaps_envs.errors import InvalidActionError
from adaps_envs.policies import RandomPolicy
from adaps_envs.testing import BATCHED_CHECKS, PARALLEL_CHECKS, QUICK

NEAR, FAR = "agent_0", "agent_1"
WAIT = {"agent_0": 0, "agent_1": 2, "agent_2": 0}


def _face(**params: Any) -> ParallelFace:
    return ParallelFace(uneven_env(1, **params))


def test_masks_are_all_true_where_nothing_differs() -> None:
    env = adaps_envs.make_batched("BPS-1", 2)
    assert (env.obs_mask.shape, env.action_mask.shape) == ((15, 10), (15, 5))
    assert env.obs_mask.dtype == env.action_mask.dtype == bool
    assert env.obs_mask.all()
    assert env.action_mask.all()
    assert env.padding.blanks is None
    assert env.padding.replacements is None


@pytest.mark.parametrize("far", [(False, False), (True, True, True)])
def test_a_roster_of_one_type_keeps_equal_spaces(far: tuple[bool, ...]) -> None:
    env = uneven_env(1, far=far)
    assert env.obs_mask.all()
    assert env.obs_space_low[3] == 1


def test_masks_cannot_be_written() -> None:
    env = uneven_env(1)
    with pytest.raises(ValueError, match="read-only"):
        env.obs_mask[0, 0] = True
    with pytest.raises(ValueError, match="read-only"):
        env.action_mask[0, 0] = True


def test_lacking_entries_are_zero_and_legal() -> None:
    env = uneven_env(4)
    space = SharedVecEnv(env).observation_space
    obs = env.reset(seed=0)
    for _ in range(3):
        assert (obs[:, ~env.obs_mask] == 0).all()
        assert (obs[:, :, 3] == 1.5).all()
        assert all(space.contains(row) for row in obs.reshape(-1, 4))
        assert np.array_equal(obs, env.observe())
        obs = env.step(np.zeros((4, 3), int))[0]


def test_bounds_admit_zero_only_where_an_entry_is_lacking() -> None:
    class HeatOnlyFar(UnevenEnv):
        def _declare(self) -> None:
            super()._declare()
            self.obs_mask = np.array([[True] * 3 + [False], [True] * 4, [True] * 4])

    env = HeatOnlyFar(1, uneven_env(1).params)
    assert env.obs_space_low.tolist() == [0, 0, 0, 0]
    assert uneven_env(1).obs_space_low.tolist() == [0, 0, 0, 1]
    assert ParallelFace(env).observation_space("agent_1").low.tolist() == [0, 0, 0, 1]


def test_a_lacking_action_is_replaced_by_the_first_own_one() -> None:
    env, twin = uneven_env(2), uneven_env(2)
    env.reset(seed=3)
    twin.reset(seed=3)
    # Near agents have 2 (wait) and 3 (step): "back" and "leap" become "wait". The far one leaps.
    env.step(np.array([[0, 1, 1], [1, 0, 3]]))
    twin.step(np.array([[2, 1, 2], [2, 0, 3]]))
    assert np.array_equal(env.get_state()["cell"], twin.get_state()["cell"])
    with pytest.raises(InvalidActionError, match=r"legal actions are 0\.\.3"):
        env.step(np.full((2, 3), 4))


def test_an_agents_own_view_turns_into_the_layouts_and_back() -> None:
    obs_mask = np.array([[True, False, True], [True, True, True]])
    action_mask = np.array([[True, False, True], [True, True, True]])
    bounds = np.zeros(3, np.float32), np.ones(3, np.float32)
    padding = Padding.of(obs_mask, action_mask, (2, 3, 3), bounds)
    padded = padding.padded(0, np.array([5, 7], np.float32))
    assert (padded.tolist(), padded.dtype) == ([5, 0, 7], np.float32)
    assert padding.padded(1, np.array([1, 2, 3], np.float32)).tolist() == [1, 2, 3]
    # Agent 0 lacks action 1: its own first stands for it, though it has another one before.
    assert [padding.to_own(0, action) for action in range(3)] == [0, 0, 1]
    assert [padding.to_own(1, action) for action in range(3)] == [0, 1, 2]
    for own in range(2):
        layout = padding.from_own(np.array([own, 0]))
        assert padding.to_own(0, int(layout[0])) == own


def test_random_play_draws_own_actions_only() -> None:
    env = uneven_env(50)
    actions = RandomPolicy(env)(env.reset(seed=0), np.random.default_rng(0))
    assert set(actions[:, 0]) == set(actions[:, 2]) == {2, 3}
    assert set(actions[:, 1]) == {0, 1, 2, 3}


def test_parallel_face_gives_each_agent_its_own_spaces() -> None:
    face = _face()
    assert face.observation_space(NEAR).shape == (2,)
    assert face.observation_space(FAR).shape == (4,)
    assert (face.action_space(NEAR).n, face.action_space(FAR).n) == (2, 4)
    assert [(item.index, item.name) for item in face.obs_fields(NEAR)] == [(0, "own"), (1, "heat")]
    assert face.obs_fields(FAR) == FIELDS
    obs, infos = face.reset(seed=1)
    padded = face.batched.observe()[0]
    assert np.array_equal(obs[NEAR], padded[0, [1, 3]])
    assert np.array_equal(obs[FAR], padded[1])
    assert infos[NEAR]["action_mask"].tolist() == [1, 1]
    assert infos[FAR]["action_mask"].dtype == np.int8


def test_parallel_actions_count_the_agents_own() -> None:
    face = _face()
    face.reset(seed=1)
    before = face.get_state()["cell"][0]
    face.step({"agent_0": 1, "agent_1": 1, "agent_2": 0})
    assert ((face.get_state()["cell"][0] - before) % 6).tolist() == [1, 2, 0]
    with pytest.raises(InvalidActionError, match=r"action 2 of agent_0 is out of range; it has the actions 0\.\.1"):
        face.step({**WAIT, "agent_0": 2})
    with pytest.raises(InvalidActionError, match="action -1 of agent_2"):
        face.step({**WAIT, "agent_2": -1})
    with pytest.raises(InvalidActionError, match="no action for agent_2"):
        face.step({"agent_0": 0, "agent_1": 0})


def test_aec_face_refuses_in_the_agents_turn() -> None:
    env = TurnOrder(AECFace(_face()))
    env.reset(seed=0)
    assert env.observe(NEAR).shape == (2,)
    with pytest.raises(InvalidActionError, match=r"action 2 of agent_0 is not legal; give an integer in 0\.\.1"):
        env.step(2)
    env.step(1)
    env.step(3)
    assert env.last()[4]["action_mask"].tolist() == [1, 1]


def test_pettingzoo_accepts_unequal_spaces() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(_face(), num_cycles=30)
        api_test(TurnOrder(AECFace(_face())), num_cycles=30)
        seed_test(lambda: TurnOrder(AECFace(_face())), num_cycles=30)
        parallel_seed_test(_face, num_cycles=30)


def test_gate_accepts_unequal_spaces() -> None:
    for check in PARALLEL_CHECKS.values():
        check(_face, QUICK)
    for batched_check in BATCHED_CHECKS.values():
        batched_check(lambda num_envs, *, num_threads=1: UnevenEnv(num_envs, uneven_env(1).params))


def test_team_view_pads_observations_and_keeps_own_actions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gymnasium_check(TeamEnv(uneven_env(1)), skip_render_check=True)
    env = TeamEnv(uneven_env(1))
    assert env.observation_space.shape == (3, 4)
    assert env.action_space == spaces.MultiDiscrete([2, 4, 2])
    env.reset(seed=1)
    before = env.batched.get_state()["cell"][0]
    env.step(np.array([1, 1, 0]))
    assert ((env.batched.get_state()["cell"][0] - before) % 6).tolist() == [1, 2, 0]
    with pytest.raises(InvalidActionError, match="action 2 of agent_2"):
        env.step(np.array([0, 0, 2]))
    with pytest.raises(InvalidActionError, match="dtype float64"):
        env.step(np.array([0.0, 0.0, 0.0]))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_vector_view_equals_the_single_one(mode: AutoresetMode) -> None:
    vector = TeamVectorEnv(uneven_env(3), autoreset_mode=mode)
    singles = [TeamEnv(uneven_env(1)) for _ in range(3)]
    starts = [env.reset(seed=5 + lane)[0] for lane, env in enumerate(singles)]
    assert np.array_equal(vector.reset(seed=5)[0], starts)
    for step in range(5):
        actions = np.array([[lane % 2, (lane + step) % 4, 1] for lane in range(3)])
        rows = [env.step(actions[lane]) for lane, env in enumerate(singles)]
        obs, rewards, *_ = vector.step(actions)
        assert np.array_equal(obs, [row[0] for row in rows])
        assert np.array_equal(rewards, [row[1] for row in rows])
    with pytest.raises(InvalidActionError, match="action 2 of agent_0"):
        vector.step(np.full((3, 3), 2))


def test_slots_share_the_padded_spaces_and_tell_their_masks() -> None:
    venv = SharedVecEnv(uneven_env(2))
    assert venv.observation_space.shape == (4,)
    assert venv.action_space == spaces.Discrete(4)
    venv.seed(0)
    venv.reset()
    assert venv.reset_infos[0]["action_mask"].tolist() == [False, False, True, True]
    infos = venv.step(np.zeros(6, int))[3]
    assert [int(info["action_mask"].sum()) for info in infos] == [2, 4, 2] * 2
    assert venv.has_attr("action_masks")
    assert [int(mask.sum()) for mask in venv.env_method("action_masks")] == [2, 4, 2] * 2
    assert venv.get_attr("obs_mask", 0)[0].tolist() == [False, True, False, True]


def test_stock_learner_trains_on_padded_slots() -> None:
    from stable_baselines3 import A2C

    model = A2C("MlpPolicy", SharedVecEnv(uneven_env(2)), seed=0, policy_kwargs={"net_arch": [8]}, device="cpu")
    model.learn(120)
    assert model.num_timesteps == 120


def test_pickled_environment_keeps_its_layout() -> None:
    face = _face()
    face.reset(seed=2)
    twin = pickle.loads(pickle.dumps(face))
    left, right = face.step(WAIT), twin.step(WAIT)
    assert all(np.array_equal(left[0][agent], right[0][agent]) for agent in left[0])
    assert twin.observation_space(NEAR).shape == (2,)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((3, 3), bool), "shape"),
        (np.ones((3, 4), int), "dtype"),
        (np.array([[True] * 4, [False] * 4, [True] * 4]), "without any"),
    ],
)
def test_a_wrong_declaration_is_noticed(mask: np.ndarray, message: str) -> None:
    class Wrong(UnevenEnv):
        def _declare(self) -> None:
            super()._declare()
            self.action_mask = mask

    with pytest.raises(AssertionError, match=message):
        Wrong(1, uneven_env(1).params)
