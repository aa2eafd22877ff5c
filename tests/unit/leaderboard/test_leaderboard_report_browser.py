"""The site in a browser, from the disk: it sorts and filters, complains of nothing and asks nobody for anything."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import pytest
from chromium import LOOK, Chromium, Visit, drive, find_chromium
from fabricate import fabricate_failure, fabricate_run

from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.report import write_report
from baselines.leaderboard.spec.config import SuiteConfig

SCORES = {"nops": 0.9, "adaps": 0.7, "fups_id": 0.5, "fups": 0.1}
ATTACK = "<img src=x onerror=alert(1)><script>alert(1)</script>"

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    """The browser, if there is one."""
    return find_chromium(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two tasks and four schemes, with a run that failed and names that are markup."""
    from fabricate import suite_data

    runs = tmp_path_factory.mktemp("runs")
    suite = SuiteConfig.model_validate(suite_data(schemes=list(SCORES), description=ATTACK))
    for run in suite.runs():
        shift = 0.05 * run.seed + (0.3 if run.task.name == "two" and run.scheme.label == "fups" else 0.0)
        fabricate_run(runs, run, SCORES[run.scheme.label] + shift)
    shutil.rmtree(runs / "two/nops/seed-1")
    fabricate_failure(runs, next(run for run in suite.runs() if run.run_id == "two/nops/seed-1"), ATTACK)
    (runs / "one" / ATTACK.replace("/", "") / "seed-0").mkdir(parents=True)
    write_suite_file(suite, runs)
    return write_report(runs)[1].parent


