"""The command line as a whole: help pages, their style, and the shell's completion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from baselines.cli.main import app


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for word, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*words, word))


COMMANDS = list(_commands(typer.main.get_command(app)))


def _help(words: tuple[str, ...], option: str = "--help", width: int = 100) -> str:
    result = CliRunner().invoke(app, [*words, option], env={"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)})
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_in_one_style(words: tuple[str, ...]) -> None:
    page = _help(words)
    assert _help(words, "-h") == page
    assert "Usage: " in page.splitlines()[1]
    assert "─ Options ─" in page


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_neither_markup_nor_doubled_names(words: tuple[str, ...]) -> None:
    page = _help(words)
    for raw in ("`", "**", "](", "[[", "]]", "...}..."):
        assert raw not in page, page


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_flags_have_no_opposite(words: tuple[str, ...]) -> None:
    assert "--no-" not in _help(words)


def _completed(line: str, environment: dict[str, str]) -> list[str]:
    words = line.split(" ")
    asked = {"_ADAPS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv = ['adaps']; from adaps_envs.launcher import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **asked}, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("adaps tr", ["train"]),
        ("adaps leaderboard ref", ["references"]),
        ("adaps bench --on", ["--only"]),
        ("adaps play CRWARE-tiny-4a-2c-e", ["CRWARE-tiny-4a-2c-easy-v0"]),
    ],
)
def test_the_shell_completes(line: str, offered: list[str], clean_environment: dict[str, str]) -> None:
    assert _completed(line, clean_environment) == offered


def test_completion_can_be_installed() -> None:
    page = _help(())
    assert "--install-completion" in page
    assert "--show-completion" in page


@pytest.mark.parametrize(("target", "installs"), [("leaderboard", 2), ("test", 3)])
def test_make_says_what_it_installs(target: str, installs: int, repository: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    command = ["make", "--dry-run", "--directory", str(repository), f"VENV={tmp_path}", target]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pip = [line for line in lines if "pip install" in line]
    assert len(pip) == installs
    assert not any("--quiet" in line or " -q" in line for line in pip)
    assert any(line.startswith('echo "Installing') for line in lines)
