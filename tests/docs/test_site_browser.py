"""The documentation in a browser, from the disk: contrast, and tables that scroll without a mouse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chromium import LOOK, Chromium, drive, find_chromium

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

# Of every kind of page one: start, prose with code, broad tables, generated ones.
PAGES = [
    "index.html", "tutorials/first-board.html", "explanation/results.html", "envs.html", "envs/BPS-1-v0.html",
    "reference/cli.html", "reference/api/adaps_envs/BatchedEnv.html", "how-to/custom-suites.html",
]  # fmt: skip
# The theme's own scripts run after those of a page.
THEME = "await new Promise((done) => setTimeout(done, 300));"
FOCUS = """
    for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
      if (box.scrollWidth > box.clientWidth) result.push(box.tabIndex);
    }
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    """The browser, if there is one."""
    return find_chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture
def copy(site: Path, tmp_path: Path) -> Path:
    """A site that a test may change."""
    return shutil.copytree(site, tmp_path / "site")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_text_has_contrast_and_fits_the_page(browser: Chromium, copy: Path, page: str, dark: bool, width: int) -> None:
    options = ("--window-size=1400,1000", f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    (*pale, checked, background, inner, needed), visit = drive(browser, copy, THEME + LOOK, page, *options, width=width)
    assert pale == []
    assert checked > 10
    assert (background == "rgb(255, 255, 255)") != dark
    assert inner == width
    assert needed <= width
    assert visit.console == []
    assert visit.requests == []


def test_pale_text_is_noticed(browser: Chromium, copy: Path) -> None:
    """The twin of the test before: what it looks for is seen."""
    with (copy / "extra.css").open("a") as style:
        style.write(".md-typeset h1 { color: #bbb; }")
    pale = drive(browser, copy, THEME + LOOK, "envs.html")[0][:-4]
    assert pale == ["1.92: Environments"]


def test_tables_that_scroll_can_have_the_focus(browser: Chromium, copy: Path) -> None:
    boxes = drive(browser, copy, THEME + FOCUS, "explanation/results.html", width=390)[0]
    assert boxes
    assert set(boxes) == {0}
    (copy / "extra.js").write_text("")
    assert set(drive(browser, copy, THEME + FOCUS, "explanation/results.html", width=390)[0]) == {-1}


def test_the_search_finds_without_a_server(browser: Chromium, copy: Path) -> None:
    script = (
        THEME
        + """
        const field = document.querySelector(".md-search__input");
        result.push(getComputedStyle(document.querySelector(".md-search__form")).visibility, field.offsetWidth > 0);
        field.focus();
        field.value = "relevance gates";
        field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
        await new Promise((done) => setTimeout(done, 1000));
        result.push(...Array.from(document.querySelectorAll(".md-search-result__link"), (link) => link.href));
    """
    )
    (shown, wide, *found), visit = drive(browser, copy, script, "envs.html", "--window-size=1400,1000")
    assert (shown, wide) == ("visible", True)
    assert any("adaps-gates.html" in link for link in found)
    assert visit.console == []
    assert visit.requests == []
