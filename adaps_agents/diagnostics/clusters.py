"""How good a partition of the agents is: silhouette, and agreement with the hidden types where they are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaps_envs.errors import InvalidParameterError

__all__ = ["ClusterQuality", "cluster_quality"]


@dataclass(frozen=True)
class ClusterQuality:
    """A partition of N agents into K groups.

    Attributes:
        groups: K.
        policy_silhouette: mean silhouette of the agents by the distances of their policies, in [-1, 1].
        code_silhouette: the same by the Euclidean distances of their identity codes.
        ari: adjusted Rand index against the hidden types, 1 for the same partition.

    Silhouettes are None where they are not defined (K is 1 or N) or where what they need was not given; so is ``ari``.
    """

    groups: int
    policy_silhouette: float | None
    code_silhouette: float | None
    ari: float | None


def cluster_quality(
    labels: NDArray[np.int64] | list[int],
    *,
    distances: NDArray[np.float64] | None = None,
    codes: NDArray[np.float32] | None = None,
    types: NDArray[np.int64] | list[int] | None = None,
) -> ClusterQuality:
    """Judge a partition.

    Args:
        labels: ``[N]`` group of each agent.
        distances: ``[N, N]`` distances of the agents' policies.
        codes: ``[N, Z]`` identity codes.
        types: ``[N]`` hidden types.

    Raises:
        InvalidParameterError: arrays for another number of agents.
    """
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    groups = np.asarray(labels)
    for name, array in (("distances", distances), ("codes", codes), ("types", types)):
        if array is not None and len(array) != len(groups):
            raise InvalidParameterError(
                f"{name} are for {len(array)} agents, labels for {len(groups)}; give one team's."
            )
    number = len(np.unique(groups))
    defined = 2 <= number < len(groups)
    by_policy = (
        float(silhouette_score(distances, groups, metric="precomputed")) if defined and distances is not None else None
    )
    by_code = float(silhouette_score(codes, groups)) if defined and codes is not None else None
    ari = None if types is None else float(adjusted_rand_score(np.asarray(types), groups))
    return ClusterQuality(number, by_policy, by_code, ari)
