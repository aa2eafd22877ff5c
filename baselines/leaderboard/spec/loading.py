"""Reading suites and tasks from TOML: built in by name, or from a path."""

from __future__ import annotations

import os
import tomllib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adaps_envs.errors import UnknownNameError, nearest, suggest
from baselines.leaderboard.bounds import MAX_SUITE_BYTES
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import read_plain_file
from baselines.leaderboard.spec.config import SuiteConfig, config_error

__all__ = ["BUILTIN_SCHEMES", "builtin_tasks", "list_suites", "load_suite", "select", "task_definition"]

_HERE = Path(__file__).parent

_SCHEME_FILES = _HERE.parents[1].glob("schemes/[!_]*.py")
BUILTIN_SCHEMES = frozenset({"adaps", "adaps_gates", *(path.stem for path in _SCHEME_FILES)})
"""Schemes that come with the suite: verification knows their names, but cannot import them, because they need torch."""


def list_suites() -> list[str]:
    """Return the names of the built-in suites."""
    return sorted(path.stem for path in (_HERE / "suites").glob("*.toml"))


def load_suite(name_or_path: str | Path) -> SuiteConfig:
    """Return a suite by its built-in name or from a ``.toml`` file.

    A file with ``extends`` takes every key that it does not give itself from another suite.

    Raises:
        UnknownNameError: no built-in suite has that name.
        ConfigError: the file cannot be read, is no TOML, or breaks a rule; the message names file and key.
    """
    path = _suite_path(str(name_or_path), Path())
    data = _suite_data(path)
    if isinstance(data.get("tasks"), list):
        data["tasks"] = [_resolve_task(path, entry) for entry in data["tasks"]]
    try:
        return SuiteConfig.model_validate(data)
    except ValidationError as error:
        raise config_error(str(path), error, SuiteConfig) from None


def builtin_tasks() -> dict[str, dict[str, Any]]:
    """Return the built-in task definitions by name: environment, parameters and frozen reference scores."""
    return deepcopy(_builtin_tasks())


@cache  # verification asks for every run
def _builtin_tasks() -> dict[str, dict[str, Any]]:
    tasks: dict[str, dict[str, Any]] = {}
    for path in sorted((_HERE / "tasks").glob("*.toml")):
        for name, definition in _read_toml(path).items():
            if name in tasks:
                raise ConfigError(f"{path}: task {name!r} is defined twice.")
            tasks[name] = definition
    return tasks


def task_definition(name: str) -> dict[str, Any]:
    """Return one built-in task definition.

    Raises:
        UnknownNameError: there is no such task.
    """
    tasks = builtin_tasks()
    if name not in tasks:
        raise UnknownNameError(f"no task is called {name!r}. {nearest(name, tasks) or suggest(name, tasks)}")
    return tasks[name]


def select(
    suite: SuiteConfig,
    *,
    tasks: list[str] | None = None,
    schemes: list[str] | None = None,
    seeds: list[int] | None = None,
) -> SuiteConfig:
    """Return the suite cut down to some tasks, scheme labels and seeds; the runs that stay keep their hashes.

    Raises:
        UnknownNameError: the suite has no such task, scheme or seed.
    """
    chosen_tasks = _pick("task", tasks, {task.name: task for task in suite.tasks})
    chosen_schemes = _pick("scheme", schemes, {scheme.label: scheme for scheme in suite.schemes})
    wanted = None if seeds is None else [str(seed) for seed in seeds]
    chosen_seeds = _pick("seed", wanted, {str(seed): seed for seed in suite.seeds})
    task_names = {task.name for task in chosen_tasks}
    scheme_names = {scheme.name for scheme in chosen_schemes}
    return suite.model_copy(
        update={
            "tasks": chosen_tasks,
            "schemes": chosen_schemes,
            "seeds": chosen_seeds,
            "task_seeds": {
                name: tuple(seed for seed in some if seed in chosen_seeds)
                for name, some in suite.task_seeds.items()
                if name in task_names
            },
            "learner_overrides": {k: v for k, v in suite.learner_overrides.items() if k in task_names},
            "scheme_settings": {k: v for k, v in suite.scheme_settings.items() if k in scheme_names},
        }
    )


def _suite_path(name: str, folder: Path) -> Path:
    if name.endswith(".toml"):
        return folder / name
    if name in list_suites():
        return _HERE / "suites" / f"{name}.toml"
    raise UnknownNameError(
        f"no suite is called {name!r}. {suggest(name, list_suites())} Or give the path of a .toml file."
    )


def _suite_data(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    data = _read_toml(path)
    if "extends" not in data:
        return data
    base = data.pop("extends")
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends is {base!r}; give the name of a suite or the path of a .toml file.")
    if "name" not in data:
        raise ConfigError(f"{path}: a suite that extends {base!r} needs a name of its own.")
    chain = (*extended_by, path.resolve())
    onto = _suite_path(base, path.parent)
    if onto.resolve() in chain:
        raise ConfigError(f"{path}: extends {base!r}, which extends this file in turn.")
    return {**_suite_data(onto, chain), **data}


def _pick(what: str, wanted: list[str] | None, known: dict[str, Any]) -> tuple[Any, ...]:
    if not wanted:
        return tuple(known.values())
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"the suite has no {what} {name!r}. {suggest(name, known)}")
    return tuple(value for name, value in known.items() if name in wanted)


def _resolve_task(path: Path, entry: Any) -> Any:
    if not isinstance(entry, dict) or "task" not in entry:
        return entry
    if not isinstance(entry["task"], str):
        raise ConfigError(f"{path}: task = {entry['task']!r} is no name; give one of a built-in task.")
    own = {key: value for key, value in entry.items() if key != "task"}
    frozen = sorted({"env", "params", "metric", "scored", "random_score", "scripted_score"} & own.keys())
    if frozen:
        raise ConfigError(
            f"{path}: {', '.join(frozen)} of the built-in task {entry['task']!r} cannot be changed, because its "
            "reference scores hold for it alone; define the task in full under another name."
        )
    return {"name": entry["task"], **task_definition(entry["task"]), **own}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # A pipe would be waited for; a link is followed, because the user has named it.
        text = read_plain_file(Path(os.path.realpath(path)), MAX_SUITE_BYTES).decode("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply; a suite has a handful of levels.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    except ValueError as error:
        raise ConfigError(f"cannot read {path}: {error}.") from None
