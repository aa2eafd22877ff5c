"""A direct comparison of what agents are paid: how often, how much, and after which action.

A reward that random play earns once in a thousand steps is noise to an autoencoder trained on squared errors, yet it
may be all that tells types apart (in foraging, a level acts in nothing but successful loads). So rewards are put into
bins, and the counts of (action, bin) are compared between agents. Under random play two agents of one type are
exchangeable within each stretch of an episode, hence the difference of their counts is as likely positive as negative
there, and

    z = sum over blocks of d / sqrt(sum over blocks of d^2)

has tails below a normal variable's, however rare the events and however dependent the steps of a block
(Hoeffding's inequality for a sum of symmetric terms, scaled by itself).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from adaps_agents.identity.collect import Outcomes

__all__ = ["RewardEvents", "event_counts", "reward_bins"]

# Chance of splitting a team of one type, over all pairs and cells together.
FALSE_SPLIT = 1e-3
# A value that so many rewards take is "nothing happened".
ATOM = 0.05
BINS = 4
REFINEMENTS = 10


def _atom(rewards: NDArray[np.float32]) -> float | None:
    """Return the commonest reward if it is common enough to mean that nothing happened, else None."""
    values, counts = np.unique(rewards, return_counts=True)
    top = int(counts.argmax())
    return float(values[top]) if counts[top] >= ATOM * rewards.size else None


def _happened(rewards: NDArray[np.float32]) -> NDArray[np.bool_]:
    atom = _atom(rewards)
    return np.ones(rewards.shape, bool) if atom is None else np.abs(rewards - atom) > 1e-7


def event_counts(data: Outcomes, num_agents: int) -> NDArray[np.int64]:
    """Return for each agent ``[N]`` how many of its rewards are not the commonest one (all, if none is common)."""
    return np.bincount(data.agents[_happened(data.rewards)], minlength=num_agents)


def reward_bins(rewards: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Return two binnings ``[M]`` of rewards that mean something: equally full bins, and equally wide ones."""
    if rewards.size == 0:
        return []
    quantiles = np.unique(np.quantile(rewards, np.linspace(0, 1, BINS + 1)[1:-1]))
    widths = np.linspace(rewards.min(), rewards.max(), BINS + 1)[1:-1]
    full, wide = np.searchsorted(quantiles, rewards), np.searchsorted(widths, rewards)
    return [full] if np.array_equal(full, wide) else [full, wide]


