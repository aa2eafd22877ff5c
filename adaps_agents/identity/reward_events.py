"""Evidence from what agents are paid: how often, how much, and after which action.

A reward that random play earns once in a thousand steps is noise to an autoencoder trained on squared errors, yet it
may be all that tells types apart (in foraging, a level acts in nothing but successful loads). So rewards are put into
bins, and the counts of (action, bin) are compared. For two groups of agents, every count is weighted by the log ratio
of their rates on the first half of the data; the sum is a score that the exchange test compares on the second half.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from adaps_agents.identity.collect import Outcomes
from adaps_agents.identity.exchange_test import Group, log_chance, spread

__all__ = ["RewardEvents", "event_counts", "reward_bins", "uneven_groups"]

# A value that so many rewards take is "nothing happened".
ATOM = 0.05
BINS = 4
# Cells with fewer events in all are left out.
LEAST_EVENTS = 8
# Agents of one type are paid unevenly with this chance; then play is doubled in vain.
UNEVEN = 0.001
# Agents of a group that are looked at in one test.
MEMBERS = 64


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


def uneven_groups(data: Outcomes, labels: NDArray[np.int64]) -> list[str]:
    """Say which groups hold agents that are paid too differently to be of one type.

    An agent's sums over all blocks, of events and of rewards, need nothing to be fitted, so small differences show
    in them that the many cells of :class:`RewardEvents` do not tell from noise. Their spread within a group is held
    to the spread under random exchanges in every block, which for many blocks has a chi-squared distribution (for few
    it does not: this raises doubts, and splits nothing).

    Args:
        data: outcomes of random play.
        labels: ``[N] int64``, group of each agent, 0..K-1.
    """
    from scipy.stats import chi2

    number = len(labels)
    place = (data.blocks - data.blocks.min()) * number + data.agents
    chances: list[tuple[float, int]] = []
    for amounts in (_happened(data.rewards), data.rewards):
        scores = np.bincount(place, weights=amounts, minlength=int(place.max()) // number * number + number)
        scores = scores.reshape(-1, number)
        for group in range(int(labels.max()) + 1):
            own = scores[:, labels == group]
            centred = own - own.mean(axis=1, keepdims=True)
            freedom = own.shape[1] - 1
            if freedom and (variance := (centred**2).sum() / freedom) > 0:
                chances.append((float(chi2.sf((centred.sum(axis=0) ** 2).sum() / variance, freedom)), own.shape[1]))
    return [
        f"the {size} agents of one group are paid unevenly" for chance, size in chances
        if chance <= UNEVEN / len(chances)
    ]  # fmt: skip


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
        data: outcomes of random play; even blocks are the first half.
        num_agents: N.
        num_actions: A.

    Attributes:
        codes: ``[N, P] float32``, roots of the counts in the first half (which makes their variances alike), one for
            each of P cells (action, bin) in which anything happened; a single 0 if P would be 0.
    """

    def __init__(self, data: Outcomes, num_agents: int, num_actions: int) -> None:
        totals, tested = [], []
        for counts in _cells(data, num_agents, num_actions):
            totals.append(counts[0::2].sum(axis=0, dtype=np.float64))
            tested.append(counts[1::2])
        self._totals = np.array(totals, np.float64).reshape(-1, num_agents)
        self._tested = np.array(tested, np.float32)
        roots = 2 * np.sqrt(self._totals.T + 3 / 8)
        self.codes = (roots if len(totals) else np.zeros((num_agents, 1))).astype(np.float32)

    def log_chance(self, some: Group, others: Group) -> float:
        """Return the log of a bound on the chance that two groups of one type differ as much as these."""
        if not len(self._totals):
            return 0.0
        some, others = (tuple(spread(np.array(group), MEMBERS).tolist()) for group in (some, others))
        # One average agent more in each group, so that a rate is never 0 and few events weigh little.
        average = self._totals.mean(axis=1)
        rates = [(self._totals[:, list(group)].sum(axis=1) + average) / (len(group) + 1) for group in (some, others)]
        weights = np.log(np.maximum(rates[0], 1e-9) / np.maximum(rates[1], 1e-9))
        counts = self._tested[:, :, list(some + others)].astype(np.float64)
        return log_chance(np.tensordot(weights, counts, axes=1), len(some))


def _cells(data: Outcomes, num_agents: int, num_actions: int) -> Iterator[NDArray[np.float32]]:
    """Yield counts ``[blocks, N]`` of every cell with enough events."""
    rows = np.flatnonzero(_happened(data.rewards))
    if rows.size == 0:
        return
    first = int(data.blocks.min()) // 2 * 2
    place = (data.blocks[rows] - first) * num_agents + data.agents[rows]
    size = (int(data.blocks.max()) - first + 1) * num_agents
    for binned in reward_bins(data.rewards[rows]):
        cell = data.actions[rows] * BINS + binned
        for index in range(num_actions * BINS):
            inside = place[cell == index]
            if inside.size >= LEAST_EVENTS:
                yield np.bincount(inside, minlength=size).reshape(-1, num_agents).astype(np.float32)
