"""K-means on the codes, with a given number of groups or one proposed by an index of cluster quality.

The Davies-Bouldin index over 2..N-1, which SePS uses, rewards singletons and mostly answers N-1. Over 2..N/2, as here,
neither it nor silhouette can answer "one", and both may answer too few, which no later merging repairs.

scikit-learn and scipy.stats take seconds to import: functions of this package import them when they run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaps_agents.identity.exchange_test import ordered_labels

__all__ = ["INDICES", "candidate_numbers", "cluster_codes", "selection_curve", "tree_curve"]

INDICES = ("davies_bouldin", "silhouette")


def cluster_codes(codes: NDArray[np.float32], num_groups: int, seed: int) -> NDArray[np.int64]:
    """Return labels ``[N]`` of K-means (k-means++, 10 restarts) on codes ``[N, Z]``."""
    if num_groups == 1:
        return np.zeros(len(codes), np.int64)
    if num_groups == len(codes):
        return np.arange(len(codes))
    from sklearn.cluster import KMeans

    fitted = KMeans(num_groups, n_init=10, random_state=seed % 2**32).fit_predict(codes)
    return ordered_labels(fitted.astype(np.int64))


def candidate_numbers(num_agents: int, *, every: bool = False) -> range:
    """Return the numbers of groups that are tried: 2..N/2, and 2 for the smallest teams; or 2..N-1."""
    return range(2, min(num_agents - 1, num_agents if every else max(2, num_agents // 2)) + 1)


def selection_curve(codes: NDArray[np.float32], method: str, seed: int, *, every: bool = False) -> dict[int, float]:
    """Return a score of codes ``[N, Z] float32`` for every candidate number of groups; higher is better.

    Davies-Bouldin is negated.
    """
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    curve = {}
    for number in candidate_numbers(len(codes), every=every):
        labels = cluster_codes(codes, number, seed)
        if len(np.unique(labels)) < number:
            continue
        if method == "silhouette":
            curve[number] = float(silhouette_score(codes, labels))
        else:
            curve[number] = -float(davies_bouldin_score(codes, labels))
    return curve


def tree_curve(codes: NDArray[np.float32]) -> dict[int, float]:
    """Return the silhouette of Ward's tree over codes ``[N, Z] float32``, cut into every candidate number of groups."""
    numbers = candidate_numbers(len(codes))
    if not numbers:
        return {}
    from scipy.cluster.hierarchy import fcluster, linkage
    from sklearn.metrics import silhouette_score

    tree = linkage(codes.astype(np.float64), "ward")
    cuts = {number: fcluster(tree, number, "maxclust") for number in numbers}
    return {
        number: float(silhouette_score(codes, labels))
        for number, labels in cuts.items()
        if len(np.unique(labels)) == number
    }