class RewardEvents:
    """Counts of rewards by action and bin, ready to compare any two groups of agents.

    Args:
        data: outcomes of random play.
        num_agents: N.
        num_actions: A.

    Attributes:
        num_cells: P, number of (action, bin) cells in which enough happened to decide anything.
        threshold: z beyond which a difference is real.
    """

    def __init__(self, data: Outcomes, num_agents: int, num_actions: int) -> None:
        from scipy.stats import norm

        pairs = max(1, num_agents * (num_agents - 1) // 2)
        most_cells = 2 * BINS * num_actions
        self.threshold = float(norm.isf(FALSE_SPLIT / (2 * pairs * most_cells)))
        totals, products = [], []
        # |z| is at most the root of the number of events.
        for counts in _cells(data, num_agents, num_actions, self.threshold**2):
            totals.append(counts.sum(axis=0))
            products.append(counts.T @ counts)
        self.num_cells = len(totals)
        self._totals = np.array(totals, np.float64).reshape(-1, num_agents)
        self._products = np.array(products, np.float64).reshape(-1, num_agents, num_agents)

    def ratio(self, some: Sequence[int], others: Sequence[int]) -> float:
        """Return the largest ``|z|`` between two groups of agents, in units of the threshold."""
        weights = np.zeros((2, self._totals.shape[1]))
        weights[0, some], weights[1, others] = 1 / len(some), 1 / len(others)
        z2 = _z_squared(self._totals @ weights.T, weights @ self._products @ weights.T)
        return float(np.sqrt(z2[:, 0, 1].max(initial=0.0))) / self.threshold

    def groups(self) -> NDArray[np.int64]:
        """Return labels ``[N]``: agents joined, most alike first, until all groups differ; then put where they fit."""
        labels = self._joined()
        for _ in range(REFINEMENTS):
            better = self._refitted(labels)
            if np.array_equal(better, labels):
                break
            labels = better
        return labels

    def _joined(self) -> NDArray[np.int64]:
        num_agents = self._totals.shape[1]
        labels, sizes = np.arange(num_agents), np.ones(num_agents)
        if self.num_cells == 0:
            return np.zeros(num_agents, np.int64)
        totals, products = self._totals.copy(), self._products.copy()
        z2 = _z_squared(totals, products)
        cost = np.where(z2.max(axis=0) > self.threshold**2, np.inf, z2.sum(axis=0))
        np.fill_diagonal(cost, np.inf)
        while np.isfinite(cost).any():
            a, b = sorted(int(index) for index in np.unravel_index(cost.argmin(), cost.shape))
            share = sizes[a] / (sizes[a] + sizes[b])
            totals[:, a] = share * totals[:, a] + (1 - share) * totals[:, b]
            products[:, a] = share * products[:, a] + (1 - share) * products[:, b]
            products[:, :, a] = share * products[:, :, a] + (1 - share) * products[:, :, b]
            sizes[a] += sizes[b]
            labels[labels == b] = a
            z2 = _z_squared(totals, products, row=a)
            row = np.where(z2.max(axis=0) > self.threshold**2, np.inf, z2.sum(axis=0))
            gone = [index for index in range(num_agents) if index not in labels] + [a]
            row[gone] = np.inf
            cost[a], cost[:, a], cost[b], cost[:, b] = row, row, np.inf, np.inf
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)

    def _refitted(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return labels with every agent in the group (without itself) from which it differs least."""
        number = int(labels.max()) + 1
        better = labels.copy()
        for agent in range(len(labels)):
            weights = np.zeros((number + 1, len(labels)))
            weights[labels, np.arange(len(labels))] = 1
            weights[:, agent] = 0
            weights[number, agent] = 1
            sizes = weights.sum(axis=1)
            if not sizes.all():
                continue  # it is alone
            weights /= sizes[:, None]
            z2 = _z_squared(self._totals @ weights.T, weights @ self._products @ weights.T, row=number)
            better[agent] = int(z2.sum(axis=0)[:number].argmin())
        return better if len(np.unique(better)) == number else labels


def _cells(data: Outcomes, num_agents: int, num_actions: int, least: float) -> Iterator[NDArray[np.float32]]:
    """Yield counts ``[blocks, N]`` of every cell with at least ``least`` events."""
    rows = np.flatnonzero(_happened(data.rewards))
    if rows.size == 0:
        return
    first = int(data.blocks.min())
    place = (data.blocks[rows] - first) * num_agents + data.agents[rows]
    size = (int(data.blocks.max()) - first + 1) * num_agents
    for binned in reward_bins(data.rewards[rows]):
        cell = data.actions[rows] * BINS + binned
        for index in range(num_actions * BINS):
            inside = place[cell == index]
            if inside.size >= least:
                yield np.bincount(inside, minlength=size).reshape(-1, num_agents).astype(np.float32)


def _z_squared(
    totals: NDArray[np.float64], products: NDArray[np.float64], row: int | None = None
) -> NDArray[np.float64]:
    """Return ``z^2`` ``[P, K, K]`` between groups (or of one with all, ``[P, K]``) from mean counts ``[P, K]``."""
    own = np.einsum("pkk->pk", products)
    if row is None:
        spread = own[:, :, None] + own[:, None, :] - 2 * products
        difference = totals[:, :, None] - totals[:, None, :]
    else:
        spread = own + own[:, row, None] - 2 * products[:, row]
        difference = totals - totals[:, row, None]
    out: NDArray[np.float64] = np.where(spread > 1e-9, difference**2 / np.maximum(spread, 1e-9), 0.0)
    return out
