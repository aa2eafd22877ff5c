"""The README's examples run as they stand (with fewer training steps)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from adaps_agents import AgentSpaces, SharingScheme, scheme_spec
from adaps_envs import list_envs

BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)


def _blocks(repository: Path) -> list[str]:
    return BLOCKS.findall((repository / "README.md").read_text(encoding="utf-8"))


def test_environment_examples(repository: Path) -> None:
    first, rosters = _blocks(repository)[:2]
    names: dict[str, Any] = {}
    exec(first, names)
    assert names["env"].possible_agents[0] == "agent_0"
    assert names["batch"].reset().shape == (1024, 15, 10)
    assert names["vec"].num_envs == 8 * 15
    exec(rosters, names)


def test_training_example(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = _blocks(repository)[2]
    assert "learn(300_000)" in text
    names: dict[str, Any] = {}
    exec(text.replace("learn(300_000)", "learn(10_500)"), names)
    assert names["model"].num_timesteps >= 10_500
    assert names["model"].scheme.assignment().tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert (tmp_path / "adaps_bps1.zip").is_file()


def test_scheme_example(repository: Path) -> None:
    names: dict[str, Any] = {}
    exec(_blocks(repository)[3], names)
    scheme: SharingScheme = names["Halves"]()
    scheme.build(AgentSpaces(15, 10, 5), [64, 64], torch.Generator().manual_seed(0))
    assert scheme.param_report()["trainable"] == 2 * 10_118
    assert scheme.actor(torch.zeros(2, 15, 10)).shape == (2, 15, 5)


def test_table_of_schemes_gives_the_formulas_of_the_code(repository: Path) -> None:
    text = (repository / "docs" / "schemes.md").read_text(encoding="utf-8").split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*?) \|", text, re.MULTILINE)
    assert len(rows) >= 7
    assert dict(rows) == {name: scheme_spec(name).parameter_formula for name, _ in rows}


def test_first_example_id_exists() -> None:
    assert "BPS-1-v0" in list_envs()
