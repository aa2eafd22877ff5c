"""Which environments exist. Families are found, not listed: our own by a folder scan, others by entry points.

A plug-in package declares ``[project.entry-points."adaps_envs.envs"] myfamily = "my_package.myfamily:FAMILY"`` where
``FAMILY`` is an :class:`EnvFamily`. Our own families win: a plug-in can take none of their names. One that fails to
load hides no other; :func:`broken_plugins`, ``adaps envs``, a warning at import and the errors name it.
The variable ``ADAPS_ENV_PLUGINS`` names the plug-ins to load, separated by commas; empty means none, unset means all.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaps_envs.errors import AdapsError, InvalidParameterError, UnknownNameError, nearest, quoted, suggest

if TYPE_CHECKING:
    from adaps_envs.core.batched import BatchedEnv

__all__ = [
    "unknown_keyword",
    "ENTRY_POINT_GROUP",
    "PLUGINS_VARIABLE",
    "EnvFamily",
    "EnvSpec",
    "Preset",
    "broken_plugins",
    "families",
    "list_envs",
    "load",
    "make_batched",
    "plugin_of",
    "spec",
]

ENTRY_POINT_GROUP = "adaps_envs.envs"
PLUGINS_VARIABLE = "ADAPS_ENV_PLUGINS"
NAMESPACE = "adaps"
_ID = re.compile(r"[A-Za-z0-9][\w.-]*-v\d+")


@dataclass(frozen=True)
class Preset:
    """A registered id's parameters and its one-line description."""

    description: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvFamily:
    """One environment family; every code reference is a ``"module:attribute"`` string, loaded on use.

    Attributes:
        name: folder and module name, e.g. ``bps``.
        title: the game in words.
        env: the :class:`~adaps_envs.core.batched.BatchedEnv` subclass.
        params: its frozen parameter dataclass.
        policies: mapping of scripted policies, see :mod:`adaps_envs.policies`.
        presets: ids ``Name-vN`` with their parameters.
        golden: for each ``family`` named in recorded trajectories' configurations, the function from such a
            configuration to parameters.
        roster_replaces: parameters of a preset that say who the agents are, and go when the caller gives a ``roster``
            or ``groups``.
    """

    name: str
    title: str
    env: str
    params: str
    policies: str
    presets: Mapping[str, Preset]
    golden: Mapping[str, str] = field(default_factory=dict)
    roster_replaces: tuple[str, ...] = ("groups",)


@dataclass(frozen=True)
class EnvSpec:
    """A registered environment id.

    Attributes:
        id: e.g. ``BPS-1-v0``.
        family: the family's name.
        entry_point: ``module:class`` of the batched environment.
        kwargs: the preset's parameters.
        description: one line.
    """

    id: str
    family: str
    entry_point: str
    kwargs: Mapping[str, Any]
    description: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that the family takes."""
        return tuple(item.name for item in fields(load(families()[self.family].params)))

    @property
    def gym_id(self) -> str:
        """The id under which Gymnasium knows it."""
        return f"{NAMESPACE}/{self.id}"

    @property
    def tuple_id(self) -> str:
        """The id under which Gymnasium knows it by the convention of rware and lbforaging."""
        name, version = self.id.rsplit("-", 1)
        return f"{NAMESPACE}/{name}-tuple-{version}"

    @property
    def pz_id(self) -> str:
        """The id under which PettingZoo knows it (snake case, as its registry demands)."""
        return f"{NAMESPACE}/{_pz_name(self.id)}"


def load(reference: str) -> Any:
    """Import ``"module:attribute"`` and return the attribute."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


@lru_cache(maxsize=1)
def _own_families() -> dict[str, EnvFamily]:
    folder = Path(__file__).parent / "families"
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    found = [load(f"adaps_envs.families.{name}:FAMILY") for name in names]
    return {family.name: family for family in found}


def _discovered() -> tuple[dict[str, EnvFamily], dict[str, str]]:
    """Return the families by name, and why plug-ins failed to load."""
    found, broken, _ = _search(os.environ.get(PLUGINS_VARIABLE))
    if broken:
        # A plug-in may be asked for while it is being imported itself: look again next time.
        _search.cache_clear()
    return found, broken


