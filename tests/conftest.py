"""Settings of all tests: one thread, a compile cache that follows the sources, reproducible hypothesis runs."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _source_hash() -> str:
    # The on-disk cache of compiled functions does not see edits in functions imported from other files.
    sources = sorted((ROOT / "adaps_envs").rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]


os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"adaps-numba-{_source_hash()}"))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell without job control starts what it puts in the background deaf to Ctrl-C, and processes pass that on; tests
# that interrupt processes need them to hear.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import HealthCheck, settings  # noqa: E402  (the environment must be set first)

settings.register_profile(
    "suite", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def golden_directory() -> Path:
    """The recorded trajectories: ``ADAPS_GOLDEN``, or the folder beside the source tree; skip where there is none."""
    folder = Path(os.environ.get("ADAPS_GOLDEN", ROOT.parent / "shared" / "reference" / "public"))
    if not folder.is_dir():
        pytest.skip(f"no recorded trajectories in {folder}; set ADAPS_GOLDEN")
    return folder


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """Variables for a subprocess that imports this source tree, whatever is installed."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}
