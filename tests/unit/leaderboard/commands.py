"""The command line as a person or a batch system calls it: in this process, or in one that can be interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from baselines.cli import main as cli

SUITE = """
name = "{name}"
schemes = {schemes}
seeds = {seeds}
[learner]
num_lanes = 8
net_arch = [8]
[scheme_settings.adaps]
identity = {{ env_steps = 400, encoder = {{ updates = 50 }} }}
[[tasks]]
name = "one"
env = "BPS-1-v0"
params = {{ groups = [2, 2] }}
budget = {budget}
eval_points = {eval_points}
eval_episodes = 4
absolute_episodes = 5
random_score = -200.0
scripted_score = -100.0
"""


def suite_text(
    budget: int = 2_000,
    *,
    name: str = "tiny",
    schemes: tuple[str, ...] = ("fups", "nops"),
    seeds: tuple[int, ...] = (0, 1),
    eval_points: int = 3,
) -> str:
    """A suite of one small task; by default four runs of a second each."""
    text = SUITE.format(name=name, schemes=list(schemes), seeds=list(seeds), budget=budget, eval_points=eval_points)
    return text if "adaps" in schemes else text.replace("[scheme_settings.adaps]\nidentity", "# identity")


def run_cli(*words: str | Path) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return int(stop.value.code or 0)


def start_run(suite_file: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    """Start ``adaps leaderboard run`` in a process group of its own; its output can be read."""
    command = [sys.executable, "-m", "baselines", "leaderboard", "run"]
    return subprocess.Popen(
        [*command, "--suite", str(suite_file), "--out", str(out), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        start_new_session=True,
    )


def descendants(pid: int) -> list[int]:
    """The processes that ``pid`` has started, and those that they have."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(child) for child in found] + [pid for child in found for pid in descendants(int(child))]


def running(pid: int) -> bool:
    """Whether the process is there and not just waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
