"""The recipes for other libraries run as they stand, where the library is installed, and their glue is short."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = {
    "agilerl_ippo.py": ("agilerl", "environment steps played: 400 evaluations: "),
    "benchmarl_task.py": ("benchmarl", "frames played: 400"),
    "pufferlib_emulation.py": ("pufferlib", "agent steps played: 2400 observations: (12, "),
    "tianshou_dqn.py": ("tianshou", "agent turns played: 200 updates: "),
    "xuance_ippo.py": ("xuance", "environment steps played: 400"),
}
MOST_LINES = 25


def test_every_recipe_has_a_test_and_a_page(repository: Path) -> None:
    page = (repository / "docs" / "how-to" / "other-clients.md").read_text(encoding="utf-8")
    assert {path.name for path in (repository / "examples" / "clients").glob("*.py")} == RECIPES.keys()
    assert all(f"examples/clients/{name}" in page for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_glue_is_short(name: str, repository: Path) -> None:
    """Glue is what defines functions and classes: the rest are the client's own settings."""
    tree = ast.parse((repository / "examples" / "clients" / name).read_text(encoding="utf-8"))
    glue = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert 0 < sum(int(node.end_lineno or 0) - node.lineno + 1 for node in glue) <= MOST_LINES


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_runs(name: str, repository: Path, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    client, printed = RECIPES[name]
    pytest.importorskip(client)
    command = [sys.executable, str(repository / "examples" / "clients" / name)]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert printed in done.stdout
