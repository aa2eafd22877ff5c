"""Where a result comes from and what it cost: versions, commit, machine, clock. None of it enters the hash of a run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import adaps_envs
from baselines.leaderboard.records.metadata_files import Costs, Git, Provenance
from baselines.leaderboard.spec.config import RunConfig
from baselines.text import storable

__all__ = ["CostMeter", "provenance_of", "same_kind_of_machine", "same_software"]

_PACKAGES = (
    "adaps",
    "gymnasium",
    "numba",
    "numpy",
    "pettingzoo",
    "scikit-learn",
    "scipy",
    "stable-baselines3",
    "torch",
)
# Each of them makes a library choose other instructions than the processor has, which round otherwise.
_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_DISABLE_JIT",
    "NUMBA_OPT",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)

# Variables that choose among instruction sets, and with them how sums are rounded.
_ARITHMETIC = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")


def provenance_of(config: RunConfig, *, digest: bool = True) -> Provenance:
    """Return package versions, commit, machine and, if asked for, the trace digest of the task's environment."""
    return Provenance(
        environment=config.task.env,
        trace_digest=_trace_digest(config) if digest else None,
        packages=_versions(),
        git=_git(),
        python=platform.python_version(),
        system=storable(platform.platform(), 1_000),
        machine=storable(platform.machine(), 1_000),
        processor=storable(_processor(), 1_000),
        cores=os.cpu_count(),
        variables={name: storable(os.environ[name], 200) for name in _VARIABLES if os.environ.get(name)},
    )


def same_kind_of_machine(config: RunConfig, there: Provenance) -> bool:
    """Whether a record names this processor, its arithmetic and this torch, which decide how sums are rounded."""
    here = provenance_of(config, digest=False)
    machines = [(each.processor, each.machine, each.packages.get("torch")) for each in (here, there)]
    return machines[0] == machines[1]


def same_software(config: RunConfig, there: Provenance) -> bool:
    """Whether a record names the packages, the Python and the commit, changed or not, that are installed here.

    Python counts without its last number: 3.12 adds floats otherwise than 3.11. Of an installed package, its version
    alone tells the code.
    """
    here = provenance_of(config, digest=False)
    known = []
    for each in (here, there):
        versions = [each.packages.get(name) for name in _PACKAGES]
        known.append((versions, each.python.rpartition(".")[0], each.git))
    return known[0] == known[1]


@dataclass
class CostMeter:
    """Measures one job from its construction on: wall and CPU time of this process, and its peak memory.

    ``before`` is what an interrupted job had spent up to the stopping point from which this one goes on.
    """

    before: Costs | None = None
    started_at: str = field(default_factory=lambda: _now())
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=time.process_time)

    def __post_init__(self) -> None:
        _reset_peak_memory()

    def costs(self, evaluation_seconds: float | None = None) -> Costs:
        """Return what was spent until now; ``evaluation_seconds`` is the part of the wall time that evaluation took."""
        before = self.before or Costs()
        memory = _peak_memory()
        return Costs(
            started_at=before.started_at or self.started_at,
            finished_at=_now(),
            wall_seconds=round(time.perf_counter() - self._wall + (before.wall_seconds or 0.0), 3),
            cpu_seconds=round(time.process_time() - self._cpu + (before.cpu_seconds or 0.0), 3),
            evaluation_seconds=None if evaluation_seconds is None else round(evaluation_seconds, 3),
            peak_memory_bytes=None if memory is None else max(memory, before.peak_memory_bytes or 0),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _trace_digest(config: RunConfig) -> str | None:
    from adaps_envs.testing.digest import trace_digest

    params: dict[str, Any] = config.task.params
    with suppress(adaps_envs.AdapsError):  # a run may have failed just because its environment cannot be made
        return str(trace_digest(config.task.env, **params))
    return None


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


@lru_cache(maxsize=1)
def _git() -> Git | None:
    """The commit of a source checkout; None for an installed package, even one inside somebody else's repository."""
    root = Path(adaps_envs.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    commit = _git_output(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    return Git(commit=commit, modified=bool(_git_output(root, "status", "--porcelain", "--untracked-files=no")))


def _git_output(root: Path, *arguments: str) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout.strip()
    return None


def _processor() -> str:
    """Return the processor's name, and how a user has asked for other arithmetic on it than its best."""
    asked = [f"{name}={os.environ[name]}" for name in _ARITHMETIC if name in os.environ]
    return _processor_name() + (f" ({', '.join(asked)})" if asked else "")


def _processor_name() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _reset_peak_memory() -> None:
    # A worker runs several jobs; without this every job would report the largest one before it.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
