"""What we hold our own environments to, for authors of plug-ins to use as well.

>>> from adaps_envs.testing import check_env
>>> check_env("BPS-1").passed
True
"""

from __future__ import annotations

from adaps_envs.testing.adapter_checks import FACE_CHECKS
from adaps_envs.testing.conformance import BATCHED_CHECKS, GROUPS, check_env, check_target, list_checks
from adaps_envs.testing.differential import DifferentialReport, compare_with_reference
from adaps_envs.testing.digest import pinned_digest, trace_digest
from adaps_envs.testing.golden import ReplayReport, load_golden, make_env, replay
from adaps_envs.testing.library_checks import LIBRARY_CHECKS, PETTINGZOO_CHECKS
from adaps_envs.testing.parallel_checks import PARALLEL_CHECKS
from adaps_envs.testing.report import FULL, QUICK, CheckReport, CheckResult, Effort, NotApplicableError, Report
from adaps_envs.testing.rollout import ConformanceError, Trace, assert_same_trace, random_rollout
from adaps_envs.testing.suite_checks import OWN_CHECKS
from adaps_envs.testing.throughput import measure_rate

__all__ = [
    "BATCHED_CHECKS",
    "FACE_CHECKS",
    "FULL",
    "GROUPS",
    "LIBRARY_CHECKS",
    "OWN_CHECKS",
    "PARALLEL_CHECKS",
    "PETTINGZOO_CHECKS",
    "QUICK",
    "CheckReport",
    "CheckResult",
    "ConformanceError",
    "DifferentialReport",
    "Effort",
    "NotApplicableError",
    "ReplayReport",
    "Report",
    "Trace",
    "assert_same_trace",
    "check_env",
    "check_target",
    "compare_with_reference",
    "list_checks",
    "load_golden",
    "make_env",
    "measure_rate",
    "pinned_digest",
    "random_rollout",
    "replay",
    "trace_digest",
]
