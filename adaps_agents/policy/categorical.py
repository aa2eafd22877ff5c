"""Categorical distributions over few actions, computed fast."""

from __future__ import annotations

from torch import Tensor

__all__ = ["log_probabilities"]


def log_probabilities(logits: Tensor) -> Tensor:
    """Return normalised log-probabilities ``[..., A]`` of logits ``[..., A]``: a view, actions first in memory.

    Rows of a handful of actions are too short for vector instructions: along rows, normalising costs as much as a
    hidden layer. With the action axis first, whole vectors of rows are normalised at once.
    """
    return logits.movedim(-1, 0).contiguous().log_softmax(dim=0).movedim(0, -1)
