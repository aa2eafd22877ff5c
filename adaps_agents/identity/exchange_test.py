"""The exchange test: do two groups of agents differ, or could their agents change places?

Under random play agents of one type are exchangeable within each stretch of an episode (a block), so a score that was
chosen without looking at these blocks is as likely to favour one agent as another. Of every block the test takes the
difference of the two groups' mean scores. Conditional on the block's scores, exchanging agents at random gives this
difference mean zero, a known variance and a known maximum, and the most dangerous distribution with these three has two
points (Bennett, "Probability inequalities for the sum of independent random variables", 1962). Its moment generating
function bounds the chance of the sum over blocks (Chernoff). The bound holds for any number of blocks, events or
agents, however rare the events, however dependent the steps of one block, and however unequal the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CERTAIN",
    "FALSE_SPLIT",
    "Evidence",
    "Group",
    "Grouping",
    "blocks_needed",
    "group_agents",
    "log_chance",
    "ordered_labels",
    "spread",
]

FALSE_SPLIT = 0.01
"""Chance, at most, that any agents of one type are split, over all tests of one grouping together."""

CERTAIN = 100.0
"""A decision is certain if FALSE_SPLIT could be this many times smaller or larger without changing it."""

# A group is doubtful if, over all groups, its best split is as unlikely as this among agents of one type.
SUSPECT = 0.05
# With more groups than this, each is compared with the nearest ones only.
ALL_PAIRS = 32
NEAREST = 10
# Agents are taken out of groups that they do not fit, and merged again, at most so many times.
ROUNDS = 3
# Tried multiples of the exponent that would be best for normal variables.
EXPONENTS = 2.0 ** np.arange(-4, 4.5, 0.5)

Group: TypeAlias = tuple[int, ...]
"""Agents, ascending."""

_Alike: TypeAlias = Callable[[Group, Group], bool]


class Evidence(Protocol):
    """Something in which agents may differ: fitted on one half of the data, compared on the other half."""

    codes: NDArray[np.float32]
    """``[N, D]``, agents that differ more have codes that are farther apart; from the first half."""

    def log_chance(self, some: Group, others: Group) -> float:
        """Return the log of (an upper bound on) the chance that two groups of one type differ as much as these."""


def log_chance(scores: NDArray[np.float64], first: int) -> float:
    """Return the log of an upper bound on the chance of the observed difference in mean score.

    The test is one-sided and made twice, on the scores and on the scores in units of each block's own spread, which is
    robust to blocks of very unequal size; the smaller chance counts twice.

    Args:
        scores: ``[blocks, n]``, score of each agent in every block, of the first group's agents first.
        first: size of the first group, whose scores should be greater if the groups differ.
    """
    number = scores.shape[1]
    second = number - first
    centred = scores - scores.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)
    telling = squares > 1e-12 * max(float(squares.max(initial=0.0)), 1e-30)
    centred, squares = centred[telling], squares[telling]
    if not len(centred):
        return 0.0
    difference = centred[:, :first].mean(axis=1) * (number / second)
    variance = squares / (number - 1) * (number / (first * second))
    best = np.partition(centred, second, axis=1)[:, second:] if first < number else centred
    most = best.mean(axis=1) * (number / second)
    spread = np.sqrt(variance)
    plain = _log_tail(difference, variance, most)
    scaled = _log_tail(difference / spread, np.ones_like(spread), most / spread)
    return min(0.0, min(plain, scaled) + float(np.log(2.0)))


def _log_tail(difference: NDArray[np.float64], variance: NDArray[np.float64], most: NDArray[np.float64]) -> float:
    """Return a bound on ``log P(sum >= observed)`` for independent terms of mean 0 with these variances and maxima."""
    total = float(difference.sum())
    if total <= 0:
        return 0.0
    exponents = EXPONENTS[:, None] * (total / variance.sum())
    low, square = variance / most, most**2
    upper = np.log(variance / (variance + square)) + exponents * most
    lower = np.log(square / (variance + square)) - exponents * low
    bounds = np.logaddexp(upper, lower).sum(axis=1) - exponents[:, 0] * total
    return min(0.0, float(bounds.min()))


@dataclass(frozen=True)
class Grouping:
    """Groups of agents, and how near the decisions were.

    Attributes:
        labels: ``[N] int64``.
        within: groups that may hold several types: a split that was refused and would not be if the accepted chance
            were ``CERTAIN`` times larger, or the best split of a group that is suspect.
        between: groups that would be one if the accepted chance were ``CERTAIN`` times smaller.
    """

    labels: NDArray[np.int64]
    within: tuple[str, ...]
    between: tuple[str, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """All decisions that were close; empty if there are none."""
        return self.within + self.between


def group_agents(evidence: Mapping[str, Evidence], num_agents: int, accepted: float = FALSE_SPLIT) -> Grouping:
    """Return the groups of agents that none of the evidence tells apart.

    Each kind of evidence climbs Ward's tree over its codes from single agents and joins branches that could be one.
    The parts that are left are merged, most alike first, until every pair differs; then agents that do not fit the rest
    of their group are taken out and merged again.

    Args:
        evidence: by name.
        num_agents: N.
        accepted: chance, at most, that any agents of one type are split.
    """
    tests = _Tests(evidence, num_agents, accepted)
    groups: list[Group] = [tuple(range(num_agents))]
    for name, kind in evidence.items():
        found = _along_tree(kind.codes, lambda a, b, name=name: tests.alike(a, b, name))  # type: ignore[misc]
        groups = [part for group in groups for other in found if (part := _common(group, other))]
    groups = _merged(groups, tests)
    for _ in range(ROUNDS):
        fitting = [part for group in groups for part in _without_strangers(group, tests)]
        if len(fitting) == len(groups):
            break
        groups = _merged(fitting, tests)
    labels = np.empty(num_agents, np.int64)
    for number, group in enumerate(groups):
        labels[list(group)] = number
    return Grouping(labels, tuple(tests.doubts_within(groups)), tuple(tests.doubts_between(groups)))


def blocks_needed(num_agents: int, kinds: int = 3) -> int:
    """Return how many blocks a test needs to tell anything apart: one agent wins a block with chance 1/2."""
    return int(np.ceil(-_threshold(kinds, num_agents) / np.log(2.0))) + 1


def _threshold(kinds: int, num_agents: int, accepted: float = FALSE_SPLIT) -> float:
    """Return the log of the chance below which agents differ, with so many kinds of evidence."""
    # Of every kind at most N - 1 nodes of the tree, N (N - 1) / 2 pairs and N agents against the rest.
    return float(np.log(accepted / max(1, kinds * num_agents**2)))


class _Tests:
    """The tests of all evidence at one family-wise level, each made once."""

    def __init__(self, evidence: Mapping[str, Evidence], num_agents: int, accepted: float) -> None:
        self.evidence = evidence
        self._threshold = _threshold(len(evidence), num_agents, accepted)
        self._known: dict[tuple[str, Group, Group], float] = {}

    def alike(self, a: Group, b: Group, name: str) -> bool:
        """Whether one kind of evidence takes both groups for one type."""
        return self._log_chance(name, a, b) > self._threshold

    def likeness(self, a: Group, b: Group) -> float | None:
        """Return the log of the smallest chance over all evidence, None if the groups differ."""
        least = 0.0
        for name in self.evidence:
            least = min(least, self._log_chance(name, a, b))
            if least <= self._threshold:
                return None
        return least

    def doubts_within(self, groups: Sequence[Group]) -> Iterator[str]:
        """Yield what speaks for several types in one group."""
        of = {agent: number for number, group in enumerate(groups) for agent in group}
        for (_, a, b), chance in self._known.items():
            joined = len({of[agent] for agent in a + b}) == 1
            if joined and chance <= self._threshold + float(np.log(CERTAIN)):
                yield f"{len(a)} and {len(b)} agents of one group nearly differ"
        splits = [split for group in groups for split in self._best_splits(group)]
        for name, a, b in splits:
            if self._log_chance(name, a, b) <= np.log(SUSPECT / len(splits)):
                yield f"{len(a)} and {len(b)} agents of one group may differ"

    def doubts_between(self, groups: Sequence[Group]) -> Iterator[str]:
        """Yield the pairs of groups that barely differ."""
        chances: dict[tuple[Group, Group], list[float]] = {}
        for (_, a, b), chance in self._known.items():
            if a in groups and b in groups:
                chances.setdefault((a, b), []).append(chance)
        for (a, b), seen in chances.items():
            if self._threshold - float(np.log(CERTAIN)) <= min(seen) <= self._threshold:
                yield f"groups of {len(a)} and {len(b)} agents barely differ"

    def _best_splits(self, group: Group) -> Iterator[tuple[str, Group, Group]]:
        """Yield for each kind of evidence the two parts of a group that Ward's tree joins last."""
        if len(group) < 2:
            return
        from scipy.cluster.hierarchy import fcluster, linkage

        members = np.array(group)
        for name, kind in self.evidence.items():
            parts = fcluster(linkage(kind.codes[members].astype(np.float64), "ward"), 2, "maxclust")
            if parts.max() == 2:
                a, b = (tuple(members[parts == part].tolist()) for part in (1, 2))
                yield name, a, b

    def _log_chance(self, name: str, a: Group, b: Group) -> float:
        key = (name, a, b) if a < b else (name, b, a)
        if key not in self._known:
            self._known[key] = self.evidence[name].log_chance(*key[1:])
        return self._known[key]


