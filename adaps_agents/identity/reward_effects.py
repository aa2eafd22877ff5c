"""How each agent's reward depends on the entries of its observation, measured on the identity phase's transitions.

For every agent, a ridge regression of its standardised reward on the standardised entries and their squares is fitted
twice, on the even and on the odd blocks of random play. The product of the two coefficients of a feature is an unbiased
estimate of the squared coefficient, because the errors of the two fits are independent: noise does not look like an
effect, however many entries there are.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.encoder import Standardiser

__all__ = ["relevance", "relevance_gates", "reward_effects"]

# Rows of one agent that a fit uses, and what is added to the unit variances of the features.
FIT_ROWS = 10_000
RIDGE = 0.05
# A group whose reward is explained to less than this share by single entries has no relevance to speak of.
LEAST_EXPLAINED = 0.05
# An entry that explains less than this share of what a group's entries explain is noise to it.
LEAST_SHARE = 0.01
# Gates below this are closed.
CLOSED = 0.1


def reward_effects(data: Transitions, num_agents: int) -> NDArray[np.float32]:
    """Return the coefficients of each agent's reward ``[N, 2, 2, F] float32``.

    The axes after the agents are the two halves of the data, and the entries themselves and their squares. Entries,
    squares and each agent's rewards have unit variance, so that agents whose rewards have other units compare.
    """
    standardiser = Standardiser(data)
    effects = np.zeros((num_agents, 2, 2, data.obs.shape[1]), np.float32)
    order = np.argsort(data.agents, kind="stable")
    rows = np.split(order, np.searchsorted(data.agents[order], np.arange(1, num_agents)))
    for agent, own in enumerate(rows):
        for half in range(2):
            chosen = own[data.blocks[own] % 2 == half][:FIT_ROWS]
            if len(chosen) > 1:
                obs, _, targets = standardiser(data.take(chosen))
                effects[agent, half] = _coefficients(obs.double(), targets[:, -1].double())
    return effects


def _coefficients(obs: Tensor, rewards: Tensor) -> NDArray[np.float32]:
    """Return ridge coefficients ``[2, F]`` of rewards ``[M]`` on observations ``[M, F]`` and their squares."""
    features = torch.cat([obs, obs**2], dim=1)
    features = (features - features.mean(dim=0)) / features.std(dim=0).clamp(min=1e-6)
    spread = rewards.std()
    if not spread > 1e-9:
        return np.zeros((2, obs.shape[1]), np.float32)
    rewards = (rewards - rewards.mean()) / spread
    gram = features.T @ features / len(features) + RIDGE * torch.eye(features.shape[1], dtype=features.dtype)
    solved: Tensor = torch.linalg.solve(gram, features.T @ rewards / len(features))
    return solved.view(2, -1).float().numpy()


def relevance(effects: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each group's reward variance that every entry explains, ``[K, F]``; noise counts as 0.

    Args:
        effects: ``[N, 2, 2, F]``, see :func:`reward_effects`.
        labels: ``[N]`` group of each agent, 0..K-1.
    """
    groups = [effects[labels == group].mean(axis=0, dtype=np.float64) for group in range(int(labels.max()) + 1)]
    explained = np.stack([(halves[0] * halves[1]).clip(min=0).sum(axis=0) for halves in groups])
    total = explained.sum(axis=1, keepdims=True)
    explained[explained < LEAST_SHARE * total] = 0.0
    explained[total[:, 0] < LEAST_EXPLAINED] = 0.0
    return np.asarray(explained)


def relevance_gates(explained: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return gates ``[K, F] float32`` in [0, 1] from the shares ``[K, F]`` that entries explain.

    A gate is the root of an entry's share in this group over its greatest share in any group; below ``CLOSED`` it is 0.
    Entries that matter to no group keep gate 1, and so do all entries of a group in which none matters.
    """
    greatest = explained.max(axis=0)
    gates = np.sqrt(explained / np.where(greatest > 0, greatest, 1.0))
    gates[gates < CLOSED] = 0.0
    gates[:, greatest == 0] = 1.0
    gates[explained.sum(axis=1) == 0] = 1.0
    return gates.astype(np.float32)
