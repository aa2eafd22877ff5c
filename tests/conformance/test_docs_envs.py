"""The pages on environments: their examples run, their tables are what the code says."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import adaps_envs

PAGES = ["envs.md", "envs-bps.md"]


def _page(repository: Path, name: str) -> str:
    return (repository / "docs" / name).read_text(encoding="utf-8")


def _rows(text: str, header: str) -> list[list[str]]:
    table = text.split(header, 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("name", PAGES)
def test_examples_run(repository: Path, name: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", _page(repository, name), re.DOTALL)
    assert blocks
    for block in blocks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(block, name, "exec"), {})


def test_table_of_ids(repository: Path) -> None:
    rows = _rows(_page(repository, "envs-bps.md"), "| id |")
    assert [row[0] for row in rows] == [name for name in adaps_envs.list_envs() if name.startswith("BPS-")]
    for env_id, agents, types, size, _ in rows:
        env = adaps_envs.make_batched(env_id, 1)
        assert (env.num_agents, env.obs_dim) == (int(agents), int(size))
        assert list(env.params.groups) == [int(count) for count in types.split(",")]


def test_table_of_observations(repository: Path) -> None:
    rows = _rows(_page(repository, "envs-bps.md"), "| index |")
    fields: Any = adaps_envs.make("BPS-1").obs_fields("agent_0")
    assert len(rows) == len(fields)
    for row, item in zip(rows, fields, strict=True):
        assert row == [str(item.index), item.name, f"{item.low:g}", f"{item.high:g}", item.unit]


def test_actions_are_named_as_the_page_says(repository: Path) -> None:
    names = adaps_envs.make_batched("BPS-1", 1).action_names
    assert ", ".join(f"{index} {name}" for index, name in enumerate(names)) in _page(repository, "envs-bps.md")