def _along_tree(codes: NDArray[np.float32], alike: _Alike) -> list[Group]:
    """Return groups found by climbing Ward's tree over the codes ``[N, D]`` from single agents.

    Wherever two whole branches are alike they become one group; a branch that holds several groups stays as it is. Cost
    grows with N, not with the number of pairs, and any number of groups from 1 to N can come out.
    """
    from scipy.cluster.hierarchy import linkage

    branches: list[Group | None] = [(agent,) for agent in range(len(codes))]
    groups: set[Group] = {(agent,) for agent in range(len(codes))}
    if len(codes) == 1:
        return list(groups)
    for left, right in linkage(codes.astype(np.float64), "ward")[:, :2].astype(int):
        a, b = branches[left], branches[right]
        union = None
        if a is not None and b is not None and alike(a, b):
            union = _union(a, b)
            groups = groups - {a, b} | {union}
        branches.append(union)
    return sorted(groups)


def _merged(groups: Sequence[Group], tests: _Tests) -> list[Group]:
    """Merge pairs of groups, most alike first, until every pair differs."""
    left = sorted(groups)
    while len(left) > 1:
        likenesses = ((tests.likeness(a, b), a, b) for a, b in _pairs(left, tests.evidence))
        best = max((found for found in likenesses if found[0] is not None), default=None)
        if best is None:
            break
        _, a, b = best
        left = sorted([*(group for group in left if group not in (a, b)), _union(a, b)])
    return left


