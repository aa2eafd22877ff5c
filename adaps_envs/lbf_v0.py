"""Level-based foraging as a PettingZoo module: ``lbf_v0.parallel_env(field_size=(8, 8), players=2, max_cycles=50)``."""

from __future__ import annotations

from adaps_envs.registration import module_constructors

__all__ = ["env", "parallel_env", "raw_env"]

env, parallel_env, raw_env = module_constructors("lbf", 0)
