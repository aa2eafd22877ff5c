"""Beacons: what the registry needs to know. This module imports nothing heavy, so that `adaps envs` stays fast."""

from adaps_envs.registry import EnvFamily, Preset

__all__ = ["FAMILY"]

FAMILY = EnvFamily(
    name="beacons",
    title="beacons on a ring",
    env="beacons.env:Beacons",
    params="beacons.env:BeaconsParams",
    policies="beacons.env:POLICIES",
    presets={
        "Beacons-2t-v0": Preset("6 agents, 2 types of 3", {"groups": (3, 3)}),
        "Beacons-3t-v0": Preset("6 agents, 3 types of 2", {"groups": (2, 2, 2)}),
    },
)