def _without_strangers(group: Group, tests: _Tests) -> list[Group]:
    """Return the group without the agents that differ from the rest of it, and these agents."""
    if len(group) < 3:
        return [group]
    strangers = [agent for agent in group if tests.likeness((agent,), tuple(a for a in group if a != agent)) is None]
    rest = tuple(agent for agent in group if agent not in strangers)
    return [part for part in (rest, *((agent,) for agent in strangers)) if part]


def _pairs(groups: Sequence[Group], evidence: Mapping[str, Evidence]) -> list[tuple[Group, Group]]:
    """Return the pairs to compare: all, or with many groups those that are near by some evidence."""
    number = len(groups)
    if number <= ALL_PAIRS:
        return [(groups[a], groups[b]) for a in range(number) for b in range(a + 1, number)]
    pairs = set()
    for kind in evidence.values():
        codes = np.stack([kind.codes[list(group)].mean(axis=0, dtype=np.float64) for group in groups])
        norms = (codes**2).sum(axis=1)
        distances = norms[:, None] + norms[None] - 2 * codes @ codes.T
        np.fill_diagonal(distances, -1.0)
        near = np.argsort(distances, axis=1, kind="stable")[:, 1 : NEAREST + 1]
        pairs |= {(min(a, int(b)), max(a, int(b))) for a in range(number) for b in near[a]}
    return [(groups[a], groups[b]) for a, b in sorted(pairs)]


def _union(a: Group, b: Group) -> Group:
    return tuple(sorted(a + b))


def _common(a: Group, b: Group) -> Group:
    return tuple(sorted(set(a) & set(b)))


def ordered_labels(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rename groups ``[N] int64`` by their smallest agent, so that arbitrary numbering never matters."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def spread(values: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most so many of the values ``[M] int64``, evenly spread."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).astype(np.int64)]
