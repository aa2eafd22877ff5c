"""The site builds strictly, and every public name has its page."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

PACKAGES = (
    "adaps_envs",
    "adaps_envs.testing",
    "adaps_agents",
    "adaps_agents.testing",
    "adaps_agents.diagnostics",
    "adaps_agents.export",
)


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=repository,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_page(site: Path, package: str) -> None:
    for name in importlib.import_module(package).__all__:
        page = site / "reference" / "api" / package / name / "index.html"
        assert f'id="{package}.{name}"' in page.read_text(encoding="utf-8"), f"{package}.{name}"


def test_every_command_is_on_the_page_of_the_command_line(site: Path) -> None:
    import typer.main

    from baselines.cli.main import app

    page = (site / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f'id="adaps-{name}"' in page
        for inner in getattr(command, "commands", {}):
            assert f'id="adaps-{name}-{inner}"' in page


def test_no_request_leaves_the_site(site: Path) -> None:
    for page in ("index.html", "envs/index.html", "reference/glossary/index.html"):
        text = (site / page).read_text(encoding="utf-8")
        assert "fonts.googleapis" not in text
        assert 'src="http' not in text


def test_pictures_are_made_by_one_command(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "docs"))
    make_pictures = importlib.import_module("make_pictures")
    monkeypatch.setattr(make_pictures, "STEPS", 3)
    make_pictures.main(tmp_path)
    for name in make_pictures.PICTURES:
        kept = Image.open(repository / "docs" / "img" / f"{name}.gif")
        with Image.open(tmp_path / f"{name}.gif") as fresh, kept:
            assert (fresh.size, fresh.n_frames > 1, kept.n_frames > 1) == (kept.size, True, True)
    assert sum(path.stat().st_size for path in (repository / "docs" / "img").iterdir()) < 1_000_000
