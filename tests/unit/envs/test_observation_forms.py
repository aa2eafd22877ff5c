"""Images and named parts: shown by the PettingZoo and Gymnasium faces, carried flat by the others."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

import adaps_envs
from adaps_envs.core.observation_form import Part, shown
from adaps_envs.testing import QUICK, check_target
from adaps_envs.testing.play_through import equal

WAREHOUSE = "RWARE-tiny-2a"
SHOWN: list[tuple[str, dict[str, Any]]] = [
    (WAREHOUSE, {"observation_type": "dict"}),
    (WAREHOUSE, {"observation_type": "dict", "msg_bits": 2, "sensor_range": 2, "normalised_coordinates": True}),
    (WAREHOUSE, {"observation_type": "image"}),
    (WAREHOUSE, {"observation_type": "image", "image_observation_layers": ["agent_direction", "agent_load", "goals"]}),
    (WAREHOUSE, {"observation_type": "image_dict", "image_observation_directional": False}),
    ("LBF-8x8-2p-3f", {"grid_observation": True, "sight": 2}),
    ("LBF-10x10-6p-5f-3t", {"grid_observation": True, "sight": 3}),
]
# What an environment with such observations is not for.
NOT_FOR = {
    "dict": {"libraries/supersuit", "libraries/torchrl", "faces/stable_baselines3"},
    "image_dict": {"libraries/supersuit", "faces/stable_baselines3"},
}


@pytest.mark.parametrize(("env_id", "params"), SHOWN)
def test_every_face_passes_the_gate(env_id: str, params: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_target(env_id, params={**params, "max_cycles": 30}, effort=QUICK, faces=True)
    assert not report.failures
    left_out = {result.name for result in report.results if result.skipped and "not installed" not in result.message}
    assert left_out <= NOT_FOR.get(params.get("observation_type", ""), set())


def test_named_parts_are_the_vector() -> None:
    params = {"msg_bits": 2, "sensor_range": 2, "num_agents": 5}
    named = adaps_envs.make(WAREHOUSE, observation_type="dict", **params)
    flat = adaps_envs.make(WAREHOUSE, **params)
    views, vectors = named.reset(seed=3)[0], flat.reset(seed=3)[0]
    for step in range(20):
        for agent in named.possible_agents:
            space = named.observation_space(agent)
            assert space.contains(views[agent])
            assert np.array_equal(spaces.flatten(space, views[agent]), vectors[agent])
        actions = {agent: (7 * step + index) % 20 for index, agent in enumerate(named.possible_agents)}
        views, vectors = named.step(actions)[0], flat.step(actions)[0]


def test_named_parts_have_the_types_of_their_spaces() -> None:
    env = adaps_envs.make(WAREHOUSE, observation_type="dict", msg_bits=1)
    view = env.reset(seed=0)[0]["agent_0"]
    own, cell = view["self"], view["sensors"][4]
    assert len(view["sensors"]) == 9
    assert (own["location"].dtype, own["on_highway"].dtype) == (np.int32, np.int8)
    assert set(cell) == {"has_agent", "direction", "local_message", "has_shelf", "shelf_requested"}
    assert cell["has_agent"].tolist() == [1]
    assert own["direction"] == cell["direction"] == env.get_state()["agent_dir"][0, 0]
    assert env.observation_space("agent_0")["self"]["direction"] == spaces.Discrete(4)
    assert env.observation_space("agent_0")["sensors"][0]["local_message"] == spaces.MultiBinary(1)


def test_coordinates_that_are_shares_stay_numbers() -> None:
    env = adaps_envs.make(WAREHOUSE, observation_type="dict", normalised_coordinates=True)
    place = env.reset(seed=1)[0]["agent_0"]["self"]["location"]
    state = env.get_state()
    assert place.dtype == np.float32
    assert place == pytest.approx([state["agent_x"][0, 0] / 9, state["agent_y"][0, 0] / 10])


@pytest.mark.parametrize(("env_id", "params"), [(WAREHOUSE, {"observation_type": "image"}), SHOWN[5]])
def test_images_have_their_shape_in_every_face(env_id: str, params: dict[str, Any]) -> None:
    core = adaps_envs.make_batched(env_id, 3, **params)
    flat, shape = core.reset(seed=4), core.obs_shape
    assert len(shape) == 3
    assert core.structure(flat).shape == (3, core.num_agents, *shape)
    parallel = adaps_envs.make(env_id, **params)
    assert parallel.observation_space("agent_1").shape == shape
    assert np.array_equal(parallel.reset(seed=4)[0]["agent_1"], flat[0, 1].reshape(shape))
    team = adaps_envs.make(env_id, api="gym", **params)
    assert team.observation_space.shape == (core.num_agents, *shape)
    vector = adaps_envs.make(env_id, api="gym_vector", num_envs=3, **params)
    assert np.array_equal(vector.reset(seed=4)[0], core.structure(flat))
    slots = adaps_envs.make(env_id, api="sb3", num_envs=3, **params)
    assert slots.observation_space.shape == (core.obs_dim,)


def test_teams_of_named_parts_are_tuples_as_in_the_original() -> None:
    team = gymnasium.make("adaps/RWARE-tiny-2a-v0", observation_type="dict")
    obs, _ = team.reset(seed=0)
    assert isinstance(team.observation_space, spaces.Tuple)
    assert team.observation_space.contains(obs)
    assert len(obs) == 2


def test_last_observations_of_vectors_keep_their_form() -> None:
    options = {"observation_type": "image_dict", "max_cycles": 3}
    vector = adaps_envs.make(WAREHOUSE, api="gym_vector", num_envs=2, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    core = adaps_envs.make_batched(WAREHOUSE, 2, **options)
    vector.reset(seed=5)
    core.reset(seed=5)
    actions = np.ones((2, 2), int)
    for _ in range(3):
        obs, _, _, _, infos = vector.step(actions)
        last = core.step(actions)[0]
    assert equal(infos["final_obs"][1][0], core.structure(last[1, 0]))
    assert vector.observation_space.contains(obs)


def test_turns_show_copies() -> None:
    turns = adaps_envs.make(WAREHOUSE, api="aec", observation_type="dict")
    turns.reset(seed=0)
    turns.observe("agent_0")["self"]["location"][:] = 99
    assert turns.observation_space("agent_0").contains(turns.observe("agent_0"))


def test_forms_keep_leading_axes() -> None:
    form = {"a": Part(0, (2, 2)), "b": (Part(4, (3,), "choice"), Part(7, (2,), "flags"))}
    obs = np.array([[[1, 2, 3, 4, 0, 1, 0, 1, 0]] * 2] * 5, np.float32)
    view = shown(form, obs)
    assert view["a"].shape == (5, 2, 2, 2)
    assert view["a"].base is obs
    assert (view["b"][0].tolist(), view["b"][1].shape) == ([[1, 1]] * 5, (5, 2, 2))
    assert view["b"][1].dtype == np.int8
