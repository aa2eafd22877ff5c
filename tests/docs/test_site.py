"""The site builds strictly, and every public name has its page."""

from __future__ import annotations

import html.parser
import importlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


# Of the program's own: what they offer is offered by one of the packages above, or is no promise to anybody.
INTERNAL = re.compile(r"adaps_envs\.(adapters|families\.\w+)|adaps_agents\.schemes|baselines\.(bench|leaderboard\.\w+)")


def test_every_package_with_public_names_is_known(repository: Path) -> None:
    found = {
        ".".join(path.parent.relative_to(repository).parts)
        for package in ("adaps_envs", "adaps_agents", "baselines")
        for path in (repository / package).rglob("__init__.py")
        if re.search(r"^__all__", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {package for package in found if not INTERNAL.fullmatch(package)} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_page(site: Path, package: str) -> None:
    for name in importlib.import_module(package).__all__:
        page = site / "reference" / "api" / package / f"{name}.html"
        assert f'id="{package}.{name}"' in page.read_text(encoding="utf-8"), f"{package}.{name}"


def test_every_command_is_on_the_page_of_the_command_line(site: Path) -> None:
    import typer.main

    from baselines.cli.main import app

    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f'id="adaps-{name}"' in page
        for inner in getattr(command, "commands", {}):
            assert f'id="adaps-{name}-{inner}"' in page


class Page(html.parser.HTMLParser):
    """The links of a page, the files that it loads, and the places that links may lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src"):
                (self.links if tag == "a" else self.loaded).append(value or "")
            if name == "id":
                self.places.add(value or "")


def test_links_lead_to_files_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """A reader opens the site from the disk: a link to a folder would show its list of files."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 150
    faults = []
    for path, page in pages.items():
        for link in page.loaded + [link for link in page.links if not link.startswith("https://")]:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places
            if parts.scheme or parts.netloc or not target.is_file() or missing:
                faults.append(f"{path.relative_to(site.resolve())}: {link}")
    assert faults == []


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
