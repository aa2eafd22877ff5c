"""The core has no torch: what is imported when, and that what needs an extra names it in one line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# Modules whose distribution is called otherwise, and those that another requirement always brings.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "stable_baselines3": "stable-baselines3"}
BROUGHT = {"cloudpickle": "gymnasium", "llvmlite": "numba", "markupsafe": "jinja2"}
OPTIONAL = {"pygame", "ray", "supersuit", "tensorboard", "threadpoolctl", "torchrl", "wandb"}
OPTIONAL |= {"lbforaging", "mpe2", "rware"}  # peers, timed where they are installed
WITHOUT = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {modules!r} else real(name, package)
sys.meta_path.insert(0, Missing())
"""
AGENTS = ("torch", "stable_baselines3", "sklearn", "scipy", "safetensors", "pandas")


def _run(code: str, environment: dict[str, str], *, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=without) + code],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _command(words: list[str], environment: dict[str, str], *, without: tuple[str, ...]) -> tuple[int, str, str]:
    code = f"sys.argv = ['adaps', *{words!r}]; from adaps_envs.launcher import main; main()"
    done = _run(code, environment, without=without)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("package", "needed", "unwanted"),
    [
        ("adaps_envs", "sys", ["typer", "rich", "PIL", "matplotlib", "numba", "torch", "pydantic", "baselines"]),
        # stable-baselines3 2.6 itself imports matplotlib, later versions do not.
        ("adaps_agents", "stable_baselines3", ["sklearn", "scipy.stats", "matplotlib", "typer", "baselines"]),
    ],
)
def test_an_import_loads_only_what_it_needs(
    package: str, needed: str, unwanted: list[str], clean_environment: dict[str, str]
) -> None:
    code = f"import {needed}; there = set(sys.modules); import {package}; new = set(sys.modules) - there; "
    done = _run(f"{code}print([name for name in {unwanted!r} if name in new])", clean_environment)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["envs"], "BPS-1-v0"),
        (["digest", "BPS-1"], ""),
        (["play", "BPS-1", "--record", "OUT/x.gif", "--steps", "3"], "4 pictures"),
        (["check", "BPS-1", "--quick", "-k", "parallel/*"], "PASSED"),
        (["--version"], "adaps "),
        (["--help"], "leaderboard"),
    ],
)
def test_the_core_alone_runs(words: list[str], said: str, clean_environment: dict[str, str], tmp_path: Path) -> None:
    given = [word.replace("OUT", str(tmp_path)) for word in words]
    code, out, err = _command(given, clean_environment, without=(*AGENTS, "jinja2"))
    assert code == 0, err
    assert said in out


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["leaderboard"], "leaderboard"),
        (["leaderboard", "run", "--suite", "quick"], "leaderboard"),
        (["train", "BPS-1", "--out", "nowhere"], "leaderboard"),
        (["schemes"], "agents"),
        (["identify", "BPS-1"], "agents"),
        (["bench", "--quick"], "agents"),
    ],
)
def test_a_command_names_the_extra(words: list[str], extra: str, clean_environment: dict[str, str]) -> None:
    code, out, err = _command(words, clean_environment, without=(*AGENTS, "jinja2"))
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: .* needs .*; install it with: pip install 'adaps\[{extra}\]'\.\n", err)


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import adaps_agents", "agents"),
        ("import baselines.schemes.fups", "agents"),
        ("import adaps_envs; adaps_envs.make('BPS-1', api='sb3')", "agents"),
        ("import baselines.leaderboard.spec.loading", "leaderboard"),
    ],
)
def test_an_import_names_the_extra(code: str, extra: str, clean_environment: dict[str, str]) -> None:
    done = _run(code, clean_environment, without=(*AGENTS, "jinja2"))
    assert re.search(rf"MissingExtraError: .*; install it with: pip install 'adaps\[{extra}\]'", done.stderr)


def test_every_imported_library_is_a_requirement(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    core = {re.split(r"[>=]", line)[0] for line in project["dependencies"]}
    agents = core | {re.split(r"[>=]", line)[0] for line in extras["agents"]}
    leaderboard = agents | {re.split(r"[>=]", line)[0] for line in extras["leaderboard"]}
    for package, allowed in {"adaps_envs": agents, "adaps_agents": agents, "baselines": leaderboard}.items():
        imported = {name for path in (repository / package).rglob("*.py") for name in _imported(path)}
        theirs = imported - set(sys.stdlib_module_names) - {"adaps_envs", "adaps_agents", "baselines"} - OPTIONAL
        assert {DISTRIBUTIONS.get(name, name) for name in theirs - set(BROUGHT)} <= allowed


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}