@pytest.fixture
def site(whole_site: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(whole_site, tmp_path / "site")


def rows(visit: Visit) -> list[tuple[str, str]]:
    """Task and scheme of the rows of the board that are shown, in their order."""
    board = visit.dom[visit.dom.index('<table id="board"') :]
    board = board[: board.index("</table>")]
    found = re.findall(r'<tr data-scheme="([^"]*)" data-task="([^"]*)"([^>]*)>', board)
    return [(task, html.unescape(scheme)) for scheme, task, rest in found if "hidden" not in rest]


def test_an_address_sorts_and_filters(browser: Chromium, whole_site: Path) -> None:
    visit = browser.open(whole_site / "index.html", "sort=iqm&order=ascending&task=two&columns=costs")
    assert rows(visit) == [("two", scheme) for scheme in ("fups", "fups_id", "adaps", "nops")]
    assert re.search(r'data-key="iqm"[^>]* aria-sort="ascending"', visit.dom)
    assert '<table id="board" class="sortable" data-columns="costs"' in visit.dom
    assert "4 of 9 rows" in visit.dom


def test_nonsense_in_the_address_shows_the_whole_board(browser: Chromium, whole_site: Path) -> None:
    visit = browser.open(whole_site / "index.html", "sort=__proto__&order=constructor&task=none&columns=x&find=%3Cb%3E")
    assert rows(visit) == []
    assert "0 of 9 rows" in visit.dom
    assert visit.console == []
    assert len(rows(browser.open(whole_site / "index.html", "sort=__proto__&order=up&task=none&columns=x"))) == 9


def test_a_visitor_sorts_filters_and_starts_again(browser: Chromium, site: Path) -> None:
    steps, visit = drive(
        browser,
        site,
        """
        const shown = () => Array.from(document.querySelectorAll("#board tbody tr:not([hidden])"),
                                       (row) => row.dataset.task + " " + row.dataset.scheme);
        const click = (key) => document.querySelector(`#board th[data-key=${key}] button`).click();
        const type = (name, value) => {
          const control = document.querySelector(`form.controls [name=${name}]`);
          control.value = value;
          control.dispatchEvent(new Event("input", { bubbles: true }));
        };
        result.push(shown());
        click("iqm"); result.push(shown(), location.hash);
        click("iqm"); result.push(shown());
        type("find", "FUPS"); type("task", "one"); result.push(shown(), location.hash);
        document.querySelector("form.controls [type=reset]").click(); result.push(shown(), location.hash);
        const sorted = document.querySelectorAll("#board [aria-sort=descending], #board [aria-sort=ascending]");
        result.push(sorted.length, getComputedStyle(document.querySelector("#board th.cost")).display);
        type("columns", "all"); result.push(getComputedStyle(document.querySelector("#board th.cost")).display);
        location.hash = "content"; dispatchEvent(new Event("hashchange"));
        result.push(document.getElementById("board").dataset.columns);
        """,
    )
    first, descending, address, ascending, filtered, second_address, again, third_address, *rest = steps
    scored = [row for row in first if row[4:] in SCORES]
    assert len(first) == 9
    assert descending[:8] == sorted(scored, key=lambda row: -final_score(row))
    assert ascending[:8] == sorted(scored, key=final_score)
    assert descending[8] == ascending[8], "a row without a score comes last both ways"
    assert address == "#sort=iqm&order=descending"
    assert filtered == ["one fups", "one fups_id"]
    assert second_address == "#find=FUPS&task=one&sort=iqm&order=ascending"
    assert again == first
    assert [third_address, *rest] == ["", 0, "none", "table-cell", "all"]
    assert visit.console == []


def final_score(row: str) -> float:
    """The interquartile mean that the fixture gives to a row."""
    scheme = row.split(" ", 1)[1]
    if row == "two nops":
        return SCORES[scheme]
    return SCORES[scheme] + 0.025 + (0.3 if row == "two fups" else 0.0)


def test_other_tables_sort_too(browser: Chromium, site: Path) -> None:
    script = """
        document.querySelector("#runs th[data-key=score] button").click();
        result.push(Array.from(document.querySelectorAll("#runs tbody tr"), (row) => row.cells[4].dataset.value));
    """
    (values,), _ = drive(browser, site, script, "runs.html")
    numbers = [float(value) for value in values[:-1]]
    assert len(values) == 16
    assert numbers == sorted(numbers, reverse=True)
    assert values[-1] == ""


@pytest.mark.parametrize("page", ["index.html", "tasks/one.html", "runs/two/nops/seed-1.html", "about.html"])
def test_pages_complain_of_nothing_and_ask_nobody(browser: Chromium, whole_site: Path, page: str) -> None:
    visit = browser.open(whole_site / page)
    assert visit.console == []
    assert visit.requests == []
    assert re.findall(r'<img src="(?!(?:\.\./)*(?:pictures|thumbnails)/)', visit.dom) == []
    if page != "tasks/one.html":
        assert "&lt;script&gt;alert(1)" in visit.dom or page == "about.html"


def test_the_policy_of_the_pages_holds(browser: Chromium, site: Path) -> None:
    """The twin of the test before: what it looks for is seen, and what a page must not fetch is not fetched."""
    page = site / "about.html"
    outside = '<img src="http://example.com/x.png"><script>console.log("ran")</script></main>'
    page.write_text(page.read_text().replace("</main>", outside))
    visit = browser.open(page)
    assert len(visit.console) == 2
    assert all("Content Security Policy" in line for line in visit.console)
    assert visit.requests == []
    page.write_text(page.read_text().replace("Content-Security-Policy", "nothing"))
    open_page = browser.open(page)
    assert any("ran" in line for line in open_page.console)
    assert "http://example.com/x.png" in open_page.requests


def test_controls_and_pictures_have_names(browser: Chromium, site: Path) -> None:
    script = """
        const named = "a, button, input, select, figure img, svg[role=img], nav, [role=region], table, th";
        for (const element of document.querySelectorAll(named)) {
          if (!element.computedName && element.checkVisibility()) result.push(element.outerHTML.slice(0, 120));
        }
        result.push(document.querySelector("#board [data-key=iqm] button")?.computedName ?? "");
    """
    options = ("--enable-blink-features=ComputedAccessibilityInfo",)
    *nameless, name = drive(browser, site, script, "index.html", *options)[0]
    assert nameless == []
    assert name == "Sort by score"
    assert drive(browser, site, script, "tasks/one.html", *options)[0] == [""]


def test_without_the_script_the_board_is_a_plain_table(browser: Chromium, site: Path) -> None:
    for name in ("board.js", "charts.js"):
        (site / "assets" / name).write_text("")
    visit = browser.open(site / "index.html")
    assert len(rows(visit)) == 9
    assert re.search(r"<form [^>]*hidden", visit.dom)
    assert "<button" not in visit.dom[visit.dom.index('<table id="board"') :]
    assert visit.dom.count('<div class="static"><svg') == visit.dom.count('<figure class="chart"') == 2
    assert "<canvas" not in visit.dom


@pytest.mark.slow
def test_a_visitor_points_at_a_chart_and_hides_a_scheme(browser: Chromium, site: Path) -> None:
    steps, visit = drive(
        browser,
        site,
        """
        const figure = Array.from(document.querySelectorAll("figure.chart"))
          .find((one) => one.textContent.startsWith("Learning curves"));
        let over = figure.querySelector(".u-over");
        const frame = over.getBoundingClientRect();
        const tip = () => figure.querySelector(".tip").hidden ? "" : figure.querySelector(".tip").textContent;
        const point = (right, down) => {
          const place = { clientX: frame.left + right * frame.width, clientY: frame.top + down * frame.height };
          over.dispatchEvent(new MouseEvent("mouseenter", place));
          over.dispatchEvent(new MouseEvent("mousemove", { bubbles: true, ...place }));
          return tip();
        };
        const ink = () => {
          const canvas = figure.querySelector("canvas");
          const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let seen = 0;
          for (let i = 0; i < bytes.length; i += 4) {
            seen += bytes[i] === 0 && bytes[i + 1] === 0x84 && bytes[i + 2] === 0xfc && bytes[i + 3] === 255;
          }
          return seen;
        };
        const drawn = () => new Promise((done) => setTimeout(done, 100));
        result.push(document.querySelectorAll(".static").length, figure.querySelectorAll("canvas").length);
        result.push(point(0.99, 0.01), ink());
        const button = Array.from(document.querySelectorAll(".legend button"))
          .find((one) => one.textContent.trim() === "nops");
        button.click();
        await drawn();
        over = figure.querySelector(".u-over");
        result.push(button.getAttribute("aria-pressed"), ink(), point(0.99, 0.01));
        button.click();
        await drawn();
        result.push(button.getAttribute("aria-pressed"), ink());
        const live = figure.querySelector(".live");
        const press = (key) => { live.dispatchEvent(new KeyboardEvent("keydown", { key })); return tip(); };
        press("Escape");
        result.push(press("ArrowRight"), press("ArrowRight"), press("ArrowDown"), press("Escape"));
        const wide = figure.querySelector(".toggle");
        const before = figure.querySelector("canvas").toDataURL();
        wide.click();
        await drawn();
        result.push(wide.getAttribute("aria-pressed"), figure.querySelector("canvas").toDataURL() !== before);
        """,
        "tasks/two.html",
    )
    static, canvases, best, ink, hidden, less, next_best, shown, again, *keys, pressed, changed = steps
    assert (static, canvases) == (0, 1)
    assert re.fullmatch(r"nops: 0\.9; environment steps 2,000", best)
    assert ink > 50
    assert (hidden, less) == ("false", 0)
    assert re.fullmatch(r"fups: 0\.\d+ \[.*\]; environment steps 2,000|adaps: .*", next_best)
    assert (shown, again) == ("true", ink)
    assert all(re.fullmatch(r"\w+: [-\d.]+.*; environment steps [\d,]+", key) for key in keys[:3]), keys
    assert keys[3] == ""
    assert (pressed, changed) == ("true", True)
    assert visit.console == []
    assert visit.requests == []


@pytest.mark.slow
def test_what_leads_to_a_name_is_no_part_of_its_curve(browser: Chromium, site: Path) -> None:
    """A line in the curve's colour from its end down to its name would look like a collapse at the budget."""
    script = """
        const figure = Array.from(document.querySelectorAll("figure.chart"))
          .find((one) => one.textContent.startsWith("Learning curves"));
        const canvas = figure.querySelector("canvas");
        const over = figure.querySelector(".u-over").getBoundingClientRect();
        const ratio = canvas.width / canvas.getBoundingClientRect().width;
        const right = Math.round((over.right - canvas.getBoundingClientRect().left) * ratio);
        const ink = (left, width) => {
          const bytes = canvas.getContext("2d").getImageData(left, 0, width, canvas.height).data;
          let seen = 0;
          for (let i = 0; i < bytes.length; i += 4) {
            seen += bytes[i] < 90 && bytes[i + 2] > 180;
          }
          return seen;
        };
        result.push(ink(right - 12, 8), ink(right + 3, 5), ink(right + 9, 8));
    """
    (curve, way, name), _ = drive(browser, site, script, "tasks/two.html")
    assert curve > 0
    assert way == 0
    assert name > 0


HINTS = '; result.push(document.querySelectorAll(".hint:not([hidden])").length)'


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    ["index.html", "tasks/one.html", "runs/one/nops/seed-0.html", "runs/two/nops/seed-1.html", "runs.html",
     "archive.html", "about.html"],
)  # fmt: skip
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_text_has_contrast_and_fits_the_page(browser: Chromium, site: Path, page: str, dark: bool, width: int) -> None:
    """Contrast AA of WCAG 2 for all text, light and dark, on a telephone and on a desk; only tables scroll sideways."""
    options = ("--window-size=1400,1000", f"--blink-settings=preferredColorScheme={0 if dark else 1}")
    steps, visit = drive(browser, site, LOOK + HINTS, page, *options, width=width)
    *pale, checked, background, inner, needed, hints = steps
    assert pale == []
    assert checked > 10
    assert background == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert inner == width
    assert needed <= width
    if width == 390:
        assert hints > 0 or page not in ("index.html", "tasks/one.html", "runs.html")
    assert visit.console == []
    assert visit.requests == []


@pytest.mark.slow
def test_pale_text_and_a_broad_page_are_noticed(browser: Chromium, site: Path) -> None:
    """The twin of the test before: what it looks for is seen."""
    with (site / "assets/style.css").open("a") as style:
        style.write("h1 { color: #999; width: 3000px; }")
    *pale, _, _, inner, needed, _ = drive(browser, site, LOOK + HINTS, "about.html")[0]
    assert pale == ["2.85: About"]
    assert needed > inner
