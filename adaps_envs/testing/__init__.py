"""What we hold our own environments to, for authors of plug-ins to use as well.

>>> from adaps_envs.testing import check_env
>>> check_env("BPS-1").passed
True
"""

from __future__ import annotations

from adaps_envs.testing.conformance import BATCHED_CHECKS, PARALLEL_CHECKS, CheckReport, CheckResult, check_env
from adaps_envs.testing.differential import DifferentialReport, compare_with_reference
from adaps_envs.testing.digest import trace_digest
from adaps_envs.testing.golden import ReplayReport, load_golden, make_env, replay
from adaps_envs.testing.rollout import ConformanceError, Trace, assert_same_trace, random_rollout
from adaps_envs.testing.throughput import measure_rate

__all__ = [
    "BATCHED_CHECKS",
    "PARALLEL_CHECKS",
    "CheckReport",
    "CheckResult",
    "ConformanceError",
    "DifferentialReport",
    "ReplayReport",
    "Trace",
    "assert_same_trace",
    "check_env",
    "compare_with_reference",
    "load_golden",
    "make_env",
    "measure_rate",
    "random_rollout",
    "replay",
    "trace_digest",
]
