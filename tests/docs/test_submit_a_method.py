"""The page submit-a-method, followed literally: its file is saved, its commands run, the method is on the site."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

SMALLER = 'extends = "smoke"'


def blocks(repository: Path, language: str) -> list[str]:
    text = (repository / "docs" / "how-to" / "submit-a-method.md").read_text(encoding="utf-8")
    assert SMALLER in text, "the page must offer what the quick test does"
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


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
