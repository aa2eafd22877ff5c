"""Multi-robot warehouse as a PettingZoo module: ``rware_v0.parallel_env(num_agents=6, sensor_range=2)``."""

from __future__ import annotations

from adaps_envs.registration import module_constructors

__all__ = ["env", "parallel_env", "raw_env"]

env, parallel_env, raw_env = module_constructors("rware", 0)
