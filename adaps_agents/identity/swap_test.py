"""A test that two groups of agents are one: exchange their codes, and see whether the decoder predicts any worse.

The statistic is the extra error of both groups together. With equal dynamics and rewards it changes its sign when the
two groups' data are exchanged, so its mean is zero whatever the two codes are, also if one of them predicts nothing.
Held-out transitions and one value a block (steps of an episode depend on each other) make it a t test. It is made
twice: on the extra error as it is, which finds what happens in few blocks, and on its share of all that the exchange
changed, which does not mind that some blocks tell a hundred times more than others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.encoder import Standardiser
from adaps_agents.identity.reward_events import FALSE_SPLIT

__all__ = ["Decoder", "ExchangeTest", "Group", "Witness", "merge_exchangeable", "merged_along_tree", "ordered_labels"]

# Groups are kept apart only if exchanging their codes costs at least this share of the error itself, so that a huge
# sample cannot make a trifle significant.
SWAP_SHARE = 0.01
SWAP_ROWS = 4_000
# With more groups than this, each is compared with the nearest ones only.
ALL_PAIRS = 32
NEAREST = 10


def ordered_labels(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rename groups by their smallest agent, so that arbitrary numbering never matters."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Group:
    """Agents with one code.

    Attributes:
        members: their indices, ascending.
        code: ``[Z] float32``, a code that predicts them all.
    """

    members: tuple[int, ...]
    code: NDArray[np.float32]


class Decoder(Protocol):
    """What predicts how the environment answers an agent with a code."""

    def decode(self, code: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return predicted targets ``[M, F + 1]`` for codes ``[M, Z]``, observations ``[M, F]``, actions ``[M]``."""


class Witness(Protocol):
    """Evidence of its own on which agents differ."""

    def groups(self) -> NDArray[np.int64]:
        """Return labels ``[N]`` of agents that it cannot tell apart."""

    def ratio(self, some: Sequence[int], others: Sequence[int]) -> float:
        """Return how different two groups of agents are; above 1 they differ."""


