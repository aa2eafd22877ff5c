"""Evidence from regressions of the reward, for tasks in which it depends on one of very many observation entries.

The decoder must learn that a code selects entries, and with many entries it learns the starts that it saw by heart
instead. A regression for each agent alone has nothing to select, and one that is additive (each entry and its square, a
second-order expansion of an additive model: Hastie & Tibshirani, "Generalized additive models", 1986) has so few
weights that it holds on starts that it never saw. Where all agents get one team reward, it is regressed on the entries
of all agents at once, which tells what each of them adds to it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adaps_agents.identity.collect import Steps, Transitions
from adaps_agents.identity.decoder import DecoderEvidence, block_scores
from adaps_agents.identity.encoder import Standardiser
from adaps_agents.identity.exchange_test import Group, log_chance, spread

__all__ = ["RewardRegression", "TeamRegression"]

# Rows of one agent that are fitted, and rows of the team that scale the features.
FIT_ROWS = 20_000
SCALE_ROWS = 40_000
# Added to the features' unit variances.
RIDGE = 0.05
# Directions with less than this share of the largest variance are left out.
NEGLIGIBLE = 1e-5
# A joint regression needs this many environment steps a weight, and uses no more than so many.
STEPS_A_WEIGHT = 4
TEAM_STEPS = 20_000


class RewardRegression:
    """Ridge regressions of each agent's reward.

    Args:
        fit: half of the data to fit.
        test: half of the data to compare by.
        num_actions: A.

    Attributes:
        codes: ``[N, P] float32``, weights of every agent over P uncorrelated features of unit variance, so that the
            distance of two is that of their predictions.
    """

    def __init__(self, fit: Steps, test: Steps, num_actions: int) -> None:
        standardiser = Standardiser(fit.sample(SCALE_ROWS))
        model = _AdditiveModel(fit.sample(SCALE_ROWS), standardiser, num_actions)
        self.codes = _weights(model, fit, standardiser)
        self.log_chance = DecoderEvidence(model, self.codes, test, standardiser, averaged=True).log_chance


class TeamRegression:
    """One ridge regression of the team's reward on the entries and actions of all agents.

    A row's score is the covariance of the team reward that is left to explain with what the groups' weights differ in,
    with one weight for both groups elsewhere.

    Args:
        fit: half of the data to fit.
        test: half of the data to compare by.
        num_actions: A.

    Attributes:
        codes: ``[N, P] float32``, weights of every agent.
    """

    def __init__(self, fit: Steps, test: Steps, num_actions: int) -> None:
        self._standardiser = Standardiser(fit.sample(SCALE_ROWS))
        self._model = _AdditiveModel(fit.sample(SCALE_ROWS), self._standardiser, num_actions)
        features, rewards = self._joint(fit)
        flat = features.flatten(1)
        gram = flat.T @ flat / len(flat) + RIDGE * torch.eye(flat.shape[1], dtype=flat.dtype)
        weights = torch.linalg.solve(gram, flat.T @ (rewards - rewards.mean()) / len(flat))
        self._weights = weights.view(features.shape[1:])
        self.codes = self._weights.float().numpy()
        self._features, rewards = self._joint(test)
        predicted = torch.einsum("tnp,np->t", self._features, self._weights)
        self._left = rewards - rewards.mean() - predicted
        self._blocks = test.blocks[spread(np.arange(len(test.blocks)), TEAM_STEPS)]

    @staticmethod
    def feasible(fit: Steps, num_actions: int) -> bool:
        """Whether there are steps enough for the weights of all agents."""
        weights = fit.rows.shape[1] * (2 * fit.data.obs.shape[1] + num_actions)
        return len(fit.rows) >= STEPS_A_WEIGHT * weights

    def log_chance(self, some: Group, others: Group) -> float:
        """Return the log of a bound on the chance that two groups of one type differ as much as these."""
        agents = list(some + others)
        means = [self._weights[list(group)].mean(dim=0) for group in (some, others)]
        features = self._features[:, agents]
        # The agents in question get one weight, so that exchanging them changes nothing but whose score is whose.
        change = self._weights[agents] - (means[0] + means[1]) / 2
        left = self._left + torch.einsum("tnp,np->t", features, change)
        scores = left[:, None] * (features @ (means[0] - means[1]))
        return log_chance(block_scores(scores.numpy(), self._blocks), len(some))

    def _joint(self, half: Steps) -> tuple[Tensor, Tensor]:
        """Return features ``[T, N, P]`` and team rewards ``[T]``."""
        rows = half.rows[spread(np.arange(len(half.rows)), TEAM_STEPS)]
        obs, actions, targets = self._standardiser(half.data.take(rows.reshape(-1)))
        features = self._model.features(obs, actions)[:, :-1].view(*rows.shape, -1)
        return features, targets[:, -1].double().view(*rows.shape)[:, 0]


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


def _weights(model: _AdditiveModel, fit: Steps, standardiser: Standardiser) -> NDArray[np.float32]:
    codes = []
    for own in fit.rows.T:
        obs, actions, targets = standardiser(fit.data.take(spread(own, FIT_ROWS)))
        features = model.features(obs, actions)
        size = max(1, len(features))
        gram = features.T @ features / size + RIDGE * torch.eye(features.shape[1], dtype=features.dtype)
        codes.append(torch.linalg.solve(gram, features.T @ targets[:, -1].double() / size))
    return torch.stack(codes).float().numpy()
