"""How differently agents act: distances of action distributions, System Neural Diversity, disagreement.

Distances lie in [0, 1], whatever the number of actions. Letters: S observations of a pool, N agents, A actions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_envs.errors import InvalidParameterError

__all__ = [
    "DISTANCES",
    "action_disagreement",
    "policy_distances",
    "system_neural_diversity",
    "within_and_between",
]

Distances = NDArray[np.float64]

# Pairs of distributions that are held in memory at once.
_PAIRS_AT_ONCE = 1 << 20


def _jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    # x log x is 0 at 0, which xlogy knows and a plain logarithm does not.
    middle = (p + q) / 2
    mixed = torch.special.xlogy(middle, middle)
    gain = (torch.special.xlogy(p, p) + torch.special.xlogy(q, q)) / 2 - mixed
    return (gain.sum(dim=-1) / np.log(2)).clamp(min=0).sqrt()


def _hellinger(p: Tensor, q: Tensor) -> Tensor:
    return (p.sqrt() - q.sqrt()).square().sum(dim=-1).div(2).sqrt()


def _total_variation(p: Tensor, q: Tensor) -> Tensor:
    return (p - q).abs().sum(dim=-1) / 2


DISTANCES = {"jensen_shannon": _jensen_shannon, "hellinger": _hellinger, "total_variation": _total_variation}
"""Distances of two categorical distributions ``[..., A]``, each from 0 (equal) to 1 (no action in common).

``jensen_shannon`` is the square root of the Jensen-Shannon divergence with the logarithm to base 2.
"""


def policy_distances(logits: Tensor, distance: str = "jensen_shannon") -> Distances:
    """Return the mean distance over a pool between the policies of every two agents, ``[N, N] float64``.

    Args:
        logits: ``[S, N, A]``, every agent's logits on the same S observations.
        distance: one of :data:`DISTANCES`.

    Raises:
        InvalidParameterError: unknown distance, or logits of another shape.
    """
    if distance not in DISTANCES:
        raise InvalidParameterError(f"distance is {distance!r}; choose one of {', '.join(DISTANCES)}.")
    if logits.dim() != 3 or 0 in logits.shape:
        raise InvalidParameterError(f"logits have shape {list(logits.shape)}; give [S, N, A], none of them 0.")
    probabilities = logits.detach().cpu().double().softmax(dim=-1)
    pool, agents = probabilities.shape[:2]
    first, second = torch.triu_indices(agents, agents, offset=1)
    means = [
        DISTANCES[distance](probabilities[:, one], probabilities[:, other]).mean(dim=0)
        for one, other in zip(*(index.split(max(1, _PAIRS_AT_ONCE // pool)) for index in (first, second)), strict=True)
    ]
    out = np.zeros((agents, agents))
    if means:
        rows, columns = first.numpy(), second.numpy()
        out[rows, columns] = out[columns, rows] = torch.cat(means).numpy()
    return out


def system_neural_diversity(distances: Distances) -> float:
    """Return the mean over all pairs of agents of their policies' distance (Bettini et al., arXiv 2305.02128).

    The original is defined for Gaussian actions with the Wasserstein distance. For discrete actions it is the mean over
    pairs and over a pool of observations of one of :data:`DISTANCES`, by default the Jensen-Shannon distance to base 2:
    0 for agents that act alike, 1 for agents that never share an action. A lone agent has none: 0.

    Args:
        distances: ``[N, N]`` of :func:`policy_distances`.
    """
    return _mean_over(distances, np.triu(np.ones_like(distances, dtype=bool), k=1)) or 0.0


def within_and_between(
    distances: Distances, groups: NDArray[np.int64] | list[int]
) -> tuple[float | None, float | None]:
    """Return the mean distance over pairs of agents of one group, and over pairs of different groups.

    Either is None where there are no such pairs.

    Args:
        distances: ``[N, N]`` of :func:`policy_distances`.
        groups: ``[N]``, the hidden types for example.

    Raises:
        InvalidParameterError: not one group an agent.
    """
    labels = np.asarray(groups)
    if labels.shape != distances.shape[:1]:
        raise InvalidParameterError(f"{labels.size} groups for {len(distances)} agents; give one to each.")
    pairs = np.triu(np.ones_like(distances, dtype=bool), k=1)
    same = labels[:, None] == labels[None, :]
    return _mean_over(distances, pairs & same), _mean_over(distances, pairs & ~same)


def action_disagreement(logits: Tensor) -> float:
    """Return the share of pool observations on which two agents' most probable actions differ, mean over pairs.

    Args:
        logits: ``[S, N, A]``, every agent's logits on the same S observations.
    """
    chosen = logits.detach().cpu().argmax(dim=-1)
    agents = chosen.shape[1]
    if agents < 2:
        return 0.0
    counts = torch.nn.functional.one_hot(chosen, logits.shape[-1]).sum(dim=1).double()
    agreeing = (counts * (counts - 1)).sum(dim=1) / (agents * (agents - 1))
    return float(1 - agreeing.mean())


def _mean_over(distances: Distances, chosen: NDArray[np.bool_]) -> float | None:
    return float(distances[chosen].mean()) if chosen.any() else None
