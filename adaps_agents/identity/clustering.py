"""From codes to groups: K-means, the number of groups by silhouette, and a test that the groups are real.

The Davies-Bouldin index over 2..N-1, which SePS uses, rewards singletons and mostly answers N-1; silhouette does not,
but it cannot answer "one". So every pair of proposed groups must pass a swap test on held-out transitions: two groups
whose codes can be exchanged without the decoder predicting any worse are one group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import davies_bouldin_score, silhouette_score

from adaps_agents.identity.collect import Transitions
from adaps_agents.identity.encoder import IdentityEncoder, Standardiser

__all__ = ["candidate_numbers", "cluster_codes", "merge_exchangeable", "ordered_labels", "selection_curve"]

# A pair of groups is kept apart if exchanging their codes costs prediction error with this many standard errors ...
SWAP_Z = 5.0
# ... and at least this share of the error itself, so that a huge sample cannot make a trifle significant.
SWAP_SHARE = 0.01
SWAP_ROWS = 2_000


@dataclass(frozen=True)
class _HeldOut:
    """Held-out rows of each agent, standardised: ``obs [M, F]``, ``actions [M]``, ``targets [M, F + 1]``."""

    agents: NDArray[np.int64]
    obs: torch.Tensor
    actions: torch.Tensor
    targets: torch.Tensor


def ordered_labels(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rename groups by their smallest agent, so that K-means' arbitrary numbering never matters."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def cluster_codes(codes: NDArray[np.float32], num_groups: int, seed: int) -> NDArray[np.int64]:
    """Return labels ``[N]`` of K-means (k-means++, 10 restarts) on codes ``[N, Z]``."""
    if num_groups == 1:
        return np.zeros(len(codes), np.int64)
    if num_groups == len(codes):
        return np.arange(len(codes))
    fitted = KMeans(num_groups, n_init=10, random_state=seed % 2**32).fit_predict(codes)
    return ordered_labels(fitted.astype(np.int64))


def candidate_numbers(num_agents: int) -> range:
    """Return the numbers of groups that are tried: 2..N/2, and 2 for the smallest teams."""
    return range(2, min(num_agents - 1, max(2, num_agents // 2)) + 1)


def selection_curve(codes: NDArray[np.float32], method: str, seed: int) -> dict[int, float]:
    """Return a score for every candidate number of groups; higher is better (Davies-Bouldin is negated)."""
    curve = {}
    for number in candidate_numbers(len(codes)):
        labels = cluster_codes(codes, number, seed)
        if len(np.unique(labels)) < number:
            continue
        if method == "silhouette":
            curve[number] = float(silhouette_score(codes, labels))
        else:
            curve[number] = -float(davies_bouldin_score(codes, labels))
    return curve


def merge_exchangeable(
    labels: NDArray[np.int64], model: IdentityEncoder, held_out: Transitions, standardiser: Standardiser
) -> NDArray[np.int64]:
    """Merge pairs of groups, most exchangeable first, until every pair fails the exchange.

    Args:
        labels: ``[N]`` proposed groups.
        model: trained encoder and decoder.
        held_out: transitions that the model was not trained on.
        standardiser: the scaling that it was trained with.
    """
    rows = _HeldOut(held_out.agents, *standardiser(held_out))
    with torch.no_grad():
        codes = model.codes()[0]
        centres = [codes[labels == group].mean(dim=0) for group in range(int(labels.max()) + 1)]
        while len(centres) > 1:
            errors = _group_errors(labels, model, torch.stack(centres), rows)
            pair = _most_exchangeable(errors)
            if pair is None:
                break
            labels = np.where(labels == pair[1], pair[0], labels)
            labels = np.where(labels > pair[1], labels - 1, labels)
            centres[pair[0]] = centres[_better_code(errors, *pair)]
            del centres[pair[1]]
    return ordered_labels(labels)


def _group_errors(
    labels: NDArray[np.int64], model: IdentityEncoder, centres: torch.Tensor, rows: _HeldOut
) -> list[NDArray[np.float32]]:
    """Return, for each group, the squared errors ``[K, M]`` of its held-out rows decoded with each centre."""
    group_of_row = labels[rows.agents]
    chosen = [np.flatnonzero(group_of_row == group)[:SWAP_ROWS] for group in range(len(centres))]
    return [_errors(model, centres, rows, of_group) for of_group in chosen]


def _most_exchangeable(errors: list[NDArray[np.float32]]) -> tuple[int, int] | None:
    """Return the pair of groups whose exchange costs least, or None if every exchange costs too much."""
    best, best_z = None, np.inf
    for a in range(len(errors)):
        for b in range(a + 1, len(errors)):
            z = min(_swap_z(errors[a], a, b), _swap_z(errors[b], b, a))
            if z < min(best_z, SWAP_Z):
                best, best_z = (a, b), z
    return best


def _better_code(errors: list[NDArray[np.float32]], a: int, b: int) -> int:
    """Return which of two merged groups' codes predicts both groups better.

    Their mean would not do: between two codes that work may lie one that does not, and a group with a code that
    predicts nothing is exchangeable with any other.
    """
    return min((a, b), key=lambda code: float(errors[a][code].mean() + errors[b][code].mean()))


def _errors(
    model: IdentityEncoder, centres: torch.Tensor, rows: _HeldOut, chosen: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return squared errors ``[K, M]`` of the chosen rows decoded with each centre."""
    obs, actions, targets = rows.obs[chosen], rows.actions[chosen], rows.targets[chosen]
    out = [((model.decode(c.expand(len(obs), -1), obs, actions) - targets) ** 2).sum(dim=1) for c in centres]
    return torch.stack(out).numpy()


def _swap_z(errors: NDArray[np.float32], own: int, other: int) -> float:
    """Return the standard score of the extra error under the other group's code, 0 if it is a trifle."""
    extra = errors[other].astype(np.float64) - errors[own]
    if extra.size < 2 or extra.mean() <= SWAP_SHARE * errors[own].mean():
        return 0.0
    return float(extra.mean() / (extra.std(ddof=1) / np.sqrt(extra.size) + 1e-12))
