"""What a sharing scheme shares and what becomes of it: maps, pictures, diversity, overlap, conflict, costs."""

from __future__ import annotations

from adaps_agents.diagnostics.clusters import ClusterQuality, cluster_quality
from adaps_agents.diagnostics.costs import Memory, memory_of
from adaps_agents.diagnostics.diagnose import Diagnosis, diagnose
from adaps_agents.diagnostics.diversity import (
    DISTANCES,
    action_disagreement,
    policy_distances,
    system_neural_diversity,
    within_and_between,
)
from adaps_agents.diagnostics.gradient_conflict import GradientConflict, gradient_conflict, group_gradients
from adaps_agents.diagnostics.mapd import MapdConfig, mapd
from adaps_agents.diagnostics.masks import MaskStatistics, mask_hamming, mask_jaccard, mask_statistics
from adaps_agents.diagnostics.sharing_figure import draw_sharing
from adaps_agents.diagnostics.sharing_map import SharingMap, sharing_map
from adaps_agents.diagnostics.table import sharing_table

__all__ = [
    "DISTANCES",
    "ClusterQuality",
    "Diagnosis",
    "GradientConflict",
    "MapdConfig",
    "MaskStatistics",
    "Memory",
    "SharingMap",
    "action_disagreement",
    "cluster_quality",
    "diagnose",
    "draw_sharing",
    "gradient_conflict",
    "group_gradients",
    "mapd",
    "mask_hamming",
    "mask_jaccard",
    "mask_statistics",
    "memory_of",
    "policy_distances",
    "sharing_map",
    "sharing_table",
    "system_neural_diversity",
    "within_and_between",
]
