"""Playing evaluation episodes: every episode is one lane of one batched environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaps_envs.core.batched import BatchedEnv

__all__ = ["Episodes", "play_episodes"]

Act = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class Episodes:
    """Team returns ``[E] float64``, lengths ``[E] int64`` and actions ``[T, E, N] uint8`` (0 after the end)."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    actions: NDArray[np.uint8]


def play_episodes(env: BatchedEnv, act: Act, first_seed: int) -> Episodes:
    """Play one episode in each lane; episode ``e`` starts from seed ``first_seed + e``.

    Args:
        env: E lanes; its former state is lost.
        act: from observations ``[E, N, F] float32`` to actions ``[E, N] int64``.
        first_seed: seed of lane 0.

    Returns:
        Team returns (summed over agents and steps), lengths and actions.
    """
    obs = env.reset(seed=first_seed)
    lengths = np.zeros(env.num_envs, dtype=np.int64)
    actions: list[NDArray[np.uint8]] = []
    paid: list[NDArray[np.float64]] = []
    while True:
        chosen = act(obs)
        obs, rewards, terminated, truncated = env.step(chosen)
        actions.append(chosen.astype(np.uint8))
        paid.append(rewards.sum(axis=1, dtype=np.float64))
        ended = terminated | truncated
        if ended.any():
            lengths[ended & (lengths == 0)] = len(actions)
            if lengths.all():
                break
            # A lane whose episode is over plays on, unseen, because the batch steps as one.
            obs = env.reset(mask=ended)
    played = np.arange(len(actions))[:, None] < lengths
    returns = np.zeros(env.num_envs, dtype=np.float64)
    # Step by step: another order of adding would give other last digits.
    for seen, reward in zip(played, paid, strict=True):
        returns += np.where(seen, reward, 0.0)
    return Episodes(returns, lengths, np.stack(actions) * played[..., None])