@lru_cache(maxsize=1)
def _search(wanted: str | None) -> tuple[dict[str, EnvFamily], dict[str, str], dict[str, str]]:
    """Return the families, why plug-ins failed to load, and which plug-in a family comes from."""
    found = dict(_own_families())
    broken: dict[str, str] = {}
    plugins: dict[str, str] = {}
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        if wanted is not None and entry.name not in wanted.split(","):
            continue
        try:
            family = entry.load()
            _check_plugin(family, found)
        except BaseException as error:  # a plug-in may fail in any way, or exit; it must not hide the others
            if type(error) is KeyboardInterrupt:  # the user's
                raise
            broken[_free_name(entry, broken)] = f"{type(error).__name__}: {_first_line(error)}"
        else:
            found[family.name] = family
            plugins[family.name] = entry.name
    return found, broken, plugins


def _free_name(entry: Any, taken: Mapping[str, str]) -> str:
    """Return what a broken plug-in is called: its name, or also its value where two packages use the same name."""
    return str(entry.name) if entry.name not in taken else f"{entry.name} = {entry.value}"


def _first_line(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = quoted(error)
    return "".join(char if char.isprintable() else " " for char in text)[:500].strip()


def _check_plugin(family: Any, found: Mapping[str, EnvFamily]) -> None:
    if not isinstance(family, EnvFamily):
        raise TypeError(f"the entry point gives a {type(family).__name__}, not an EnvFamily")
    _check_fields(family)
    if family.name in found:
        raise ValueError(f"family {family.name!r} is already registered")
    ids = [env_id for known in found.values() for env_id in known.presets]
    taken = {_bare(_pz_name(env_id)): env_id for env_id in ids}
    own: dict[str, str] = {}
    for env_id in family.presets:
        if env_id in ids:
            raise ValueError(f"id {env_id!r} is already registered")
        if _bare(_pz_name(env_id)) in taken:
            other = taken[_bare(_pz_name(env_id))]
            raise ValueError(
                f"id {env_id!r} takes the name of {other!r}, which another family has; choose another name"
            )
        if own.setdefault(_pz_name(env_id), env_id) != env_id:
            raise ValueError(f"ids {env_id!r} and {own[_pz_name(env_id)]!r} have the same name in PettingZoo")


def _check_fields(family: EnvFamily) -> None:
    """Look at every field that is read before an environment is made: classes do not check what they are given."""
    for name in ("name", "title", "env", "params", "policies"):
        if not isinstance(getattr(family, name), str):
            raise TypeError(f"EnvFamily.{name} is {quoted(getattr(family, name))}; give a text")
    if not isinstance(family.presets, Mapping):
        raise TypeError(f"EnvFamily.presets is {quoted(family.presets)}; give a dict from id to Preset")
    for env_id, preset in family.presets.items():
        if not isinstance(env_id, str) or not _ID.fullmatch(env_id):
            raise ValueError(f"id {quoted(env_id)} is not of the form Name-vN")
        if not isinstance(preset, Preset):
            raise TypeError(f"the preset of {env_id!r} is {quoted(preset)}; give a Preset")
        named = isinstance(preset.kwargs, Mapping) and all(isinstance(name, str) for name in preset.kwargs)
        if not named or not isinstance(preset.description, str):
            raise TypeError(f"the preset of {env_id!r} needs a text and a dict of parameters, not {quoted(preset)}")
    if not isinstance(family.golden, Mapping) or not isinstance(family.roster_replaces, tuple):
        raise TypeError("EnvFamily.golden must be a dict, and roster_replaces a tuple of names")


def _pz_name(env_id: str) -> str:
    """Return the snake case that PettingZoo's registry demands: ``BPS-1-v0`` is ``bps_1-v0``."""
    name, version = env_id.rsplit("-", 1)
    return f"{name.lower().replace('-', '_')}-{version}"


def _bare(env_id: str) -> str:
    return re.sub(r"-v\d+$", "", env_id)


def broken_plugins() -> dict[str, str]:
    """Return the plug-ins that failed to load, each with the reason."""
    return dict(_discovered()[1])


def families() -> dict[str, EnvFamily]:
    """Return all families by name, plug-ins included."""
    return dict(_discovered()[0])


def _specs() -> dict[str, EnvSpec]:
    return {
        env_id: EnvSpec(env_id, family.name, family.env, dict(preset.kwargs), preset.description)
        for family in _discovered()[0].values()
        for env_id, preset in family.presets.items()
    }


def list_envs() -> list[str]:
    """Return every registered id, e.g. ``["BPS-1-v0", ...]``."""
    return list(_specs())


def spec(env_id: str) -> EnvSpec:
    """Return the specification of an id, with or without ``adaps/`` and version (the highest is taken).

    Raises:
        UnknownNameError: no such id; the message names the nearest ones and any plug-in that failed to load.
    """
    if not isinstance(env_id, str):
        raise UnknownNameError(f"no environment {quoted(env_id)}; give an id as a text, for example 'BPS-1'.")
    name = env_id.removeprefix(f"{NAMESPACE}/")
    by_alias: dict[str, EnvSpec] = {}
    for known in sorted(_specs().values(), key=lambda known: int(known.id.rsplit("-v", 1)[1])):
        for alias in (known.id, known.pz_id.removeprefix(f"{NAMESPACE}/")):
            by_alias[alias] = by_alias[_bare(alias)] = known
    if name in by_alias:
        return by_alias[name]
    broken = "".join(f" Plug-in {plugin!r} failed to load ({why})." for plugin, why in _discovered()[1].items())
    meant = next((known.id for alias, known in by_alias.items() if alias.casefold() == name.casefold()), name)
    hint = nearest(meant, _specs()) or suggest(name, _specs())
    raise UnknownNameError(f"no environment {quoted(env_id)}. {hint}{broken}")


def plugin_of(env_id: str) -> str:
    """Return the entry point that an environment comes from; empty for a built-in or unknown one."""
    try:
        family = spec(env_id).family
    except UnknownNameError:
        return ""
    return _search(os.environ.get(PLUGINS_VARIABLE))[2].get(family, "")


def unknown_keyword(env_id: str, name: str, also: Iterable[str] = ()) -> InvalidParameterError:
    """Return the error for a keyword that an id does not take; ``also`` are those that are no parameters of it."""
    known = spec(env_id)
    names = list(dict.fromkeys([*known.parameters, *also]))
    return InvalidParameterError(f"{known.id} has no parameter {quoted(name)}. {suggest(name, names)}")


def make_params(env_id: str, overrides: Mapping[str, Any], also: Iterable[str] = ()) -> Any:
    """Return the family's frozen parameters of an id, with ``overrides`` taking the place of the preset's.

    ``also`` are keywords that the caller takes itself; the error for an unknown one lists them, too.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: an unknown keyword, or a value outside its rule.
    """
    known = spec(env_id)
    family = families()[known.family]
    params_class = load(family.params)
    for name in overrides:
        if name not in known.parameters:
            raise unknown_keyword(env_id, name, also)
    kwargs = {**known.kwargs, **overrides}
    for chosen in ("roster", "groups"):
        if overrides.get(chosen) is not None:
            for name in set(family.roster_replaces) - {chosen} - set(overrides):
                kwargs.pop(name, None)
    return params_class(**{name: _frozen(name, value) for name, value in kwargs.items()})


def make_batched(
    env_id: str, num_envs: int, *, seed: int | Sequence[int] | None = None, num_threads: int = 1, **params: Any
) -> BatchedEnv:
    """Create B lanes of an environment behind the batched interface.

    Args:
        env_id: registered id, e.g. ``"BPS-1"`` or ``"BPS-1-v0"``.
        num_envs: B.
        seed: integer ``s`` (lane ``b`` gets ``s + b``) or one integer a lane, for the first ``reset``.
        num_threads: threads that share the lanes; the result is the same bit for bit.
        **params: parameters of the family that replace the preset's.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    known = spec(env_id)
    env_class = load(known.entry_point)
    env: BatchedEnv = env_class(
        num_envs,
        make_params(env_id, params, ("num_threads", "seed")),
        seed=seed,
        num_threads=num_threads,
        spec_id=known.id,
    )
    return env


def _frozen(name: str, value: Any) -> Any:
    """Return a parameter with tuples for lists, and Python's numbers for NumPy's.

    Raises:
        InvalidParameterError: it is an object that cannot even be looked at.
    """
    try:
        if hasattr(value, "tolist"):  # NumPy's numbers and arrays
            value = value.tolist()
        return (
            tuple(_frozen(name, item) for item in value) if isinstance(value, list) or type(value) is tuple else value
        )
    except AdapsError:
        raise
    except Exception as error:
        raise InvalidParameterError(
            f"{name} is {quoted(value)}, which cannot be read ({type(error).__name__}); "
            "give plain numbers, texts and lists."
        ) from error
