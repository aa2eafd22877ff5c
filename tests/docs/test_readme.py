"""The README's example does what its comments say, and the table of schemes gives the formulas of the code."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from doc_pages import blocks, text

from adaps_agents import list_schemes, scheme_spec
from adaps_envs import list_envs


def test_training_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    training, environments = blocks("README.md", "python")
    assert "learn(300_000)" in training
    names: dict[str, Any] = {}
    exec(training.replace("learn(300_000)", "learn(10_500)"), names)
    assert names["model"].num_timesteps >= 10_500
    assert names["model"].scheme.assignment().tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert (tmp_path / "adaps_bps1.zip").is_file()
    exec(environments, names)
    assert names["env"].possible_agents[0] == "agent_0"
    assert names["batch"].reset().shape == (1024, 15, 10)
    assert names["vec"].num_envs == 8 * 15
    assert names["one_type"].observation_space("agent_0") == names["env"].observation_space("agent_0")


def test_commands(clone: Path, shell: dict[str, str]) -> None:
    """All but ``make`` and what it installs, with a smaller suite and as many steps as the identity phase takes."""
    commands = re.sub(r"^(make|source) .*\n", "", "".join(blocks("README.md", "sh")), flags=re.MULTILINE)
    shown_first = [line for block in blocks("docs/index.md", "sh") for line in block.splitlines() if "make" not in line]
    assert set(shown_first) <= set(commands.splitlines())
    assert "--steps 60000 " in commands
    commands = commands.replace("--steps 60000 ", "--steps 10500 ").replace("--suite quick ", "--suite smoke ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=clone, env=shell, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    assert (clone / "mine.gif").is_file()
    assert (clone / "runs" / "quick" / "site" / "index.html").is_file()


def test_the_paper_to_cite_is_the_one_that_is_linked(repository: Path) -> None:
    paper = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Paper"]
    (entry,) = blocks("README.md", "bibtex")
    assert re.findall(r"^  eprint += \{(.*)\},$", entry, re.MULTILINE) == [paper.rpartition("/")[2]]
    assert entry.count("{") == entry.count("}")


def test_table_of_schemes_gives_the_formulas_of_the_code() -> None:
    table = text("docs/reference/schemes.md").split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*?) \|", table, re.MULTILINE)
    assert len(rows) >= 7
    assert dict(rows) == {name: scheme_spec(name).parameter_formula for name, _ in rows}


def test_the_readme_names_every_scheme_and_ids_that_exist() -> None:
    schemes = text("README.md").split("\n## Schemes\n")[1].split("\n## ")[0]
    table = [line for line in schemes.splitlines() if line.startswith("|")]
    assert set(re.findall(r"`(\w+)`", "\n".join(table))) == set(list_schemes())
    environments = text("README.md").split("\n## Environments\n")[1].split("\n## ")[0]
    for name in re.findall(r"`((?:BPS|CRWARE|LBF|RWARE)-[\w-]+)`", environments):
        assert f"{name}-v0" in list_envs()


def test_table_of_papers_has_every_scheme_and_the_sources_of_the_code() -> None:
    table = text("docs/reference/schemes.md").split("\n## Papers, code read, deviations\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| ([^|]*?) \|", table, re.MULTILINE)
    named = {name: source for names, source in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == {name: scheme_spec(name).source for name in list_schemes()}
