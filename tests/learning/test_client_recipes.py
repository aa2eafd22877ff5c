"""The recipes for other libraries run as they stand, where the library is installed, and their glue is short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = {
    "agilerl_ippo.py": ("agilerl", "environment steps played: 400 evaluations: "),
    "benchmarl_task.py": ("benchmarl", "frames played: 400"),
    "epymarl_gymma.py": ("sacred", "Finished Training"),
    "pufferlib_emulation.py": ("pufferlib", "agent steps played: 2400 observations: (12, "),
    "rllib_ppo.py": ("ray.rllib", "environment steps played: 400 policies: ['group_0', 'group_1']"),
    "stable_baselines3_ppo.py": ("stable_baselines3", "agent steps played: 1200"),
    "supersuit_ppo.py": ("supersuit", "agent steps played: 1200"),
    "tianshou_dqn.py": ("tianshou", "agent turns played: 200 updates: "),
    "torchrl_groups.py": ("torchrl", "environment steps played: 25 groups: {'group_0': 2, 'group_1': 1}"),
    "xuance_ippo.py": ("xuance", "environment steps played: 400"),
}
SOURCES = {"epymarl_gymma.py": "EPYMARL"}
"""Clients that are no packages, by the variable of the environment that says where their sources are."""
MOST_LINES = 25


def test_every_recipe_has_a_test_and_a_page(repository: Path) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (repository / "docs" / "how-to").glob("*.md"))
    assert {path.name for path in (repository / "examples" / "clients").glob("*.py")} == RECIPES.keys()
    assert [name for name in RECIPES if f"examples/clients/{name}" not in pages] == []


@pytest.mark.parametrize("name", RECIPES)
def test_the_glue_is_short(name: str, repository: Path) -> None:
    """Glue is what defines functions and classes: the rest are the client's own settings."""
    tree = ast.parse((repository / "examples" / "clients" / name).read_text(encoding="utf-8"))
    glue = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert sum(int(node.end_lineno or 0) - node.lineno + 1 for node in glue) <= MOST_LINES


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_runs(name: str, repository: Path, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    client, printed = RECIPES[name]
    pytest.importorskip(client)
    sources = [os.environ.get(SOURCES[name], "")] if name in SOURCES else []
    if sources == [""]:
        pytest.skip(f"{SOURCES[name]} does not say where its sources are")
    command = [sys.executable, str(repository / "examples" / "clients" / name), *sources]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert printed in done.stdout + done.stderr
