"""Holding recorded actions to the policy that is said to have chosen them, decision by decision.

Returns alone would not do: on another processor some episodes may take another course, and a forger would put
better ones in their place. In the recorded course every greedy action is the most likely one, wherever it is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.artifacts import ActionLog
from baselines.leaderboard.config import RunConfig, seeds_of
from baselines.leaderboard.episodes import play_episodes
from baselines.leaderboard.verify.replay import open_environment
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["NEAR_TIE", "choice_faults"]

NEAR_TIE = 1e-3
"""A recorded action's logit may be below the highest by this much, relative to one plus the largest of all logits.

Rounding on another processor stays far below, and of two actions that are as near as that a forger gains nothing.
"""


def choice_faults(config: RunConfig, policy: Any, file: str, log: str, actions: ActionLog) -> Iterator[Fault]:
    """Yield a fault if the policy would not have taken all actions of a log.

    Args:
        config: the run.
        policy: sharing policy, its weights loaded.
        file: where its weights come from, for the message.
        log: ``final`` or ``absolute``.
        actions: logs that the environment can replay.
    """
    recorded, lengths = getattr(actions, log), getattr(actions, f"{log}_lengths")
    seeds = seeds_of(config)
    first_seed = seeds.evaluation_start if log == "final" else seeds.absolute_start
    memory = policy.new_memory(len(lengths))
    step, others = 0, 0
    first = ""

    def act(obs: NDArray[np.float32]) -> NDArray[np.int64]:
        nonlocal step, others, first
        chosen: NDArray[np.int64] = recorded[step].astype(np.int64)
        logits = policy.logits(obs, memory=memory).numpy()
        taken = np.take_along_axis(logits, chosen[..., None], axis=-1)[..., 0]
        bound = NEAR_TIE * (1.0 + np.abs(logits).max(axis=-1))
        wrong = (logits.max(axis=-1) - taken > bound) & (lengths > step)[:, None]
        if wrong.any() and not first:
            episode, agent = np.argwhere(wrong)[0].tolist()
            best = int(logits[episode, agent].argmax())
            first = f"{log}[{step}, {episode}, {agent}] is {chosen[episode, agent]}; its weights choose {best}"
        others += int(wrong.sum())
        step += 1
        return chosen

    was_training = policy.training
    policy.set_training_mode(False)
    try:
        play_episodes(open_environment(config.task, len(lengths)), act, first_seed)
    finally:
        policy.set_training_mode(was_training)
    if others:
        decisions = int(lengths.sum()) * recorded.shape[2]
        yield Fault(file, "", f"actions.npz: {first} ({others:,} of {decisions:,} decisions differ)")
