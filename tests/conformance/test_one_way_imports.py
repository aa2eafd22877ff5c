"""Imports run one way: baselines -> adaps_agents -> adaps_envs; the environments know no torch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FORBIDDEN = {
    "adaps_envs": {"adaps_agents", "baselines", "torch"},
    "adaps_agents": {"baselines"},
}


def _imported(path: Path, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_goes_against_the_direction(package: str, repository: Path) -> None:
    files = sorted((repository / package).rglob("*.py"))
    assert files
    against = {
        str(path.relative_to(repository)): sorted(_imported(path, top_level_only=False) & FORBIDDEN[package])
        for path in files
    }
    assert {path: names for path, names in against.items() if names} == {}


def test_only_the_sb3_face_imports_a_learner(repository: Path) -> None:
    users = [
        path.relative_to(repository / "adaps_envs").as_posix()
        for path in sorted((repository / "adaps_envs").rglob("*.py"))
        if "stable_baselines3" in _imported(path, top_level_only=False)
    ]
    assert users == ["adapters/sb3.py", "adapters/sb3_index.py"]


@pytest.mark.parametrize("name", ["parallel", "aec", "gym_single", "gym_vector", "sb3", "common", "window"])
def test_no_face_knows_a_family(name: str, repository: Path) -> None:
    source = (repository / "adaps_envs" / "adapters" / f"{name}.py").read_text(encoding="utf-8")
    imported = [line for line in source.splitlines() if line.startswith(("from adaps_envs", "import adaps_envs"))]
    families = [path.parent.name for path in (repository / "adaps_envs").glob("*/kernel.py")]
    assert families
    assert not [line for line in imported if any(f"adaps_envs.{family}" in line for family in families)]
