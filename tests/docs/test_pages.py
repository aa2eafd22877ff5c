"""Every block of code in the README and the documentation, page by page: Python runs, TOML loads, commands exist.

Tutorials and the README's commands also run, in tests of their own. `text` blocks are pictures, not code.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable
from importlib.metadata import version
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
# In `sh` blocks every line is a command, in `console` blocks those after a prompt.
COMMANDS = [
    (page, line.removeprefix("$ "))
    for page in PAGES
    for language in ("sh", "console")
    for block in blocks(page, language)
    for line in block.splitlines()
    if language == "sh" or line.startswith("$ ")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = re.findall(r"^([\w-]+==[\w.]+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
# A folder whose files the reader of a tutorial saves; test_tutorials.py does.
SAVED = ("./my_scheme",)
# A tool from elsewhere, and the file that it reads here.
TOOLS = {"pre-commit": ".pre-commit-config.yaml", "docker": "Dockerfile"}


def _shorter(code: str, page: str) -> str:
    most = STEPS.get(page, 10_500)
    return re.sub(r"learn\(([\d_]+)", lambda match: f"learn({min(int(match[1]), most)}", code)


def _skip_under_older_libraries(code: str) -> None:
    """Skip where a comment asks for newer libraries than are here, such as ``# torch 2.6 or newer``."""
    for name, least in re.findall(r"# (\w+) ([\d.]+) or newer$", code, re.MULTILINE):
        here = version(name.lower())
        if _release(here) < _release(least):
            (pinned,) = [pin for pin in PINNED if pin.startswith(f"{name.lower()}==")]
            assert _release(pinned.partition("==")[2]) >= _release(least), f"{pinned} does not do for the page"
            pytest.skip(f"the page asks for {name} {least} or newer, here is {here}")


def _release(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("+")[0].split("."))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page_module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page_module)  # dataclasses look their module up
    names = vars(page_module)
    for block in blocks(page, "python"):
        _skip_under_older_libraries(block)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(_shorter(block, page), page, "exec"), names)


def _adaps(words: list[str]) -> None:
    command, name = typer.main.get_command(app), "adaps"
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    command.make_context(name, words)


def _make(words: list[str]) -> None:
    """The targets exist; what they do is not done."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _pip(words: list[str]) -> None:
    """What is installed is here, pinned, or a known tool; extras and files exist."""
    assert words.pop(0) == "install"
    if "-c" in words:
        at = words.index("-c")
        assert (ROOT / words[at + 1]).is_file()
        del words[at : at + 2]
    for word in words:
        name, _, extra = word.rstrip("]").partition("[")
        assert not extra or set(extra.split(",")) <= PROJECT["optional-dependencies"].keys(), f"no extra {extra}"
        known = word in PINNED or name in ("-e", PROJECT["name"], *TOOLS, *SAVED)
        assert known or (ROOT / name / "pyproject.toml").is_file(), f"nothing says what {word} is"


def _python(words: list[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "-c", "exec")
    else:
        assert words == ["-m", "venv", ".venv"]


def _activate(words: list[str]) -> None:
    assert words == [".venv/bin/activate"]


def _tensorboard(words: list[str]) -> None:
    assert "tensorboard" in PROJECT["optional-dependencies"]
    assert (words[0], words[1][-16:]) == ("--logdir", "logs/tensorboard")


def _tool(words: list[str]) -> None:
    assert words


def _docker(words: list[str]) -> None:
    """The image is built from here, or what it runs is a command of ours."""
    if words[0] == "run":
        _adaps(words[words.index("adaps") + 1 :])
    else:
        assert words == ["build", "-t", "adaps", "."]


RULES: dict[str, Callable[[list[str]], None]] = {
    "adaps": _adaps,
    "make": _make,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "source": _activate,
    ".": _activate,
    "tensorboard": _tensorboard,
    "docker": _docker,
    "pre-commit": _tool,
}


def _check(line: str) -> None:
    """Check a line of a shell, by the rule of each of its commands."""
    words = shlex.split(re.sub(r"\$\w+", "1", line), comments=True)
    for follows, command in itertools.groupby(words, "&&".__eq__):
        program, *rest = command
        if not follows:
            assert program in RULES, f"no rule says how {program} is checked"
            RULES[program](rest)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_exist(page: str, line: str) -> None:
    _check(line)


def test_files_of_tools_from_elsewhere_are_there() -> None:
    assert [name for name in TOOLS.values() if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("adaps leaderboard ran", "no command ran"),
        ("adaps leaderboard run --no-such-option", "[Nn]o such option"),
        ("adaps train BPS-1", "[Mm]issing"),
        ("docker run adaps leaderboard ran", "no command ran"),
        ("make leaderbord", "No rule to make target"),
        ("make docs && make leaderbord", "No rule to make target"),
        ("pip install 'adaps[torchlr]'", "no extra torchlr"),
        ("pip install torch==1.0", "nothing says what torch==1.0 is"),
        ("pip install ./examples/plugin", "nothing says what ./examples/plugin is"),
        ("python -c 'import'", "invalid syntax|[Ee]xpected"),
        ("source venv/bin/activate", "venv"),
        ("tensorboard --logdir runs", "logdir"),
        ("mkdocs serve", "no rule says how mkdocs is checked"),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        _check(line)


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
    assert not re.search(r"^(?:[ \t]+```|[ \t]*~~~)", text(page), re.MULTILINE), "blocks that these tests do not see"


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(page)):
        made_by_the_site = "reference/api/" in link or link.endswith("cli.md")
        assert made_by_the_site or (ROOT / page).parent.joinpath(link).exists(), f"{page} links to {link}"
