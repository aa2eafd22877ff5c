"""docs/submit-a-method.md, followed literally: its file is written, its commands are run, the method is on the site."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SMALLER = 'extends = "smoke"'


def blocks(repository: Path, language: str) -> list[str]:
    text = (repository / "docs" / "submit-a-method.md").read_text(encoding="utf-8")
    assert SMALLER in text, "the page must offer what the quick test does"
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:
    """What of a clone the page needs: the example package."""
    shutil.copytree(
        repository / "examples" / "plugin_scheme",
        tmp_path / "clone" / "examples" / "plugin_scheme",
        ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"),
    )
    return tmp_path / "clone"


@pytest.fixture
def shell(clean_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A shell whose ``python``, ``pip`` and ``adaps`` are those under test, and where pip installs into a folder of its
    own, offline."""
    commands, target = tmp_path / "bin", tmp_path / "site-packages"
    commands.mkdir()
    for name, words in (("python", ""), ("pip", "-m pip"), ("adaps", "-m baselines")):
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        script.chmod(0o755)
    return {
        **clean_environment,
        "PATH": f"{commands}{os.pathsep}{clean_environment['PATH']}",
        "PYTHONPATH": f"{target}{os.pathsep}{clean_environment['PYTHONPATH']}",
        "PIP_TARGET": str(target),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as a value of the option's opposite
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def follow(repository: Path, clone: Path, shell: dict[str, str], smaller: bool) -> str:
    """Do what the page says; return what was printed."""
    (suite,) = blocks(repository, "toml")
    (clone / "my_method.toml").write_text(suite.replace('extends = "quick"', SMALLER) if smaller else suite)
    printed = ""
    for commands in blocks(repository, "sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=clone,
            env=shell,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    return printed


def check(clone: Path, printed: str, seeds: int) -> None:
    assert re.search(r"^private_heads .*private output layer for every agent", printed, re.MULTILINE)
    assert re.search(r"BPS-1: private_heads - fups_id = [+-]\d", printed)
    assert f"{2 * seeds} runs added, 0 were there already" in printed
    rows = {row["scheme"]: row for row in json.loads((clone / "runs" / "board" / "board.json").read_text())}
    assert rows.keys() == {"fups_id", "private_heads"}
    assert (rows["private_heads"]["runs"], rows["private_heads"]["failed"]) == (seeds, 0)
    assert rows["private_heads"]["improvement_over"] == "fups_id"
    assert rows["private_heads"]["trainable_parameters"] == 10_118 + 14 * 65 * 6
    assert "private_heads" in (clone / "runs" / "board" / "site" / "index.html").read_text(encoding="utf-8")


def test_with_the_smaller_suite_that_the_page_offers(repository: Path, clone: Path, shell: dict[str, str]) -> None:
    check(clone, follow(repository, clone, shell, smaller=True), seeds=2)


@pytest.mark.slow
def test_to_the_letter(repository: Path, clone: Path, shell: dict[str, str]) -> None:
    check(clone, follow(repository, clone, shell, smaller=False), seeds=3)