class ExchangeTest:
    """Compares groups by exchanging their codes on held-out transitions.

    Args:
        model: trained encoder and decoder.
        held_out: transitions that the model was not trained on.
        standardiser: the scaling that it was trained with.
        num_agents: N.
    """

    def __init__(self, model: Decoder, held_out: Transitions, standardiser: Standardiser, num_agents: int) -> None:
        self._model = model
        self._data = held_out
        self._standardiser = standardiser
        order = np.argsort(held_out.agents, kind="stable")
        self._rows = np.split(order, np.searchsorted(held_out.agents[order], np.arange(1, num_agents)))
        pairs = max(1, num_agents * (num_agents - 1) // 2)
        self._chance = FALSE_SPLIT / (4 * pairs)  # four statistics a pair

    def ratio(self, a: Group, b: Group) -> float:
        """Return how far the exchange is from harmless, in units of the threshold: above 1 the groups differ."""
        from scipy.stats import t as student

        extra_a, own_a, blocks_a = self._extra(a, b.code)
        extra_b, own_b, blocks_b = self._extra(b, a.code)
        blocks, place = np.unique(np.concatenate([blocks_a, blocks_b]), return_inverse=True)
        ratio = 0.0
        for part in range(extra_a.shape[1]):
            values = np.concatenate([extra_a[:, part] / len(extra_a), extra_b[:, part] / len(extra_b)])
            if values.sum() <= SWAP_SHARE * (own_a[part] + own_b[part]) or len(blocks) < 2:
                continue
            extra: NDArray[np.float64] = np.bincount(place, values, len(blocks)).astype(np.float64)
            moved = np.bincount(place, np.abs(values), len(blocks))
            z = max(_t_value(extra), _t_value(extra / np.maximum(moved, 1e-30)))
            ratio = max(ratio, z / float(student.isf(self._chance, len(blocks) - 1)))
        return ratio

    def unexplained(self, codes: NDArray[np.float32]) -> float:
        """Return the share of the rewards' variance that is not predicted with codes ``[N, Z]``, of some rows."""
        most = max(1, 4 * SWAP_ROWS // len(codes))
        errors, rewards = [], []
        for agent, code in enumerate(codes):
            rows = self._rows[agent]
            rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(np.int64)]
            errors.append(self._errors(rows, code)[:, 1])
            rewards.append(self._standardiser(self._data.take(rows))[2][:, -1].double().numpy())
        return float(np.concatenate(errors).mean() / max(np.concatenate(rewards).var(), 1e-12))

    def joined(self, a: Group, b: Group) -> Group:
        """Return the union of two groups, with the code that predicts both best: the one's, the other's or their mean.

        Their mean alone would not do: between two codes that work may lie one that does not.
        """
        share = len(a.members) / (len(a.members) + len(b.members))
        codes = [share * a.code + (1 - share) * b.code, a.code, b.code]
        members = tuple(sorted(a.members + b.members))
        rows = self._chosen(members)
        errors = [float(self._errors(rows, code).sum(axis=1).mean()) if len(rows) else 0.0 for code in codes]
        return Group(members, codes[int(np.argmin(errors))].astype(np.float32))

    def _extra(
        self, group: Group, other: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return extra errors ``[M, 2]`` of the group's rows under another code, mean own errors ``[2]``, blocks."""
        rows = self._chosen(group.members)
        own = self._errors(rows, group.code)
        return self._errors(rows, other) - own, own.mean(axis=0), self._data.blocks[rows]

    def _chosen(self, members: Sequence[int]) -> NDArray[np.int64]:
        """Return at most ``SWAP_ROWS`` rows of a group, spread evenly over members and time."""
        rows = np.concatenate([self._rows[agent] for agent in members])
        if len(rows) <= SWAP_ROWS:
            return rows
        return rows[np.linspace(0, len(rows) - 1, SWAP_ROWS).astype(np.int64)]

    def _errors(self, rows: NDArray[np.int64], code: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return squared errors ``[M, 2]`` of the observation's entries together and of the reward."""
        obs, actions, targets = self._standardiser(self._data.take(rows))
        with torch.no_grad():
            decoded = self._model.decode(torch.from_numpy(code).expand(len(obs), -1), obs, actions)
            squares = (decoded - targets) ** 2
            parts = torch.stack([squares[:, :-1].sum(dim=1), squares[:, -1]], dim=1)
        return parts.double().numpy()


def _t_value(values: NDArray[np.float64]) -> float:
    """Return Student's t of a sample's mean."""
    return float(values.mean() * np.sqrt(len(values)) / (values.std(ddof=1) + 1e-12))


def merged_along_tree(codes: NDArray[np.float32], test: ExchangeTest) -> list[Group]:
    """Return groups found by climbing Ward's tree over the codes ``[N, Z]`` from single agents.

    Wherever two whole branches are exchangeable they become one group; a branch that holds several groups stays as it
    is. Cost grows with N, not with the number of pairs, and any number of groups from 1 to N can come out.
    """
    from scipy.cluster.hierarchy import linkage

    branches: list[Group | None] = [Group((agent,), code) for agent, code in enumerate(codes)]
    if len(codes) == 1:
        return [Group((0,), codes[0])]
    groups = {group.members: group for group in branches if group is not None}
    for left, right in linkage(codes.astype(np.float64), "ward")[:, :2].astype(int):
        a, b = branches[left], branches[right]
        union = None
        if a is not None and b is not None and test.ratio(a, b) < 1:
            union = test.joined(a, b)
            del groups[a.members], groups[b.members]
            groups[union.members] = union
        branches.append(union)
    return list(groups.values())


def merge_exchangeable(groups: Sequence[Group], test: ExchangeTest, witnesses: Sequence[Witness] = ()) -> list[Group]:
    """Merge pairs of groups, most alike first, until every pair differs by its codes or to one of the witnesses."""
    left = sorted(groups, key=lambda group: group.members)
    known: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    while len(left) > 1:
        costs = []
        for a, b in _pairs(left):
            key = (left[a].members, left[b].members)
            if key not in known:
                known[key] = _ratio(left[a], left[b], test, witnesses)
            costs.append((known[key], a, b))
        ratio, a, b = min(costs)
        if ratio >= 1:
            break
        union = test.joined(left[a], left[b])
        left = sorted([*(g for i, g in enumerate(left) if i not in (a, b)), union], key=lambda group: group.members)
    return left


def _ratio(a: Group, b: Group, test: ExchangeTest, witnesses: Sequence[Witness]) -> float:
    ratio = 0.0
    for witness in witnesses:
        ratio = max(ratio, witness.ratio(a.members, b.members))
        if ratio >= 1:
            return ratio
    return max(ratio, test.ratio(a, b))


def _pairs(groups: Sequence[Group]) -> list[tuple[int, int]]:
    """Return the pairs to compare: all, or with many groups each one's nearest by code."""
    number = len(groups)
    if number <= ALL_PAIRS:
        return [(a, b) for a in range(number) for b in range(a + 1, number)]
    codes = np.stack([group.code for group in groups]).astype(np.float64)
    distances = ((codes[:, None] - codes[None]) ** 2).sum(axis=-1)
    near = np.argsort(distances, axis=1, kind="stable")[:, 1 : NEAREST + 1]
    return sorted({(min(a, int(b)), max(a, int(b))) for a in range(number) for b in near[a]})
