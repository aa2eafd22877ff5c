"""Imports run one way, between the packages and between the folders of each; the environments know no torch."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("adaps_envs", "adaps_agents", "baselines")
FORBIDDEN = {"adaps_envs": {"adaps_agents", "baselines", "torch"}, "adaps_agents": {"baselines"}, "baselines": set()}

Modules = Mapping[str, str]
"""Source text by dotted name; a package's name stands for its ``__init__``."""


def _modules(repository: Path) -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            parts = path.relative_to(repository).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text(encoding="utf-8")
    return found


def _imported(text: str) -> set[str]:
    """Return every dotted name that a module imports at run time, anywhere in it."""
    tree = ast.parse(text)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _room(module: str, modules: Modules) -> str:
    """Return the folder of a module; what lies directly in a package is a room of its own."""
    folder = any(name.startswith(f"{module}.") for name in modules)
    if folder or module.count(".") < 2:
        return module
    return module.rpartition(".")[0]


def _rooms(modules: Modules) -> dict[str, set[str]]:
    """Return for each room the rooms that it imports from."""
    graph: dict[str, set[str]] = {_room(module, modules): set() for module in modules}
    for module, text in modules.items():
        here = _room(module, modules)
        graph[here] |= {_room(name, modules) for name in _imported(text) if name in modules and name not in PACKAGES}
        graph[here].discard(here)
    return graph


def _cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_goes_against_the_direction_of_the_packages(package: str, repository: Path) -> None:
    modules = {name: text for name, text in _modules(repository).items() if name.split(".")[0] == package}
    assert modules
    against = {
        name: {each.split(".")[0] for each in _imported(text)} & FORBIDDEN[package] for name, text in modules.items()
    }
    assert {name: names for name, names in against.items() if names} == {}


def test_no_two_folders_import_each_other(repository: Path) -> None:
    assert _cycle(_rooms(_modules(repository))) == []


def test_a_planted_cycle_is_found(repository: Path) -> None:
    modules = _modules(repository)
    modules["baselines.leaderboard.spec.config"] += "\nfrom baselines.leaderboard.report.write import write_report\n"
    assert "baselines.leaderboard.spec" in _cycle(_rooms(modules))


def test_only_the_sb3_adapter_imports_a_learner(repository: Path) -> None:
    modules = _modules(repository)
    users = [
        name
        for name, text in modules.items()
        if name.startswith("adaps_envs.") and any(each.split(".")[0] == "stable_baselines3" for each in _imported(text))
    ]
    assert users == ["adaps_envs.adapters.sb3", "adaps_envs.adapters.sb3_index"]


def test_no_adapter_knows_a_family(repository: Path) -> None:
    modules = _modules(repository)
    adapters = {name: text for name, text in modules.items() if name.startswith("adaps_envs.adapters.")}
    assert adapters
    assert {
        name
        for name, text in adapters.items()
        if any(each.startswith("adaps_envs.families") for each in _imported(text))
    } == set()
