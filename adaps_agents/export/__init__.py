"""What leaves this package: weights as safetensors, the sharing as other libraries write it down, per-agent play."""

from __future__ import annotations

from adaps_agents.export.saved_policy import load_policy, saved_header
from adaps_agents.export.team import AgentPolicy, TeamPolicy
from adaps_agents.export.weights import WeightsHeader, load_weights, save_weights, weights_header
from adaps_agents.schemes.policy_mapping import PolicyMapping, group_map, policy_mapping_fn

__all__ = [
    "AgentPolicy",
    "PolicyMapping",
    "TeamPolicy",
    "WeightsHeader",
    "group_map",
    "load_policy",
    "load_weights",
    "policy_mapping_fn",
    "saved_header",
    "save_weights",
    "weights_header",
]
