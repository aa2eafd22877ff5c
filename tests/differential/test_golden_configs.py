"""Configurations of recorded trajectories that we have no files of: each gives the environment that it describes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaps_envs import InvalidParameterError
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.testing import make_env

SIZES = {"tiny": (1, 3), "small": (2, 3), "medium": (2, 5), "large": (3, 5)}


@st.composite
def bps_configs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a configuration of the fork: any groups, shuffled or not, cooperative or not, any length."""
    config: dict[str, Any] = {
        "family": "bps",
        "groups": draw(st.lists(st.integers(1, 12), min_size=1, max_size=6)),
        "cooperative": draw(st.booleans()),
        "shuffle_obs": draw(st.booleans()),
        "local_ratio": draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        "max_frames": draw(st.integers(1, 200)),
    }
    return config | (draw(st.sampled_from([{}, {"episode_length": config["max_frames"] + 2}])))


@st.composite
def warehouse_configs(draw: st.DrawFn, family: str) -> dict[str, Any]:
    """Draw a configuration of either warehouse: sizes, queues, rewards, limits."""
    rows, columns = draw(st.sampled_from(list(SIZES.values())))
    colours = draw(st.integers(1, 6))
    agents = draw(st.integers(colours, 16))
    config: dict[str, Any] = {
        "family": family, "shelf_rows": rows, "shelf_columns": columns, "column_height": draw(st.integers(2, 8)),
        "n_agents": agents, "request_queue_size": draw(st.integers(1, 7)), "msg_bits": 0,
        "sensor_range": draw(st.integers(0, 3)), "max_steps": draw(st.sampled_from([None, 1, 500])),
        "reward_type": draw(st.sampled_from(["INDIVIDUAL", "GLOBAL", "TWO_STAGE"])),
        "max_inactivity_steps": draw(st.sampled_from([None, 1, 50])),
    }  # fmt: skip
    if family == "rware":
        layout = draw(st.sampled_from([None, ".xx.\n.xx.\n.xx.\n.xx.\n..g."]))
        kind = draw(st.sampled_from(["FLATTENED", "DICT", "IMAGE", "IMAGE_DICT"]))
        layers = draw(
            st.lists(st.sampled_from(["SHELVES", "AGENTS", "AGENT_DIRECTION", "GOALS"]), min_size=1, unique=True)
        )
        more = {"image_observation_layers": layers, "image_observation_directional": draw(st.booleans())}
        shares = {"normalised_coordinates": draw(st.booleans())}
        return {**config, "layout": layout, "observation_type": kind, **shares, **draw(st.sampled_from([{}, more]))}
    counts = [agents - agents // colours * (colours - 1), *[agents // colours] * (colours - 1)]
    size = 8 + (2 * config["sensor_range"] + 1) ** 2 * (colours + 2)
    recorded = {
        "agent_color": np.repeat(range(colours), counts).tolist(),
        "obs_permutation": [draw(st.permutations(range(size))) for _ in range(colours)],
    }
    return {**config, "colors": colours, **draw(st.sampled_from([{}, recorded]))}


@st.composite
def foraging_configs(draw: st.DrawFn, family: str) -> dict[str, Any]:
    """Draw a configuration of lbforaging 2.0 or of its fixed-level branch."""
    side, other = draw(st.integers(5, 19)), draw(st.integers(5, 19))
    players, foods = draw(st.integers(2, 12)), draw(st.integers(1, 9))
    config: dict[str, Any] = {
        "family": family, "players": players, "field_size": [side, other], "sight": draw(st.integers(1, 19)),
        "force_coop": draw(st.booleans()), "max_episode_steps": draw(st.integers(1, 60)),
    }  # fmt: skip
    kind = {
        "normalize_reward": draw(st.booleans()), "grid_observation": draw(st.booleans()),
        "penalty": 0.0 if family == "lbfseps" else draw(st.sampled_from([0.0, 0.1])),
    }  # fmt: skip
    config |= draw(st.sampled_from([{}, kind]))
    if family == "lbfseps":
        return {**config, "max_food": foods, "max_player_level": 3}
    config |= {"max_num_food": foods, **draw(st.sampled_from([{}, {"observe_agent_levels": False}]))}
    many = draw(st.booleans())
    config["min_player_level"], config["max_player_level"] = ([1] * players, [3] * players) if many else (1, 2)
    config["min_food_level"], config["max_food_level"] = ([1] * foods, [4] * foods) if many else (1, None)
    return config


def _played(config: dict[str, Any]) -> BatchedEnv:
    env = make_env(config, 3)
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(3):
        if env.ended.any():
            env.reset(mask=env.ended)
        env.set_state(env.get_state())
        env.step(generator.integers(0, env.num_actions, (3, env.num_agents)))
    assert (env.num_envs, env.num_actions) == (3, 6 if config["family"].startswith("lbf") else 5)
    return env


@given(config=bps_configs())
def test_particles(config: dict[str, Any]) -> None:
    env = _played(config)
    assert np.bincount(env.agent_types).tolist() == config["groups"]
    assert (env.obs_dim, env.max_cycles) == (4 + 2 * len(config["groups"]), config["max_frames"] + 2)


@given(config=warehouse_configs("crware"))
def test_coloured_warehouses(config: dict[str, Any]) -> None:
    env = _played(config)
    size = (2 * config["sensor_range"] + 1) ** 2
    assert (env.num_agents, env.obs_dim) == (config["n_agents"], 8 + size * (config["colors"] + 2))
    assert env.get_state()["request_queue"].shape == (3, config["request_queue_size"])
    if "agent_color" in config:
        assert env.agent_types.tolist() == config["agent_color"]
        orders = [list(kind.obs_permutation) for kind in env.params.roster]
        assert orders == [list(order) for order in config["obs_permutation"]]


@given(config=warehouse_configs("rware"))
def test_plain_warehouses(config: dict[str, Any]) -> None:
    env = _played(config)
    size, layers = (2 * config["sensor_range"] + 1) ** 2, len(config.get("image_observation_layers", range(5)))
    sizes = {"IMAGE": layers * size, "IMAGE_DICT": layers * size + 6}
    assert env.obs_dim == sizes.get(config["observation_type"], 8 + 7 * size)


@given(config=st.one_of(foraging_configs("lbf"), foraging_configs("lbfseps")))
@settings(max_examples=80)
def test_foraging(config: dict[str, Any]) -> None:
    env = _played(config)
    foods = config.get("max_num_food", config.get("max_food"))
    entries = 3 if config.get("observe_agent_levels", True) else 2
    vector = 3 * foods + entries * config["players"]
    grid = 3 * (2 * config["sight"] + 1) ** 2
    assert env.obs_dim == (grid if config.get("grid_observation") else vector)
    if config["family"] == "lbfseps":
        assert (env.get_state()["player_level"] == [i % 3 + 1 for i in range(config["players"])]).all()


# -- the same configuration in other words -----------------------------------------------------------------------------

PLAIN = [
    {"family": "bps", "groups": [3, 2], "local_ratio": 0.5, "max_frames": 20},
    {
        "family": "crware", "shelf_rows": 1, "shelf_columns": 3, "column_height": 2, "n_agents": 4, "colors": 2,
        "sensor_range": 1, "request_queue_size": 6, "max_steps": 500, "agent_color": [0, 0, 1, 1],
        "obs_permutation": [list(range(44)), list(range(44))[::-1]],
    },
    {
        "family": "rware", "layout": ".x.x.\n..g..", "n_agents": 3, "request_queue_size": 1, "msg_bits": 0,
        "max_steps": 9, "reward_type": "GLOBAL",
    },
    {
        "family": "lbf", "players": 3, "field_size": [6, 7], "sight": 2, "max_num_food": 2, "penalty": 1.0,
        "min_player_level": [1, 1, 2], "max_player_level": 2, "min_food_level": 1, "max_food_level": [2, 3],
    },
    {"family": "lbfseps", "players": 4, "field_size": [8, 8], "sight": 8, "max_food": 3},
]  # fmt: skip


def _as_arrays(value: Any) -> Any:
    return np.array(value) if isinstance(value, list) else np.array(value)[()] if isinstance(value, int) else value


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(entry) for entry in value) if isinstance(value, list) else value


