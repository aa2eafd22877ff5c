"""One call that measures what a sharing scheme has become: ``diagnose(model, obs)``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.diagnostics.clusters import ClusterQuality, cluster_quality
from adaps_agents.diagnostics.costs import Memory, memory_of
from adaps_agents.diagnostics.diversity import (
    action_disagreement,
    policy_distances,
    system_neural_diversity,
    within_and_between,
)
from adaps_agents.diagnostics.masks import MaskStatistics, mask_statistics
from adaps_agents.diagnostics.parameter_usage import evaluating
from adaps_agents.schemes.base import PARTS, SharingScheme, network
from adaps_agents.schemes.policy_mapping import scheme_of
from adaps_envs.errors import InvalidParameterError

__all__ = ["Diagnosis", "diagnose", "spread_rows"]

# Successive multiples of the golden ratio, modulo 1, fall evenly and into step with no number of agents or lanes.
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Diagnosis:
    """How differently the agents act, and what they share. None stands for what does not apply.

    Attributes:
        snd: System Neural Diversity, the mean over pairs of agents and over the pool of the Jensen-Shannon distance
            (base 2) of their action distributions, in [0, 1].
        action_disagreement: share of the pool on which two agents' most probable actions differ, mean over pairs.
        within_group, between_group: mean distance over pairs of one group of the scheme, and of different groups.
        within_type, between_type: the same for the hidden types, if they were given.
        clusters: quality of the scheme's partition.
        masks: overlap of the masks of ``actor`` and ``critic``, where the scheme has masks.
        memory: bytes held.
        parameters: the scheme's ``param_report()``.
        pool: number of observations that the distances are means over.
        agents: number of agents compared.
    """

    snd: float
    action_disagreement: float
    within_group: float | None
    between_group: float | None
    within_type: float | None
    between_type: float | None
    clusters: ClusterQuality | None
    masks: dict[str, MaskStatistics]
    memory: Memory
    parameters: dict[str, int]
    pool: int
    agents: int

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**asdict(self), "masks": {part: asdict(found) for part, found in self.masks.items()}}

    def scalars(self) -> dict[str, float]:
        """Return what there is of single numbers, by the names under which learners log them."""
        found: dict[str, float | None] = {
            "snd": self.snd,
            "action_disagreement": self.action_disagreement,
            "within_group": self.within_group,
            "between_group": self.between_group,
            "within_type": self.within_type,
            "between_type": self.between_type,
            "trainable_parameters": self.parameters["trainable"],
            "fixed_parameters": self.parameters["fixed_parameters"],
            "flops_per_decision": self.parameters["flops_per_decision"],
            "memory_bytes": self.memory.total,
        }
        if self.clusters is not None:
            found |= {"groups": self.clusters.groups, "policy_silhouette": self.clusters.policy_silhouette}
            found |= {"code_silhouette": self.clusters.code_silhouette, "ari": self.clusters.ari}
        for part, masks in self.masks.items():
            found |= {f"{part}_mask_hamming": masks.hamming, f"{part}_mask_jaccard": masks.jaccard}
            found |= {f"{part}_unused_units": masks.unused, f"{part}_private_units": masks.private}
        return {name: value for name, value in found.items() if value is not None}


def diagnose(
    model: Any,
    obs: NDArray[np.float32] | Tensor,
    *,
    types: NDArray[np.int64] | list[int] | None = None,
    agents: NDArray[np.int64] | list[int] | None = None,
) -> Diagnosis:
    """Measure how differently the agents of a model act on common observations, and what they share.

    The model is left as it is: no gradient, no random draw, no change of mode. A recurrent policy meets every
    observation of the pool as the first of an episode.

    Args:
        model: sharing learner, policy or scheme.
        obs: the pool, ``[S, F]`` or ``[..., N, F]``; every agent's policy is evaluated on every observation.
        types: ``[N]`` hidden types, for the comparison with them alone.
        agents: indices of the agents to compare; None compares all N (N (N - 1) / 2 pairs).

    Raises:
        InvalidParameterError: observations of another length, or no observation at all.
    """
    scheme = scheme_of(model)
    pool = _pool(obs, scheme)
    chosen = np.arange(scheme.spaces.num_agents) if agents is None else np.asarray(agents)
    # Actions that agents lack are part of the policy, not of the scheme.
    policy = getattr(model, "policy", model)
    logits = _logits(scheme, pool)
    logits = (logits if policy is scheme else policy.masked(logits))[:, chosen]
    distances = policy_distances(logits)
    groups = scheme.assignment()
    within_group, between_group = (None, None) if groups is None else within_and_between(distances, groups[chosen])
    own_types = None if types is None else np.asarray(types)[chosen]
    within_type, between_type = (None, None) if own_types is None else within_and_between(distances, own_types)
    identity = getattr(scheme, "identity", None)
    clusters = groups is not None and cluster_quality(
        groups[chosen], distances=distances, codes=None if identity is None else identity.codes[chosen], types=own_types
    )
    masks = {part: network(scheme, part).masks for part in PARTS}
    return Diagnosis(
        snd=system_neural_diversity(distances),
        action_disagreement=action_disagreement(logits),
        within_group=within_group,
        between_group=between_group,
        within_type=within_type,
        between_type=between_type,
        clusters=clusters or None,
        masks={part: mask_statistics(found) for part, found in masks.items() if found is not None},
        memory=memory_of(scheme, getattr(getattr(model, "policy", model), "optimizer", None)),
        parameters=scheme.param_report(),
        pool=len(pool),
        agents=len(chosen),
    )


def spread_rows(total: int, number: int) -> NDArray[np.int64]:
    """Return at most ``number`` different indices below ``total``, ``[S] int64``, spread evenly, always the same."""
    if total <= number:
        return np.arange(total)
    return np.unique((np.arange(number) * _GOLDEN % 1.0 * total).astype(np.int64))


def _pool(obs: NDArray[np.float32] | Tensor, scheme: SharingScheme) -> Tensor:
    pool = torch.as_tensor(obs, dtype=torch.float32, device=scheme.labels.device)
    if pool.dim() < 2 or pool.numel() == 0 or pool.shape[-1] != scheme.spaces.obs_dim:
        raise InvalidParameterError(
            f"observations have shape {list(pool.shape)}; give [S, F] or [..., N, F], F = {scheme.spaces.obs_dim}."
        )
    return pool.reshape(-1, pool.shape[-1])


def _logits(scheme: SharingScheme, pool: Tensor) -> Tensor:
    """Return every agent's logits on every observation, ``[S, N, A]``."""
    with torch.no_grad(), evaluating(scheme):
        return scheme.actor(pool[:, None].expand(-1, scheme.spaces.num_agents, -1))
