"""Whether groups of agents pull the parameters that they share in opposite directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.diagnostics.parameter_usage import evaluating
from adaps_agents.schemes.base import SharingScheme

__all__ = ["GradientConflict", "gradient_conflict", "group_gradients"]


@dataclass(frozen=True)
class GradientConflict:
    """Agreement of the gradients of every two groups on the parameters that both move.

    Attributes:
        cosine: mean over pairs of the cosine, from -1 (opposite) to 1 (the same direction).
        opposed: share of the pairs whose cosine is negative.
        pairs: number of pairs that have parameters in common; with none, nothing is shared and the others are None.
    """

    cosine: float | None
    opposed: float | None
    pairs: int


def gradient_conflict(gradients: Tensor) -> GradientConflict:
    """Compare gradients ``[G, P]`` of G groups, pair by pair, on the entries where neither is zero."""
    rows = gradients.detach().cpu().double()
    moved = (rows != 0).double()
    products = rows @ rows.T
    # Squared length of row i on the entries that row j moves too.
    lengths = rows.square() @ moved.T
    first, second = torch.triu_indices(len(rows), len(rows), offset=1)
    common = (lengths[first, second] > 0) & (lengths[second, first] > 0)
    first, second = first[common], second[common]
    if len(first) == 0:
        return GradientConflict(None, None, 0)
    cosines = products[first, second] / (lengths[first, second] * lengths[second, first]).sqrt()
    return GradientConflict(float(cosines.mean()), float((cosines < 0).double().mean()), len(first))


def group_gradients(
    scheme: SharingScheme,
    obs: Tensor,
    actions: Tensor,
    advantages: Tensor,
    groups: NDArray[np.int64],
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return each group's gradient of its own policy loss, ``[G, P]``, P the actor's trainable parameters.

    The loss of a group is ``-mean(advantage * log pi(action))`` over its agents and the M rows. Nothing is accumulated
    in the parameters.

    Args:
        scheme: a built scheme.
        obs: ``[M, N, F]``, or whatever ``forward`` reads.
        actions: ``[M, N] int64``, or with more leading axes, as ``forward`` returns them.
        advantages: of the same shape.
        groups: ``[N]`` group of each agent, 0..G-1; agents of group -1 are left out.
        forward: from observations to logits; None takes the scheme's actor, recurrent ones pass sequences.
    """
    parameters = [parameter for parameter in scheme.parameters() if parameter.requires_grad]
    with torch.enable_grad(), evaluating(scheme):
        log_probs = (forward or scheme.actor)(obs).log_softmax(dim=-1).gather(-1, actions[..., None]).squeeze(-1)
        losses = -(advantages * log_probs)
        rows = []
        for group in range(int(groups.max()) + 1):
            members = torch.as_tensor(groups == group, device=losses.device)
            found = torch.autograd.grad(losses[..., members].mean(), parameters, retain_graph=True, allow_unused=True)
            rows.append(found)
    reached = [index for index in range(len(parameters)) if any(row[index] is not None for row in rows)]
    return torch.stack([torch.cat([_flat(row[i], parameters[i]) for i in reached]) for row in rows]).detach()


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()
