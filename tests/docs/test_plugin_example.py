"""The example package installs, is found by its entry point, passes the checks and trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USE = """
from adaps_agents import SharingA2C, list_schemes
from adaps_agents.testing import check_scheme

assert "private_heads" in list_schemes()
check_scheme("private_heads").raise_if_failed()
model = SharingA2C("private_heads", "BPS-1", num_lanes=4, seed=0).learn(200)
trainable = sum(p.numel() for group in model.policy.optimizer.param_groups for p in group["params"])
assert trainable == 10_118 + 14 * 65 * 6, trainable
"""


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built and installed into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for path in (repository / "examples" / "plugin_scheme").rglob("*"):
        if path.suffix in {".py", ".toml", ".md"}:
            copy = source / path.relative_to(repository / "examples" / "plugin_scheme")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True, text=True)
    return target


def test_example_is_found_checked_and_trained(installed: Path, clean_environment: dict[str, str]) -> None:
    environment = {**clean_environment, "PYTHONPATH": f"{installed}{os.pathsep}{clean_environment['PYTHONPATH']}"}
    done = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
