"""Step for step against the installed lbforaging 2.0, by injection of states, over random configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaps_envs.families.lbf.env import LBF
from adaps_envs.families.lbf.params import LBFParams

original = pytest.importorskip("lbforaging.foraging.environment", reason="lbforaging is not installed")

SHARED = {
    "min_player_level": 1, "max_player_level": 3, "min_food_level": 1, "max_food_level": None,
}  # fmt: skip


class Original(original.ForagingEnv):
    """The original with a space that does not stop it: its own fails with grids and on boards that are not square."""

    def _get_observation_space(self) -> Any:
        shape = (3, 2 * self.sight + 1, 2 * self.sight + 1)
        if not self._grid_observation:
            shape = (3 * self.max_num_food + (3 if self._observe_agent_levels else 2) * len(self.players),)
        return original.gym.spaces.Box(-1e6, 1e6, shape=shape, dtype=np.float32)


def _pair(params: dict[str, Any]) -> tuple[LBF, Original]:
    ours = LBF(1, LBFParams(**SHARED, **params))
    theirs = {"field_size": params["field_size"], "max_episode_steps": params["max_cycles"]}
    theirs |= {name: value for name, value in params.items() if name not in ("max_cycles", "field_size")}
    return ours, Original(**SHARED, **theirs)


def _inject(game: Original, state: dict[str, np.ndarray]) -> None:
    for i, player in enumerate(game.players):
        place = int(state["player_row"][0, i]), int(state["player_col"][0, i])
        player.setup(place, int(state["player_level"][0, i]), game.field_size)
        player.score, player.reward = float(state["player_score"][0, i]), 0
    game.field = state["field"][0].astype(np.int32)
    game.current_step = int(state["current_step"][0])
    game._food_spawned = np.int32(state["food_spawned"][0])
    game._game_over = False
    game._gen_valid_moves()


def _same(env: LBF, game: Original) -> None:
    state = env.get_state()
    places = np.array([player.position for player in game.players])
    assert np.array_equal(state["player_row"][0], places[:, 0])
    assert np.array_equal(state["player_col"][0], places[:, 1])
    assert state["player_score"][0].tolist() == [player.score for player in game.players]
    assert np.array_equal(state["field"][0], game.field)
    assert state["current_step"][0] == game.current_step
    valid = [[action in game._valid_actions[player] for action in original.Action] for player in game.players]
    assert np.array_equal(state["valid_actions"][0], np.array(valid))


@given(
    field_size=st.tuples(st.integers(4, 12), st.integers(4, 12)), players=st.integers(1, 8),
    max_num_food=st.integers(1, 14), sight=st.integers(1, 12), force_coop=st.booleans(), grid=st.booleans(),
    observe=st.booleans(), normalize=st.booleans(), penalty=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=120)
def test_every_step_is_the_original_one(
    field_size: tuple[int, int], players: int, max_num_food: int, sight: int, force_coop: bool, grid: bool,
    observe: bool, normalize: bool, penalty: float, seed: int,
) -> None:  # fmt: skip
    params = {
        "field_size": field_size, "players": players, "max_num_food": max_num_food, "sight": sight,
        "force_coop": force_coop, "grid_observation": grid, "observe_agent_levels": observe,
        "normalize_reward": normalize, "penalty": penalty, "max_cycles": 12,
    }  # fmt: skip
    env, game = _pair(params)
    generator = np.random.default_rng(seed)
    env.reset(seed=seed)
    _inject(game, env.get_state())
    for _ in range(12):
        actions = generator.choice([0, 1, 2, 3, 4, 5, 5, 5], (1, players))
        obs, rewards, terminated, truncated = env.step(actions)
        their_obs, their_rewards, over, _, _ = game.step(actions[0].tolist())
        _same(env, game)
        assert np.array_equal(obs[0], np.stack(their_obs).reshape(players, -1))
        assert np.array_equal(rewards[0], np.array(their_rewards, np.float32))
        assert bool(terminated[0] | truncated[0]) == over
        if over:
            env.reset()
            _inject(game, env.get_state())


@given(players=st.integers(3, 8), seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_crowds_around_food_are_the_original_ones(players: int, seed: int) -> None:
    """Everybody near one food: loads by several, collisions, swaps, players on one cell."""
    params = {
        "field_size": (5, 5), "players": players, "max_num_food": 1, "sight": 5, "force_coop": False, "penalty": 0.3,
        "max_cycles": 40,
    }  # fmt: skip
    env, game = _pair(params)
    generator = np.random.default_rng(seed)
    env.reset(seed=0)
    for _ in range(10):
        field = np.zeros((1, 5, 5), int)
        field[0, 2, 2] = generator.integers(1, 10)
        cells = [(row, col) for row in range(5) for col in range(5) if (row, col) != (2, 2)]
        places = np.array(cells)[generator.integers(0, len(cells), players)]
        state = {
            "field": field, "player_row": places[None, :, 0], "player_col": places[None, :, 1],
            "player_level": generator.integers(1, 4, (1, players)),
            "food_spawned": field.max(axis=(1, 2)).astype(float), "current_step": np.array([3]),
        }  # fmt: skip
        env.set_state(state)
        _inject(game, env.get_state())
        actions = generator.choice([0, 1, 2, 3, 4, 5, 5, 5], (1, players))
        _, rewards, _, _ = env.step(actions)
        _, their_rewards, _, _, _ = game.step(actions[0].tolist())
        _same(env, game)
        assert np.array_equal(rewards[0], np.array(their_rewards, np.float32))


def test_levels_and_places_are_drawn_as_in_the_original() -> None:
    """Our starts are legal ones there, and both give food the same levels when levels follow from the players."""
    params = {"field_size": (8, 8), "players": 3, "max_num_food": 3, "sight": 8, "force_coop": True, "max_cycles": 5}
    env, game = _pair(params)
    for seed in range(50):
        env.reset(seed=seed)
        game.reset(seed=seed)
        state = env.get_state()
        assert set(state["field"][state["field"] > 0].tolist()) == {int(state["player_level"].sum())}
        assert set(game.field[game.field > 0].tolist()) == {sum(player.level for player in game.players)}
        assert (state["field"] > 0).sum() == (game.field > 0).sum() == 3
