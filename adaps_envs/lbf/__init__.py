"""Level-based foraging: what the registry needs to know without importing anything heavy."""

from __future__ import annotations

from adaps_envs.registry import EnvFamily

__all__ = ["FAMILY"]

FAMILY = EnvFamily(
    name="lbf",
    title="level-based foraging",
    env="adaps_envs.lbf.env:LBF",
    params="adaps_envs.lbf.params:LBFParams",
    policies="adaps_envs.lbf.policy:POLICIES",
    golden={
        "lbf": "adaps_envs.lbf.params:params_from_golden",
        "lbfseps": "adaps_envs.lbf.params:params_from_golden",
    },
    presets={},
)
