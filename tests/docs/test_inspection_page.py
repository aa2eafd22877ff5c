"""The examples of the page on inspection run as they stand, and its table is what the code prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from adaps_agents import AgentSpaces, make_scheme
from adaps_agents.diagnostics import sharing_map, sharing_table
from adaps_agents.random_streams import torch_stream


def _page(repository: Path) -> str:
    return (repository / "docs" / "how-to" / "inspect-a-policy.md").read_text(encoding="utf-8")


def test_examples(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", _page(repository), re.DOTALL):
        exec(block, names)
    ours, theirs = (names[name].policy.state_dict() for name in ("model", "other"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not names["env"].agents
    assert not names["aec"].agents


def test_the_table(repository: Path) -> None:
    scheme = make_scheme("adaps", labels=[index % 3 for index in range(15)])
    scheme.build(AgentSpaces(15, 10, 5), (64, 64), torch_stream(0, "scheme"))
    assert f"```\n{sharing_table(sharing_map(scheme))}\n```" in _page(repository)
