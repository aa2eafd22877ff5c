"""Evaluation episodes of unequal length, played in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs import make_batched
from baselines.leaderboard.execution.episodes import play_episodes

EPISODES, STEPS, SEED = 24, 200, 7
# A small board with one food that one player can load: random play ends early, at different steps.
GAME: dict[str, Any] = {"field_size": (5, 5), "max_num_food": 1, "max_food_level": 1, "max_cycles": STEPS}


def recorded(table: NDArray[np.int64]) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """Play the actions ``[T, E, N]`` one after the other, whatever is seen."""
    steps = iter(table)
    return lambda obs: next(steps)


def test_every_episode_of_a_batch_is_the_one_played_alone() -> None:
    env = make_batched("LBF-8x8-2p-3f", EPISODES, **GAME)
    table = np.random.default_rng(0).integers(0, env.num_actions, (STEPS, EPISODES, env.num_agents))
    together = play_episodes(env, recorded(table), SEED)
    assert len({*together.lengths.tolist()}) > EPISODES // 2, "the episodes should end at different steps"
    assert together.actions.shape == (together.lengths.max(), EPISODES, env.num_agents)
    for episode in range(EPISODES):
        single = make_batched("LBF-8x8-2p-3f", 1, **GAME)
        alone = play_episodes(single, recorded(table[:, episode : episode + 1]), SEED + episode)
        length = int(alone.lengths[0])
        assert together.lengths[episode] == length
        assert together.returns[episode] == alone.returns[0]
        assert np.array_equal(together.actions[:length, episode], alone.actions[:, 0])
        assert not together.actions[length:, episode].any()
