"""Which sharing schemes exist. They are found, not listed.

Ours are the modules of ``baselines/schemes`` and AdaPS; others are entry points of the group ``adaps_agents.schemes``,
``name = "my_package.module:Class"``. Nothing is imported before it is used. Our names stay ours, and a plug-in that is
broken hides no other; errors and ``adaps schemes`` name it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from adaps_agents.schemes.base import SharingScheme
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest
from adaps_envs.installation import DISTRIBUTION, SITE, require_own

__all__ = [
    "ENTRY_POINT_GROUP",
    "SchemeSpec",
    "is_builtin",
    "list_schemes",
    "make_scheme",
    "refused_plugins",
    "scheme_class",
    "scheme_spec",
]

ENTRY_POINT_GROUP = "adaps_agents.schemes"
_ADAPS = {name: f"adaps_agents.schemes.{name}:SCHEME" for name in ("adaps", "adaps_gates")}


@dataclass(frozen=True)
class SchemeSpec:
    """What is known of a scheme without building it."""

    name: str
    summary: str
    source: str
    parameter_formula: str


@lru_cache(maxsize=1)
def _found() -> tuple[dict[str, str], tuple[str, ...]]:
    """Return ``name -> "module:attribute"`` of every scheme, and what was refused, each with the reason."""
    ours = _our_schemes()
    claims: dict[str, dict[str, str]] = {}
    refused = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if _owner(entry) == DISTRIBUTION:
            continue  # what an older version of the suite declared
        said = f"{entry.name} = {entry.value!r} of {_owner(entry)}"
        if entry.name in ours:
            refused.append(f"{said}: the suite has a scheme of this name.")
        elif not entry.attr:
            refused.append(f"{said}: an entry point must be module:Class.")
        else:
            claims.setdefault(entry.name, {})[entry.value] = said
    for values in claims.values():
        if len(values) > 1:
            refused.append(f"{' and '.join(sorted(values.values()))}: two schemes of one name; uninstall one.")
    theirs = {name: next(iter(values)) for name, values in claims.items() if len(values) == 1}
    return dict(sorted({**theirs, **ours}.items())), tuple(sorted(refused))


def _our_schemes() -> dict[str, str]:
    modules = pkgutil.iter_modules([str(SITE / "baselines" / "schemes")])
    return _ADAPS | {module.name: f"baselines.schemes.{module.name}:SCHEME" for module in modules}


def _owner(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else str(entry.dist.name)


def list_schemes() -> list[str]:
    """Return the names of all schemes, plug-ins included."""
    return list(_found()[0])


def refused_plugins() -> tuple[str, ...]:
    """Return the plug-ins that are not in :func:`list_schemes`, each with the reason, in words."""
    return _found()[1]


def is_builtin(name: str) -> bool:
    """Whether a scheme is one of ours. Nothing is imported; an unknown name is not."""
    return name in _our_schemes()


def scheme_class(name: str) -> type[SharingScheme]:
    """Import and return a scheme's class.

    Raises:
        UnknownNameError: no such scheme, or its module does not import; the message says why and what exists.
        ShadowedPackageError: another package called ``baselines`` hides ours.
    """
    found, refused = _found()
    if name not in found:
        failures = "".join(f" Refused plug-in: {plugin}" for plugin in refused)
        raise UnknownNameError(f"no sharing scheme {name!r}. {suggest(name, found)}{failures}")
    module, _, attribute = found[name].partition(":")
    if name in _our_schemes():
        require_own(module.partition(".")[0])
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        why = f"{type(error).__name__}: {error}"
        raise UnknownNameError(f"scheme {name!r} at {found[name]} failed to load: {why}") from error
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
