"""Blind-particle spread: what the registry needs to know without importing anything heavy."""

from __future__ import annotations

from adaps_envs.registry import EnvFamily, Preset

__all__ = ["FAMILY"]

FAMILY = EnvFamily(
    name="bps",
    title="blind-particle spread",
    env="adaps_envs.families.bps.env:BPS",
    params="adaps_envs.families.bps.params:BPSParams",
    policies="adaps_envs.families.bps.policy:POLICIES",
    golden={"bps": "adaps_envs.families.bps.params:params_from_golden"},
    presets={
        "BPS-1-v0": Preset("15 agents, 3 types of 5", {"groups": (5, 5, 5)}),
        "BPS-2-v0": Preset("30 agents, 3 types of 10", {"groups": (10, 10, 10)}),
        "BPS-3-v0": Preset("30 agents, 5 types of 6", {"groups": (6,) * 5}),
        "BPS-4-v0": Preset("30 agents, 5 types of 3, 3, 3, 12 and 9", {"groups": (3, 3, 3, 12, 9)}),
        "BPS-5-v0": Preset("BPS-1 with observations shuffled by type", {"groups": (5, 5, 5), "shuffle_obs": True}),
        "BPS-6-v0": Preset("BPS-3 with observations shuffled by type", {"groups": (6,) * 5, "shuffle_obs": True}),
    },
)
