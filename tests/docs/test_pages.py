"""Every block of code in the README and the documentation runs, parses or loads, page by page."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import typer.main
from doc_pages import PAGES, ROOT, blocks, text

from baselines.cli.main import app
from baselines.leaderboard.spec.loading import load_suite

# Steps of a training in place of the page's: enough for the identity phase and an update. stable-baselines3's own
# algorithms count every agent's step.
STEPS = {"docs/how-to/stable-baselines3.md": 160_000}
OPTIONAL = {"docs/how-to/torchrl.md": "torchrl.envs"}
COMMANDS = [
    (page, line.removeprefix("$ "))
    for page in PAGES
    for language in ("sh", "console")
    for block in blocks(page, language)
    for line in block.splitlines()
    if line.removeprefix("$ ").startswith("adaps ") and (language == "sh" or line.startswith("$ "))
]


def _shorter(code: str, page: str) -> str:
    most = STEPS.get(page, 10_500)
    return re.sub(r"learn\(([\d_]+)", lambda match: f"learn({min(int(match[1]), most)}", code)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in OPTIONAL:
        pytest.importorskip(OPTIONAL[page])
    monkeypatch.chdir(tmp_path)
    page_module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page_module)  # dataclasses look their module up
    names = vars(page_module)
    for block in blocks(page, "python"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(_shorter(block, page), page, "exec"), names)


def _parse(words: list[str]) -> None:
    command, name = typer.main.get_command(app), "adaps"
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    command.make_context(name, words)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    words = shlex.split(re.sub(r"\$\w+", "1", line), comments=True)[1:]
    _parse(words)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("leaderboard ran", "no command ran"),
        ("leaderboard run --no-such-option", "[Nn]o such option"),
        ("train BPS-1", "[Mm]issing"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        _parse(line.split())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_toml_blocks_load(page: str, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        data = tomllib.loads(block)
        if "name" in data and "schemes" in data:
            path = tmp_path / "suite.toml"
            path.write_text(block, encoding="utf-8")
            assert load_suite(path).name == data["name"]


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_overlooked(page: str) -> None:
    known = {"python", "sh", "console", "toml", "text", "bibtex", ""}
    fences = re.findall(r"^```(.*)$", text(page), re.MULTILINE)
    assert set(fences) <= known
    assert len(fences) % 2 == 0


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(page)):
        made_by_the_site = "reference/api/" in link or link.endswith("cli.md")
        assert made_by_the_site or (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"
