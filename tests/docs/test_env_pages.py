"""The pages on environments: what is generated is up to date and tells what the code does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import adaps_envs
from adaps_envs import docs_pages as pages
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidParameterError
from adaps_envs.families.bps.env import BPS
from adaps_envs.registry import families, load
from baselines.cli.docs import BEGIN, END, stale_docs, write_docs

FAMILIES = [name for name, family in families().items() if family.presets]


def test_generated_pages_are_up_to_date(repository: Path) -> None:
    stale = [path.relative_to(repository).as_posix() for path in stale_docs(repository / "docs")]
    assert stale == [], "run `adaps envs --write-docs docs`"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_tells_its_story(name: str) -> None:
    assert pages.missing_sections(load(families()[name].env)) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_is_explained(name: str) -> None:
    lines = [line for line in pages.family_page(name).splitlines() if line.startswith("| `")]
    assert lines
    assert [line for line in lines if line.rstrip().endswith("|  |")] == []


@pytest.mark.parametrize("env_id", adaps_envs.list_envs())
def test_page_explains_the_observation_that_agents_get(env_id: str) -> None:
    page = pages.env_page(env_id)
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|[^|]*\|$", page, re.MULTILINE)
    fields = adaps_envs.make(env_id).obs_fields("agent_0")
    expected = [(str(item.index), item.name, f"{item.low:g}", f"{item.high:g}") for item in fields]
    assert rows == expected
    space = adaps_envs.make(env_id).observation_space("agent_0")
    assert [f"{low:g}" for low in space.low] == [row[2] for row in rows]
    assert [f"{high:g}" for high in space.high] == [row[3] for row in rows]


def test_a_change_is_noticed_and_written(repository: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(repository / "docs", docs)
    write_docs(docs)
    page, story = docs / "envs" / "BPS-1-v0.md", docs / "envs-bps.md"
    page.write_text(page.read_text().replace("landmark_0_x", "something else"))
    story.write_text("Prose by hand.\n" + story.read_text().replace("fly to the landmark", "stay away"))
    gone = docs / "envs" / "BPS-0-v0.md"
    gone.write_text(page.read_text())
    (docs / "envs" / "notes.md").write_text("by hand")
    assert set(stale_docs(docs)) == {page, story, gone}
    assert set(write_docs(docs)) == {page, story, gone}
    assert "landmark_0_x" in page.read_text()
    assert story.read_text().startswith("Prose by hand.")
    assert "fly to the landmark" in story.read_text()
    assert not gone.exists()
    assert (docs / "envs" / "notes.md").read_text() == "by hand"
    assert write_docs(docs) == []


def test_new_pages_are_made(tmp_path: Path) -> None:
    assert stale_docs(tmp_path)
    write_docs(tmp_path)
    assert (tmp_path / "envs-bps.md").read_text().startswith("# Blind-particle spread\n")
    assert stale_docs(tmp_path) == []


def test_lost_marks_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "envs.md").write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(InvalidParameterError, match="needs the marks"):
        write_docs(tmp_path)


def test_story_of_a_docstring() -> None:
    class Game(BPS):
        """A game.

        It is played by :class:`~some.module.Agent` objects
        with ``care``. Rewards: one. End: never.

        Versions: v0, the first.

        More of the story.
        """

    assert pages.story(Game) == {
        "": "A game.\n\nIt is played by `Agent` objects with `care`.\n\nMore of the story.",
        "Rewards": "One.",
        "End": "Never.",
        "Versions": "v0, the first.",
    }
    assert pages.missing_sections(Game) == ["Start"]
    assert pages.missing_sections(BatchedEnv) == ["Rewards", "Start", "End", "Versions"]
