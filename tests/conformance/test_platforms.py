"""What other systems and switches of Python lack: no module of Unix at import, no docstrings under ``-OO``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

UNIX = {"fcntl", "grp", "pwd", "resource", "termios", "tty"}


def _at_import(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run at import and are not guarded by an ``if`` or a ``try``."""
    return [inner for node in body for inner in (_at_import(node.body) if isinstance(node, ast.ClassDef) else [node])]


@pytest.mark.parametrize("package", ["adaps_envs", "adaps_agents", "baselines"])
def test_nothing_of_unix_alone_is_imported(package: str, repository: Path) -> None:
    found = [
        (path.name, alias.name)
        for path in (repository / package).rglob("*.py")
        for node in _at_import(ast.parse(path.read_text(encoding="utf-8")).body)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in UNIX
    ]
    assert found == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["envs", "CRWARE-tiny-4a-2c"], "CRWARE-tiny-4a-2c-v0"),
        (["check", "--list"], "own/digest"),
        (["--help"], "envs"),
    ],
)
def test_commands_without_docstrings(words: list[str], said: str, clean_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "adaps_envs", *words],
        env=clean_environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
