"""What each agent's reward depends on, measured on the identity phase's transitions.

For every agent, a ridge regression of its standardised reward on the standardised entries of its observation and their
squares is fitted twice, on the even and on the odd blocks of random play. The product of the two coefficients of a
feature is an unbiased estimate of the squared coefficient, because the errors of the two fits are independent: noise
does not look like an effect, however many entries there are. Likewise for the changes of entries on entries, agent by
agent, since types may see entries in another order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.encoder import Standardiser

__all__ = ["Effects", "measured_effects", "relevance_gates"]

# Rows of one agent that a fit uses, and what is added to the unit variances of the features.
FIT_ROWS = 10_000
RIDGE = 0.05
# A group whose reward is explained to less than this share by single entries has no relevance to speak of.
LEAST_EXPLAINED = 0.05
# An entry that explains less than this share of what all entries explain is noise.
LEAST_SHARE = 0.01
# Gates below this are closed.
CLOSED = 0.1
# Shares of an entry's change that differ by this much between groups: the entries mean other things.
OTHER_ROLE = 0.1


@dataclass(frozen=True)
class Effects:
    """Effects of single entries of the observation.

    Attributes:
        rewards: ``[N, 2, 2, F] float32``, coefficients of each agent's reward. The axes after the agents are the two
            halves of the data, and the entries themselves and their squares. Entries, squares and each agent's rewards
            have unit variance, so that agents whose rewards have other units compare.
        changes: ``[N, F, F] float32``; row ``g`` is the share of the variance of entry ``g``'s change that every entry
            explains, for each agent (files of earlier versions: one ``[F, F]`` for all). Small shares may be below 0.
    """

    rewards: NDArray[np.float32]
    changes: NDArray[np.float32]

    def moved(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ``changes`` of each group, ``[K, F, F]``.

        Args:
            labels: ``[N] int64`` group of each agent, 0..K-1.
        """
        changes = np.broadcast_to(self.changes, (len(labels), *self.changes.shape[-2:]))
        groups = [changes[labels == group].mean(axis=0, dtype=np.float64) for group in range(labels.max() + 1)]
        return np.stack(groups)

    def entries_mean_the_same(self, labels: NDArray[np.int64]) -> bool:
        """Whether entries move each other alike in all groups, as they do not where types see them in another order.

        Args:
            labels: ``[N] int64`` group of each agent, 0..K-1.
        """
        return bool(np.ptp(self.moved(labels), axis=0).max() < OTHER_ROLE)

    def explained(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the share of each group's reward variance that every entry explains, ``[K, F]``; noise counts as 0.

        Args:
            labels: ``[N] int64`` group of each agent, 0..K-1.
        """
        groups = [self.rewards[labels == group].mean(axis=0, dtype=np.float64) for group in range(labels.max() + 1)]
        shares = np.stack([(halves[0] * halves[1]).clip(min=0).sum(axis=0) for halves in groups])
        total = shares.sum(axis=1, keepdims=True)
        shares[shares < LEAST_SHARE * total] = 0.0
        shares[total[:, 0] < LEAST_EXPLAINED] = 0.0
        return np.asarray(shares)


def measured_effects(data: Transitions, num_agents: int) -> Effects:
    """Return the effects of entries on rewards and on changes in ``data``."""
    standardiser = Standardiser(data)
    entries = data.obs.shape[1]
    rewards = np.zeros((num_agents, 2, 2, entries), np.float32)
    changes = np.zeros((num_agents, entries, entries), np.float32)
    order = np.argsort(data.agents, kind="stable")
    rows = np.split(order, np.searchsorted(data.agents[order], np.arange(1, num_agents)))
    for agent, own in enumerate(rows):
        fits = torch.zeros(2, entries, entries, dtype=torch.float64)
        for half in range(2):
            chosen = own[data.blocks[own] % 2 == half][:FIT_ROWS]
            if len(chosen) > 1:
                part = data.take(chosen)
                obs, _, targets = standardiser(part)
                features = _scaled(torch.cat([obs, obs**2], dim=1).double())
                rewards[agent, half] = _ridge(features, _scaled(targets[:, -1:].double())).view(2, -1)
                seen, landed = (torch.from_numpy(array).double() for array in (part.obs, part.next_obs))
                fits[half] = _ridge(_scaled(seen), _scaled(landed - seen))
        changes[agent] = fits[0] * fits[1]
    return Effects(rewards, changes)


def _scaled(columns: Tensor) -> Tensor:
    """Return columns ``[M, C]`` of mean 0 and variance 1; constant ones become 0."""
    spread = columns.std(dim=0)
    return (columns - columns.mean(dim=0)) / torch.where(spread > 1e-6, spread, torch.inf)


def _ridge(features: Tensor, targets: Tensor) -> Tensor:
    """Return ridge coefficients ``[T, C]`` of targets ``[M, T]`` on features ``[M, C]``."""
    gram = features.T @ features / len(features) + RIDGE * torch.eye(features.shape[1], dtype=features.dtype)
    solved: Tensor = torch.linalg.solve(gram, features.T @ targets / len(features))
    return solved.T


def relevance_gates(effects: Effects, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return gates ``[K, F] float32`` in [0, 1] for groups ``labels [N]``.

    The gate of an entry on which a group's reward depends is the root of its share in this group over its greatest
    share in any group; below ``CLOSED`` it is 0. Other entries are open (1) where they move an entry that matters to
    the group, directly or by way of others, and closed elsewhere: what neither pays nor leads to pay tells the group
    nothing. Every entry is open to a group for which that leaves none.
    """
    explained = effects.explained(labels)
    greatest = explained.max(axis=0)
    gates = np.sqrt(explained / np.where(greatest > 0, greatest, 1.0))
    gates[gates < CLOSED] = 0.0
    for group, (shares, moves) in enumerate(zip(explained, effects.moved(labels) >= LEAST_SHARE, strict=True)):
        pays = shares > 0
        needed = pays
        for _ in range(len(pays)):
            needed = needed | moves[needed].any(axis=0)
        gates[group, needed & ~pays] = 1.0
    gates[(gates == 0).all(axis=1)] = 1.0
    return gates.astype(np.float32)
