"""Blind-particle spread as a PettingZoo module: ``bps_v0.parallel_env(groups=[5, 5, 5], max_cycles=50)``."""

from __future__ import annotations

from adaps_envs.registration import module_constructors

__all__ = ["env", "parallel_env", "raw_env"]

env, parallel_env, raw_env = module_constructors("bps", 0)
