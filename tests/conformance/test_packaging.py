"""What goes out of the house: the wheel's metadata, the Dockerfile, the versions."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

INSTRUCTIONS = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined."""
    text = (repository / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]  # type: ignore[misc]


def test_the_description_of_the_package_needs_no_repository(project: dict[str, Any], repository: Path) -> None:
    text = (repository / project["readme"]).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all(link.startswith("https://") for link in links)


def test_the_metadata_say_who_what_and_where(project: dict[str, Any]) -> None:
    assert project["authors"]
    assert project["keywords"]
    assert project["urls"]
    least = project["requires-python"].removeprefix(">=")
    versions = [entry.rpartition(" ")[2] for entry in project["classifiers"] if re.search(r":: 3\.\d+$", entry)]
    assert versions[0] == least
    assert "License ::" not in " ".join(project["classifiers"])  # the expression in `license` says it
    assert all(url.startswith("https://") for url in project["urls"].values())


def test_the_versions_agree(project: dict[str, Any], repository: Path) -> None:
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == project["version"]  # type: ignore[index]


def test_the_image_is_built_from_a_fixed_base_by_known_instructions(dockerfile: list[tuple[str, str]]) -> None:
    assert {name for name, _ in dockerfile} <= INSTRUCTIONS
    name, base = dockerfile[0]
    assert name == "FROM"
    assert re.fullmatch(r"python:3\.\d+-slim", base)
    for name, words in dockerfile:
        if name in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(words))
        if name == "RUN":
            assert "sudo" not in words
            assert "pip install" not in words or "python -m pip" in words


def test_the_image_copies_what_is_there_and_not_ignored(dockerfile: list[tuple[str, str]], repository: Path) -> None:
    ignored = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    sources = [source for name, words in dockerfile if name == "COPY" for source in words.split()[:-1]]
    for source in sources:
        assert (repository / source).exists()
        assert f"!{source}" in ignored
    packages = {path.parent.name for path in repository.glob("*/py.typed")}
    assert packages <= set(sources)


def test_the_image_installs_known_extras_and_runs_as_a_user(
    dockerfile: list[tuple[str, str]], project: dict[str, Any]
) -> None:
    runs = [words for name, words in dockerfile if name == "RUN"]
    extras = re.findall(r"\.\[([\w,]+)\]", " ".join(runs))
    assert extras
    assert set(extras[0].split(",")) <= project["optional-dependencies"].keys()
    assert "torch==" in next(words for words in runs if "pip install" in words)
    users = [words for name, words in dockerfile if name == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [name for name, _ in dockerfile[-2:]] == ["ENTRYPOINT", "CMD"]
