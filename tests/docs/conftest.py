"""What tests of the documentation share: what a clone holds, and a shell in which a page's commands run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:
    """What the pages need of a clone: the example packages."""
    shutil.copytree(
        repository / "examples",
        tmp_path / "clone" / "examples",
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


@pytest.fixture(scope="session")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; building it checks it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=repository,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stdout + done.stderr
    return folder
