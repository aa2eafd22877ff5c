"""Evidence from a model of how the environment answers: exchange two groups' codes and compare the errors."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.identity.collect import Steps
from adaps_agents.identity.encoder import Standardiser
from adaps_agents.identity.exchange_test import Group, log_chance, spread

__all__ = ["Decoder", "DecoderEvidence", "block_scores"]

# Rows and agents that are looked at in one test: of a group at most MEMBERS, and LARGER times as many as of the other.
ROWS = 8_000
MEMBERS = 8
LARGER = 3


class Decoder(Protocol):
    """What predicts how the environment answers an agent with a code."""

    def decode(self, code: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return predicted targets ``[M, F + 1]`` for codes ``[M, Z]``, observations ``[M, F]``, actions ``[M]``."""


class DecoderEvidence:
    """Compares groups by exchanging their codes on transitions that the model was not fitted on.

    A row's score is how much worse the other group's code predicts it; observation and reward are tested apart.

    Args:
        model: fitted model.
        codes: ``[N, Z] float32``, code of each agent.
        test: half of the data that the model was not fitted on.
        standardiser: the scaling that the model was fitted with.
        averaged: a group's code is its agents' mean; if not, it is the code of the agent nearest to the mean, because
            between two codes that work may lie one that does not.
    """

    def __init__(
        self,
        model: Decoder,
        codes: NDArray[np.float32],
        test: Steps,
        standardiser: Standardiser,
        *,
        averaged: bool = False,
    ) -> None:
        self.codes = codes
        self._model, self._test, self._standardiser, self._averaged = model, test, standardiser, averaged

    def log_chance(self, some: Group, others: Group) -> float:
        """Return the log of a bound on the chance that two groups of one type differ as much as these."""
        most = min(MEMBERS, LARGER * min(len(some), len(others)))
        chosen = [spread(np.array(group), most) for group in (some, others)]
        agents = np.concatenate(chosen)
        steps = spread(np.arange(len(self._test.rows)), max(1, ROWS // len(agents)))
        rows = self._test.rows[np.ix_(steps, agents)].reshape(-1)
        obs, actions, targets = self._standardiser(self._test.data.take(rows))
        codes = [self._code(group) for group in (some, others)]
        errors = [self._errors(code, obs, actions, targets) for code in codes]
        worse = (errors[1] - errors[0]).reshape(len(steps), len(agents), 2)
        blocks = self._test.blocks[steps]
        chances = [log_chance(block_scores(worse[:, :, part], blocks), len(chosen[0])) for part in range(2)]
        return min(0.0, min(chances) + float(np.log(2.0)))

    def _code(self, group: Group) -> NDArray[np.float32]:
        codes = self.codes[list(group)]
        mean = codes.mean(axis=0)
        if self._averaged:
            return mean
        return codes[int(((codes - mean) ** 2).sum(axis=1).argmin())]

    def _errors(self, code: NDArray[np.float32], obs: Tensor, actions: Tensor, targets: Tensor) -> NDArray[np.float64]:
        """Return squared errors ``[M, 2]`` of the observation's entries together and of the reward."""
        with torch.no_grad():
            decoded = self._model.decode(torch.from_numpy(code).expand(len(obs), -1), obs, actions)
            squares = (decoded - targets) ** 2
            parts = torch.stack([squares[:, :-1].sum(dim=1), squares[:, -1]], dim=1)
        return parts.double().numpy()


def block_scores(scores: NDArray[np.float64], blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums ``[blocks, n]`` of scores ``[steps, n]`` over the steps of each block."""
    numbers, place = np.unique(blocks, return_inverse=True)
    sums = np.zeros((len(numbers), scores.shape[1]))
    np.add.at(sums, place, scores)
    return sums
