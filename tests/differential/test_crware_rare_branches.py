"""Random play on small crowded floors reaches the rare branches, so that comparing the kernel with the rules there says
something."""

from __future__ import annotations

from typing import Any

import numpy as np

from adaps_envs import make_batched
from adaps_envs.families.crware import reference


def test_random_play_on_small_floors_reaches_the_rare_branches() -> None:
    """Deliveries, rings and settled chains do happen."""
    env = make_batched(
        "CRWARE-tiny-4a-2c", 8, layout=".xx.\n....\n.xg.\nxxg.", num_agents=9, num_colours=1, request_queue_size=4,
    )  # fmt: skip
    generator, happened = np.random.default_rng(0), {"delivery": 0, "ring": 0, "tie": 0, "two": 0}
    env.reset(seed=0)
    for _ in range(150):
        before = env.get_state()
        actions = generator.choice(5, size=(8, 9), p=[0.05, 0.55, 0.15, 0.1, 0.15])
        rewards = env.step(actions)[1]
        happened["delivery"] += int(rewards.sum())
        happened["two"] += int((rewards.sum(axis=1) > 1).sum())
        after = env.get_state()
        for lane in range(8):
            moved = (before["agent_x"] != after["agent_x"])[lane] | (before["agent_y"] != after["agent_y"])[lane]
            old = {*zip(before["agent_x"][lane, moved], before["agent_y"][lane, moved], strict=True)}
            new = {*zip(after["agent_x"][lane, moved], after["agent_y"][lane, moved], strict=True)}
            happened["ring"] += moved.sum() >= 4 and old == new
            happened["tie"] += _ties(env.params, {name: array[lane] for name, array in before.items()}, actions[lane])
    assert happened["delivery"] > 10
    assert happened["two"] > 0
    assert happened["ring"] > 0
    assert happened["tie"] > 5


def _ties(params: Any, state: dict[str, Any], actions: np.ndarray) -> bool:
    tied = []

    def pick(leaders: Any) -> int:
        tied.append(len(leaders) > 1)
        return min(leaders)

    copy = {name: np.array(value) for name, value in state.items()}
    reference.execute(params, copy, reference.mapped_actions(params, actions.tolist()), pick)
    return any(tied)
