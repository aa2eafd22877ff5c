"""A regression of each agent's reward, for tasks in which it depends on one of very many observation entries.

The decoder must learn that a code selects entries, and with many entries it learns the starts that it saw by heart
instead. A regression for each agent alone has nothing to select, and one that is additive (each entry and its square, a
second-order expansion of an additive model: Hastie & Tibshirani, "Generalized additive models", 1986) has so few
weights that it holds on starts that it never saw. It knows no interactions, so it is only heard where it predicts
the rewards of held-out transitions much better than the decoder does; then the weights are compared as codes are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.encoder import Standardiser
from adaps_agents.identity.swap_test import ExchangeTest, Group, merged_along_tree

__all__ = ["RewardRegression"]

# Rows of one agent that are fitted, and rows of the team that scale the features.
FIT_ROWS = 20_000
SCALE_ROWS = 40_000
# Added to the features' unit variances.
RIDGE = 0.05
# Directions with less than this share of the largest variance are left out.
NEGLIGIBLE = 1e-5
# It is heard where it leaves less than this share of what the decoder leaves unexplained of the rewards.
MUCH_BETTER = 0.5


class RewardRegression:
    """Ridge regressions of each agent's reward, and the test that two groups of agents have the same.

    Args:
        training: transitions to fit.
        held_out: transitions to compare by.
        num_agents: N.
        num_actions: A.

    Attributes:
        codes: ``[N, P] float32``, weights of every agent over P uncorrelated features of unit variance, so that the
            distance of two is that of their predictions.
    """

    def __init__(self, training: Transitions, held_out: Transitions, num_agents: int, num_actions: int) -> None:
        standardiser = Standardiser(training)
        model = _AdditiveModel(training.take(_spread(len(training.agents), SCALE_ROWS)), standardiser, num_actions)
        self.codes = _weights(model, training, standardiser, num_agents)
        self._test = ExchangeTest(model, held_out, standardiser, num_agents)

    def unexplained(self) -> float:
        """Return the share of the held-out rewards' variance that is not predicted."""
        return self._test.unexplained(self.codes)

    def beats(self, test: ExchangeTest, codes: NDArray[np.float32]) -> bool:
        """Whether it predicts held-out rewards much better than the decoder of ``test`` with codes ``[N, Z]``."""
        return self.unexplained() < MUCH_BETTER * test.unexplained(codes)

    def ratio(self, some: Sequence[int], others: Sequence[int]) -> float:
        """Return how different two groups of agents are, in units of the threshold."""
        return self._test.ratio(self._group(some), self._group(others))

    def groups(self) -> NDArray[np.int64]:
        """Return labels ``[N]``: agents joined along Ward's tree over the weights where these can be exchanged."""
        labels = np.empty(len(self.codes), np.int64)
        for number, group in enumerate(merged_along_tree(self.codes, self._test)):
            labels[list(group.members)] = number
        return labels

    def _group(self, members: Sequence[int]) -> Group:
        return Group(tuple(members), self.codes[list(members)].mean(axis=0))


class _AdditiveModel:
    """A decoder whose codes ``[P]`` are weights; it predicts the reward alone and leaves the observation unchanged."""

    def __init__(self, sample: Transitions, standardiser: Standardiser, num_actions: int) -> None:
        self._num_actions = num_actions
        raw = self._raw(*standardiser(sample)[:2])
        self._mean = raw.mean(dim=0)
        values, vectors = torch.linalg.eigh((raw - self._mean).T @ (raw - self._mean) / len(raw))
        kept = values > NEGLIGIBLE * values[-1]
        self._scaling = vectors[:, kept] / values[kept].sqrt()

    def _raw(self, obs: Tensor, actions: Tensor) -> Tensor:
        return torch.cat([obs, obs**2, functional.one_hot(actions, self._num_actions)], dim=1).double()

    def features(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Return ``[M, P] float64`` of observations ``[M, F]`` and actions ``[M]``; the last one is constant."""
        scaled = (self._raw(obs, actions) - self._mean) @ self._scaling
        return torch.cat([scaled, torch.ones(len(scaled), 1, dtype=scaled.dtype)], dim=1)

    def decode(self, code: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return predicted targets ``[M, F + 1]`` for codes ``[M, P]``, observations ``[M, F]``, actions ``[M]``."""
        reward = (self.features(obs, actions) * code).sum(dim=1, keepdim=True)
        return torch.cat([torch.zeros_like(obs), reward.to(obs.dtype)], dim=1)


def _weights(
    model: _AdditiveModel, data: Transitions, standardiser: Standardiser, num_agents: int
) -> NDArray[np.float32]:
    order = np.argsort(data.agents, kind="stable")
    rows = np.split(order, np.searchsorted(data.agents[order], np.arange(1, num_agents)))
    codes = []
    for own in rows:
        obs, actions, targets = standardiser(data.take(own[_spread(len(own), FIT_ROWS)]))
        features = model.features(obs, actions)
        size = max(1, len(features))
        gram = features.T @ features / size + RIDGE * torch.eye(features.shape[1], dtype=features.dtype)
        codes.append(torch.linalg.solve(gram, features.T @ targets[:, -1].double() / size))
    return torch.stack(codes).float().numpy()


def _spread(size: int, most: int) -> NDArray[np.int64]:
    """Return at most so many of ``size`` indices, evenly spread."""
    return np.linspace(0, size - 1, min(size, most)).astype(np.int64)
