"""What is installed: the libraries of an extra, and whether a package's name leads to this distribution."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from adaps_envs.errors import MissingExtraError, ShadowedPackageError

__all__ = ["DISTRIBUTION", "SITE", "require", "require_own", "version"]

DISTRIBUTION = "adaps"
SITE = Path(__file__).resolve().parents[1]
"""The folder that holds ``adaps_envs``, ``adaps_agents`` and ``baselines``."""


def version() -> str:
    """Return the version of this distribution; "unknown" where it runs without having been installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def require(user: str, extra: str, *modules: str) -> None:
    """Look for top-level ``modules`` without importing them.

    Args:
        user: what needs them, in words.
        extra: the extra that installs them.
        *modules: names as in ``import``.

    Raises:
        MissingExtraError: one is missing.
    """
    missing = [name for name in modules if name not in sys.modules and find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"{user} needs {', '.join(missing)}; install it with: pip install 'adaps[{extra}]'.")


def require_own(package: str) -> None:
    """Look where ``import package`` leads, without importing it.

    Raises:
        ShadowedPackageError: not to this distribution, but to another module of that name.
    """
    ours = SITE / package
    found = _location(package)
    if found != ours:
        raise ShadowedPackageError(
            f"Python finds {package!r} at {found or 'no place'}, but the suite's is {ours}; rename the former, or "
            "start Python where it is not on the path."
        )


def _location(package: str) -> Path | None:
    """Return the folder of a package, or the file of a module."""
    module = sys.modules.get(package)
    spec = find_spec(package) if module is None else module.__spec__
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    where = next(iter(folders), None) if folders is not None else spec.origin
    return None if where is None else Path(where).resolve()
