"""The tutorials, followed literally: their files are saved, their commands run, what they promise is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from doc_pages import blocks


def _follow(page: str, clone: Path, shell: dict[str, str]) -> str:
    """Run the shell blocks of a tutorial in ``clone``; return what was printed."""
    printed = ""
    for commands in blocks(f"docs/tutorials/{page}.md", "sh"):
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


def test_first_board(clone: Path, shell: dict[str, str]) -> None:
    _follow("first-board", clone, shell)
    assert (clone / "runs" / "smoke" / "site" / "index.html").is_file()


def test_train_and_watch(clone: Path, shell: dict[str, str]) -> None:
    _follow("train-and-watch", clone, shell)
    assert (clone / "expert.gif").is_file()
    assert (clone / "fups_id.gif").is_file()
    assert (clone / "runs" / "fups_id" / "model.zip").is_file()


def test_your_own_scheme(clone: Path, shell: dict[str, str]) -> None:
    page = "docs/tutorials/your-own-scheme.md"
    (clone / "my_scheme" / "my_package").mkdir(parents=True)
    (clone / "my_scheme" / "my_package" / "halves.py").write_text(blocks(page, "python")[0])
    (clone / "my_scheme" / "pyproject.toml").write_text(blocks(page, "toml")[0])
    printed = _follow("your-own-scheme", clone, shell)
    assert (clone / "halves.gif").is_file()
    assert re.search(r"^private_heads .*private output layer", printed, re.MULTILINE)
    assert re.search(r"^<SchemeReport private_heads: \d+ passed, 0 failed", printed, re.MULTILINE)


def test_your_own_environment(clone: Path, shell: dict[str, str]) -> None:
    (suite,) = (block for block in blocks("docs/tutorials/your-own-environment.md", "toml") if "[[tasks]]" in block)
    (clone / "beacons.toml").write_text(suite)
    printed = _follow("your-own-environment", clone, shell)
    assert re.search(r"^[ ┃]+Beacons-2t-v0[ ┃]*$", printed, re.MULTILINE), "some versions of rich put titles into a box"
    assert re.search(r"PASSED: \d+ passed, 0 failed", printed)
    for name, score in re.findall(r"^(random_score|scripted_score) = (\S+)$", suite, re.MULTILINE):
        measured = re.search(rf"{name}\s+(-?[\d.]+)", printed)
        assert measured is not None
        assert abs(float(measured[1]) - float(score)) < 3
    rows = json.loads((clone / "runs" / "beacons" / "board.json").read_text())
    found = {(row["task"], row["scheme"], row["failed"]) for row in rows}
    assert found >= {("Beacons", "fups", 0), ("Beacons", "oracle", 0)}
