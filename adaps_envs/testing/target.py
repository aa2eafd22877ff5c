"""What is to be checked: an id of ours or of PettingZoo, a ``module:callable``, a module of PettingZoo's shape."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pettingzoo
from gymnasium.error import DependencyNotInstalled
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec, turn_based_aec_to_parallel
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from adaps_envs.adapters import make_face
from adaps_envs.errors import InvalidParameterError, UnknownNameError, nearest
from adaps_envs.registry import list_envs, make_batched, spec

__all__ = ["Target", "resolve"]

Factory = Callable[..., Any]


@dataclass(frozen=True)
class Target:
    """An environment that can be made again and again, through both of PettingZoo's APIs.

    Attributes:
        name: as the report calls it.
        parallel, aec: factories; keywords (``render_mode``, ``max_cycles``) are passed on to the environment.
        env_id: the id, if the environment is one of ours; None otherwise.
        params: parameters, of our ids only.
        turns: the environment is an AECEnv itself, not a ParallelEnv.
    """

    name: str
    parallel: Factory
    aec: Factory
    env_id: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    turns: bool = False


def resolve(reference: str | Factory, params: Mapping[str, Any] | None = None) -> Target:
    """Return what ``reference`` names.

    Args:
        reference: an id of ours, an id of PettingZoo's registry, ``"module:callable"``, a module with ``parallel_env``
            or ``env``, or such a callable itself; it returns a ParallelEnv or an AECEnv.
        params: keywords for the environment.

    Raises:
        UnknownNameError: nothing goes by that name.
        InvalidParameterError: the environment refuses ``params``, or is no PettingZoo environment.
    """
    given = dict(params or {})
    if not isinstance(reference, str):
        name = getattr(reference, "__qualname__", type(reference).__name__)
        return _from_callable(f"{getattr(reference, '__module__', '')}:{name}", reference, given)
    if ":" in reference:
        return _from_callable(reference, _attribute(reference), given)
    try:
        known = spec(reference)
    except UnknownNameError as error:
        return _from_elsewhere(reference, given, error)
    make_batched(known.id, 1, **given)
    return Target(
        known.id,
        lambda **kwargs: make_face("parallel", known.id, **{**given, **kwargs}),
        lambda **kwargs: make_face("aec", known.id, **{**given, **kwargs}),
        known.id,
        given,
    )


def _from_elsewhere(reference: str, given: dict[str, Any], unknown: UnknownNameError) -> Target:
    registered = _from_registry(reference, given)
    if registered is not None:
        return registered
    path = reference.replace("/", ".")
    if not _is_module(path):
        near = nearest(reference, [*list_envs(), *_registered()])
        broken = str(unknown).partition(" Plug-in ")
        raise UnknownNameError(
            f"no environment {reference!r}. {f'{near} ' if near else ''}It is none of our ids (adaps envs lists them), "
            "and neither in PettingZoo's registry (import its package first: --import) nor a module; for your own "
            f"environment give module:callable.{''.join(broken[1:])}"
        ) from unknown
    module = _imported(path, reference)
    for attribute in ("parallel_env", "env"):
        if hasattr(module, attribute):
            return _from_callable(f"{reference}:{attribute}", getattr(module, attribute), given)
    raise UnknownNameError(f"module {reference!r} has neither parallel_env nor env; give module:callable.")


def _from_registry(reference: str, given: dict[str, Any]) -> Target | None:
    if not hasattr(pettingzoo, "spec"):  # before 1.27
        return None
    for api in ("parallel", "aec"):
        try:
            pettingzoo.spec(api, reference)
        except (ImportError, DependencyNotInstalled) as error:
            raise missing_package(reference, error) from error
        except Exception as error:  # its errors have no common base of their own
            if type(error).__module__.split(".")[0] != "pettingzoo":
                raise
            continue
        return _from_callable(reference, lambda api=api, **kwargs: pettingzoo.make(api, reference, **kwargs), given)
    return None


def _attribute(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    if not _is_module(module):
        raise UnknownNameError(f"cannot import {reference!r}: there is no module {module!r}; give module:callable.")
    try:
        return getattr(_imported(module, reference), attribute)
    except AttributeError as error:
        raise UnknownNameError(f"cannot import {reference!r} ({error}); give module:callable.") from error


def _is_module(path: str) -> bool:
    """Return whether there is a module of that name; packages above it are imported."""
    if path in sys.modules:
        return True
    try:
        return bool(path) and importlib.util.find_spec(path) is not None
    except ModuleNotFoundError as error:
        # One of its packages is not there; another missing name is what an existing package imports.
        if error.name is not None and not f"{path}.".startswith(f"{error.name}."):
            raise missing_package(path, error) from error
        return False
    except Exception:  # ValueError for odd names; a package may fail in any way
        return False


def _imported(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise missing_package(name, error) from error
    except Exception as error:  # somebody's module may fail in any way
        raise InvalidParameterError(f"importing {name} fails: {type(error).__name__}: {_one_line(error)}.") from error


def missing_package(name: str, error: Exception) -> InvalidParameterError:
    """Build the error for an environment that needs a package which is not there."""
    package = getattr(error, "name", None)
    needs = f"the package {package.split('.')[0]!r}, which is not installed" if package else "a package that is missing"
    return InvalidParameterError(f"{name} needs {needs} ({_one_line(error)}); install it.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _registered() -> list[str]:
    return [str(name) for api in ("parallel", "aec") for name in getattr(pettingzoo, f"{api}_registry", ())]


def _from_callable(name: str, factory: Factory, given: dict[str, Any]) -> Target:
    def make(**kwargs: Any) -> Any:
        return factory(**{**given, **kwargs})

    try:
        first = make()
    except (ImportError, DependencyNotInstalled) as error:
        raise missing_package(name, error) from error
    except Exception as error:  # an environment may refuse its parameters in any way
        if isinstance(error.__cause__, ImportError):
            raise missing_package(name, error.__cause__) from error
        kind = "" if isinstance(error, TypeError) else f"{type(error).__name__}: "
        raise InvalidParameterError(f"{name} cannot be called with {given!r}: {kind}{_one_line(error)}.") from error
    if isinstance(first, ParallelEnv):
        return Target(name, make, lambda **kwargs: OrderEnforcingWrapper(parallel_to_aec(make(**kwargs))))
    if isinstance(first, AECEnv):
        return Target(name, lambda **kwargs: _as_parallel(make(**kwargs)), make, turns=True)
    hint = "" if not inspect.isclass(first) else " The callable returns a class: name the class itself."
    raise InvalidParameterError(f"{name} makes a {type(first).__name__}, neither a ParallelEnv nor an AECEnv.{hint}")


def _as_parallel(env: AECEnv[Any, Any, Any]) -> ParallelEnv[Any, Any, Any]:
    if env.metadata.get("is_parallelizable"):
        return aec_to_parallel(env)
    return turn_based_aec_to_parallel(env)
