"""The leaderboard's commands of a page run in their order, on the suite that takes seconds."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from doc_pages import blocks

from baselines.cli.main import main

OWN_SUITE = """name = "mine"
extends = "smoke"
schemes = ["fups_id", "adaps"]
seeds = [0]
[[tasks]]
name = "pairs"
env = "BPS-1-v0"
params = { groups = [2, 2] }
budget = 10_200
eval_points = 2
eval_episodes = 2
absolute_episodes = 2
"""
# What a page has more of than a test needs.
SMALLER = {
    "--suite quick": "--suite smoke",
    "--episodes 20000": "--episodes 20",
    "BPS-1/adaps/seed-2": "BPS-1/oracle/seed-1",
    "compare adaps": "compare oracle",
}
PAGES = {
    "docs/explanation/verification.md": "",
    "docs/reference/file-formats.md": "",
    "docs/how-to/custom-suites.md": "references",  # first: the scores that the other commands take from the file
    "docs/how-to/publish-a-board.md": "",
}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("smoke") / "runs"
    adaps("leaderboard", "run", "--suite", "smoke", "--out", str(out))
    return out


def adaps(*words: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert not stop.value.code, words


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(smoke, "runs/quick")
    Path("mine.toml").write_text(OWN_SUITE)
    adaps("leaderboard", "submit", "runs/quick", "--out", "theirs.zip")
    text = "".join(blocks(page, "console")) + "".join(blocks(page, "sh"))
    lines = re.findall(r"^(?:\$ )?adaps (.*)$", text, re.MULTILINE)
    assert lines
    for line in sorted(lines, key=lambda line: not (PAGES[page] and PAGES[page] in line)):
        for large, small in SMALLER.items():
            line = line.replace(large, small)
        capsys.readouterr()
        adaps(*shlex.split(line, comments=True))
        if " commit " in f" {line} ":
            (commitment,) = re.findall(r"^seed_commitment = .*$", capsys.readouterr().out, re.MULTILINE)
            Path("mine.toml").write_text(f"{commitment}\n{OWN_SUITE}random_score = -300.0\nscripted_score = -50.0\n")
