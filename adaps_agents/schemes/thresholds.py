"""Learnt soft thresholds: a value is drawn towards zero by ``sigmoid(s)``, and is off below it.

Only what is above its threshold passes gradients, to the value and to the threshold logit ``s`` alike. The latter's
hold a factor ``sigmoid'(s)``, 7e-3 to 5e-5 where logits start at -5 to -10, so beside an optimiser's epsilon of 1e-5,
as stable-baselines3 sets it, thresholds would stand still. They are stepped with the epsilon of the authors' optimiser
instead, Adam with PyTorch's defaults: a step moves a threshold as far as a weight, as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaps_agents.schemes.options import check_number

__all__ = ["EPSILON", "check_thresholds", "initial_thresholds", "soft_threshold"]

EPSILON = 1e-8


def initial_thresholds(shape: Sequence[int], offset: float, scale: float, generator: torch.Generator) -> Tensor:
    """Return threshold logits ``-(offset + scale u)`` of this shape, float32, u uniform in (0, 1)."""
    return -(offset + scale * torch.rand(tuple(shape), generator=generator))


def soft_threshold(values: Tensor, logits: Tensor) -> Tensor:
    """Return ``sign(v) relu(|v| - sigmoid(s))`` for values ``v`` and threshold logits ``s`` whose shapes broadcast."""
    return values.sign() * torch.relu(values.abs() - logits.sigmoid())


def check_thresholds(offset: float, scale: float, epsilon: float | None) -> None:
    """Raise InvalidParameterError unless these are options of thresholds; None leaves the learner's epsilon."""
    check_number("offset", offset)
    check_number("scale", scale, low=0.0)
    if epsilon is not None:
        check_number("threshold_epsilon", epsilon, above=0.0)
