"""Which sharing schemes exist. They are found, not listed.

The entry-point group ``adaps_agents.schemes`` holds packages to scan (``"my_package"``: every module that assigns
``SCHEME`` is a scheme named after the module) and single schemes (``"my_package.module:Class"``, named after the
entry).
Nothing is imported before it is used; one broken plug-in never hides the others and is named in the errors.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adaps_agents.sharing.base import SharingScheme
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest

__all__ = [
    "ENTRY_POINT_GROUP",
    "SchemeSpec",
    "is_builtin",
    "list_schemes",
    "make_scheme",
    "scheme_class",
    "scheme_spec",
]

ENTRY_POINT_GROUP = "adaps_agents.schemes"
_OUR_PACKAGES = ("adaps_agents", "baselines")
_DECLARES_SCHEME = re.compile(r"^SCHEME\b.*=", re.MULTILINE)


@dataclass(frozen=True)
class SchemeSpec:
    """What is known of a scheme without building it."""

    name: str
    summary: str
    source: str
    parameter_formula: str


@lru_cache(maxsize=1)
def _references() -> tuple[dict[str, str], dict[str, str]]:
    """Return ``name -> "module:attribute"`` of every scheme, and the entries that could not be read."""
    found: dict[str, str] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
        try:
            names = {entry.name: entry.value} if ":" in entry.value else _scan(entry.value)
            doubled = sorted(set(names) & set(found))
            if doubled:
                raise ValueError(f"scheme {doubled[0]!r} is already registered by {found[doubled[0]]}")
        except Exception as error:  # a plug-in may fail in any way; it must not hide the others
            broken[entry.name] = f"{type(error).__name__}: {error}"
        else:
            found.update(names)
    return dict(sorted(found.items())), broken


def _scan(package: str) -> dict[str, str]:
    """Return the scheme modules of a package, found by reading their text rather than by importing them."""
    located = find_spec(package)
    if located is None or located.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{package} is not an importable package")
    found = {}
    for folder in located.submodule_search_locations:
        for module in pkgutil.iter_modules([folder]):
            path = Path(folder) / f"{module.name}.py"
            if path.is_file() and _DECLARES_SCHEME.search(path.read_text(encoding="utf-8")):
                found[module.name] = f"{package}.{module.name}:SCHEME"
    return found


def list_schemes() -> list[str]:
    """Return the names of all schemes, plug-ins included."""
    return list(_references()[0])


def is_builtin(name: str) -> bool:
    """Whether a scheme is one of ours. Nothing is imported; an unknown name is not."""
    return _references()[0].get(name, "").partition(".")[0] in _OUR_PACKAGES


def scheme_class(name: str) -> type[SharingScheme]:
    """Import and return a scheme's class.

    Raises:
        UnknownNameError: no such scheme, or its module does not import; the message says why and what exists.
    """
    found, broken = _references()
    if name not in found:
        failures = "".join(f" Plug-in {plugin!r} failed to load ({why})." for plugin, why in broken.items())
        raise UnknownNameError(f"no sharing scheme {name!r}. {suggest(name, found)}{failures}")
    module, _, attribute = found[name].partition(":")
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise UnknownNameError(f"scheme {name!r} at {found[name]} failed to load: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, SharingScheme)):
        raise UnknownNameError(f"scheme {name!r} at {found[name]} is not a subclass of SharingScheme.")
    return loaded


def scheme_spec(name: str) -> SchemeSpec:
    """Return a scheme's one-line summary, source and parameter formula.

    Raises:
        UnknownNameError: no such scheme.
    """
    loaded = scheme_class(name)
    return SchemeSpec(name, loaded.summary, loaded.source, loaded.parameter_formula)


def make_scheme(name: str, **options: Any) -> SharingScheme:
    """Return a scheme with its options set; its networks are made by :meth:`SharingScheme.build`.

    Raises:
        UnknownNameError: no such scheme.
        InvalidParameterError: an option that the scheme does not have.
    """
    loaded = scheme_class(name)
    try:
        return loaded(**options)
    except TypeError as error:
        raise InvalidParameterError(f"scheme {name!r} does not take {sorted(options)}: {error}") from error