def _as_floats(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


@pytest.mark.parametrize("config", PLAIN, ids=lambda config: config["family"])
@pytest.mark.parametrize("spelling", [_as_arrays, _as_tuples, _as_floats])
def test_arrays_tuples_and_whole_floats_mean_what_json_means(config: dict[str, Any], spelling: Any) -> None:
    other = {key: spelling(value) for key, value in config.items()}
    assert make_env(other, 1).params == make_env(config, 1).params


@pytest.mark.parametrize("config", PLAIN, ids=lambda config: config["family"])
def test_nulls_and_remarks_say_nothing(config: dict[str, Any]) -> None:
    names = {"comment", "max_inactivity_steps", "obs_permutation", "agent_color", "normalize_reward", "episode_length"}
    unsaid = dict.fromkeys(names - set(config))
    assert make_env({**config, **unsaid}, 1).params == make_env(config, 1).params


@pytest.mark.parametrize(
    ("family", "key"),
    [("bps", "groups"), ("crware", "colors"), ("crware", "n_agents"), ("crware", "request_queue_size"),
     ("crware", "shelf_rows"), ("rware", "n_agents"), ("lbf", "players"), ("lbf", "max_num_food"),
     ("lbfseps", "players"), ("lbfseps", "max_food")],
)  # fmt: skip
def test_what_is_missing_is_named(family: str, key: str) -> None:
    (config,) = (config for config in PLAIN if config["family"] == family)
    for broken in ({name: value for name, value in config.items() if name != key}, {**config, key: None}):
        with pytest.raises(InvalidParameterError, match=f"the config has no '{key}', which a recorded .* '{family}'"):
            make_env(broken, 1)


def test_levels_that_a_config_leaves_out_are_the_registered_ones() -> None:
    config = {"family": "lbf", "players": 3, "field_size": [6, 7], "max_num_food": 2}
    levels = {"min_player_level": 1, "max_player_level": 2, "min_food_level": 1, "max_food_level": None}
    assert make_env(config, 1).params == make_env({**config, **levels}, 1).params


def test_recorded_orders_of_entries_are_taken() -> None:
    config = {**PLAIN[0], "obs_permutation": [[7, 6, 5, 4, 3, 2, 1, 0], list(range(8))]}
    kinds = make_env(config, 1).params.roster
    assert [list(kind.obs_permutation) for kind in kinds] == config["obs_permutation"]
    with pytest.raises(InvalidParameterError, match="obs_permutation has 1 entries; give one for each of 2 groups"):
        make_env({**config, "obs_permutation": [list(range(8))]}, 1)


def test_robots_out_of_the_order_of_their_colours_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"agent_color is \[0, 1, 0, 1\]; .* colour after colour"):
        make_env({**PLAIN[1], "agent_color": [0, 1, 0, 1]}, 1)
    with pytest.raises(InvalidParameterError, match="obs_permutation has 1 entries; give one for each of 2 colours"):
        make_env({**PLAIN[1], "obs_permutation": [list(range(44))]}, 1)
