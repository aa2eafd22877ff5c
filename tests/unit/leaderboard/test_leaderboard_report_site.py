"""The site as files: whole pages, links that lead somewhere, text that stays text, folders that lose nothing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricate import COSTS, PROVENANCE, fabricate_failure, fabricate_result, fabricate_run, fabricate_suite, snapshot
from PIL import Image
from site_pages import PAPER, Page, broken_links, read_site
from typer.testing import CliRunner

from adaps_agents.schemes.registry import is_builtin, list_schemes, scheme_spec
from baselines.cli.leaderboard import app
from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.files import parse_json, sha256_hex
from baselines.leaderboard.records.metadata_files import Costs
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.records.writer import RunWriter
from baselines.leaderboard.report import write, write_report
from baselines.leaderboard.report.data.schemes import scheme_text
from baselines.leaderboard.report.figures.charts import run_chart
from baselines.leaderboard.report.pages.common import embedded
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.text import printable

ATTACK = "<script>alert(1)</script>"
UPLOT = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.fixture
def site(tmp_path: Path, suite: SuiteConfig) -> Path:
    """The site of a fabricated suite with one failed and one damaged run."""
    runs = tmp_path / "runs"
    fabricate_suite(runs, suite)
    shutil.rmtree(runs / "two/adaps/seed-1")
    fabricate_failure(runs, suite.runs()[-1])
    (runs / "two/fups_id/seed-0/status.json").write_text("{")
    return write_report(runs)[1].parent


def test_pages_are_whole_and_every_link_resolves(site: Path) -> None:
    pages = read_site(site)
    assert {path.relative_to(site.resolve()).as_posix() for path in pages} >= {
        "index.html", "runs.html", "archive.html", "about.html", "tasks/one.html", "tasks/two.html",
        "runs/one/adaps/seed-0.html", "runs/two/adaps/seed-1.html",
    }  # fmt: skip
    assert broken_links(pages) == []
    for page in pages.values():
        assert len(page.ids) == len(set(page.ids)), f"{page.path} gives an id twice"
        assert page.strange_scripts == []


def test_a_broken_link_is_noticed(site: Path) -> None:
    (site / "runs/one/adaps/seed-0.html").unlink()
    assert {fault.split(":")[0] for fault in broken_links(read_site(site))} == {"runs.html", "one.html"}


def test_the_site_can_be_moved(site: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    site.rename(moved)
    shutil.rmtree(tmp_path / "runs")
    assert broken_links(read_site(moved)) == []


def test_pages_fetch_nothing_and_run_nothing_but_their_own_file(site: Path) -> None:
    for page in read_site(site).values():
        policies = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
        assert any("default-src 'none'; script-src 'self';" in policy for policy in policies)
        outside = [link for link in page.links if link.startswith(("http", "//", "javascript"))]
        assert [link for link in outside if not PAPER.fullmatch(link)] == []
        assert page.strange_scripts == []
        handlers = [name for _, name, _ in page.attributes if name.startswith("on")]
        assert handlers == []
        assert "url(http" not in page.path.read_text()
    for name in ("style.css", "board.js", "charts.js"):
        assert "http" not in (site / "assets" / name).read_text()


def test_the_chart_library_is_the_published_one_with_its_licence(site: Path) -> None:
    """Version 1.6.32 of uPlot as npm has it."""
    digests = {name: sha256_hex((site / "assets" / name).read_bytes()) for name in UPLOT}
    assert digests == UPLOT
    assert "MIT License" in (site / "assets/uPlot.LICENSE.txt").read_text()
    pages = read_site(site)
    live = {path.name for path, page in pages.items() if any("uPlot.iife" in link for link in page.links)}
    assert {path.name for path, page in pages.items() if page.data} == live
    assert {"index.html", "one.html"} <= live
    assert "runs.html" not in live


def test_markup_in_any_text_is_shown_and_not_obeyed(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    suite = make_suite(description=ATTACK)
    first, second = suite.runs()[:2]
    origin = PROVENANCE.model_copy(update={"processor": ATTACK, "packages": {ATTACK: ATTACK}})
    result = fabricate_result(first, 0.5)
    sharing = result.sharing.model_copy(update={"summary": {"actor_mask_overlap": [[ATTACK]], ATTACK: 1}})
    writer = RunWriter(tmp_path / first.run_id, first)
    writer.finish(dataclasses.replace(result, sharing=sharing), Costs(started_at=ATTACK), origin)
    fabricate_failure(tmp_path, second, ATTACK)
    (tmp_path / "one" / "<img src=x onerror=alert(1)>" / "seed-0").mkdir(parents=True)
    (tmp_path / "<b>task" / "adaps" / "seed-0").mkdir(parents=True)
    write_suite_file(suite, tmp_path)
    _, index = write_report(tmp_path)
    pages = read_site(index.parent)
    assert broken_links(pages) == []
    for page in pages.values():
        assert page.strange_scripts == []
        assert all("<" not in data for data in page.data)
        assert "b" not in page.tags
        assert not [value for tag, name, value in page.attributes if tag == "img" and value == "x"]
    shown = {name: Page(index.parent / name).text for name in ("index.html", "about.html", f"runs/{first.run_id}.html")}
    assert all(ATTACK in text for text in shown.values())
    assert "<img src=x onerror=alert(1)>" in shown["index.html"]
    assert "<b>task" in shown["index.html"]


def test_a_run_page_says_where_the_run_comes_from(site: Path, suite: SuiteConfig) -> None:
    run = suite.runs()[1]
    text = Page(site / f"runs/{run.run_id}.html").text
    facts = [
        run.digest, run.context_digest, "a" * 40, "0" * 64, "numpy 2.0, torch 2.13.0", "some processor", "3.11.7",
        "60.0 s", "300 MiB", "2026-01-01T00:00:00+00:00", "0: agents 0 1; 1: agents 2 3",
    ]  # fmt: skip
    assert [fact for fact in facts if fact not in text] == []
    sums = (site.parent / run.run_id / "SHA256SUMS").read_text()
    assert sums in text


def test_the_download_for_marl_eval_holds_every_finished_run(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path / "runs", suite)
    site = write_report(tmp_path / "runs")[1].parent
    marl = parse_json((site / "downloads/marl-eval.json").read_bytes())["adaps"]["one"]["adaps"]["seed_0"]
    assert marl["step_2"]["score"] == [pytest.approx(0.8)]
    assert marl["absolute_metrics"]["return"] == [pytest.approx(-120.0)]


def test_downloads_are_what_lies_beside_the_runs(site: Path) -> None:
    for name in ("board.json", "aggregate.json", "board.csv", "board.md"):
        assert (site / "downloads" / name).read_bytes() == (site.parent / name).read_bytes()
    rows = list(csv.DictReader(io.StringIO((site / "downloads/improvement.csv").read_text())))
    pairs = {(row["task"], row["scheme"], row["improvement_over"]) for row in rows}
    assert pairs == {
        (task, *pair) for task in ("one", "two", "all tasks") for pair in (("adaps", "fups_id"), ("fups_id", "adaps"))
    }
    cite = (site / "downloads/cite.bib").read_text()
    assert cite.count("{") == cite.count("}")
    assert "year = {2026}" in cite
    assert "leaderboard: tiny" in cite


def test_an_older_site_leaves_nothing_behind_and_other_files_stay(site: Path) -> None:
    (site / "CNAME").write_text("mine")
    outside = site.parent / "outside.txt"
    outside.write_text("mine")
    with (site / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../outside.txt\n{'0' * 64}  {outside}\n")
    shutil.rmtree(site.parent / "one/adaps")
    write_report(site.parent)
    assert not (site / "runs/one/adaps").exists()
    assert (site / "runs/one/fups_id/seed-0.html").is_file()
    assert (site / "CNAME").read_text() == outside.read_text() == "mine"


def test_another_folder_must_be_new_empty_or_a_site(site: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("mine")
    with pytest.raises(OutputDirectoryError, match="holds no site"):
        write_report(site.parent, site=mine)
    assert snapshot(mine) == {"index.html": b"mine"}
    target = tmp_path / "deep" / "site"
    for _ in range(2):
        assert write_report(site.parent, site=target)[1] == target / "index.html"
    assert snapshot(target) == snapshot(site)


def test_what_was_not_measured_has_no_column(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    run = make_suite().runs()[0]
    RunWriter(tmp_path / run.run_id, run).finish(fabricate_result(run, 0.5), Costs(), PROVENANCE)
    costs = Page(write_report(tmp_path)[1].parent / "tasks/one.html")
    keys = [value for _, name, value in costs.attributes if name == "data-key"]
    assert "trainable_parameters" in keys
    assert "cpu_seconds" not in keys
    fabricate_run(tmp_path, make_suite().runs()[1], 0.5)
    again = Page(write_report(tmp_path)[1].parent / "tasks/one.html")
    assert "cpu_seconds" in [value for _, name, value in again.attributes if name == "data-key"]


def test_a_task_without_reference_scores_has_returns_alone(tmp_path: Path, suite: SuiteConfig) -> None:
    run = suite.runs()[0]
    bare = run.model_copy(update={"task": run.task.model_copy(update={"random_score": None, "scripted_score": None})})
    RunWriter(tmp_path / run.run_id, bare).finish(fabricate_result(run, 0.5), COSTS, PROVENANCE)
    pages = read_site(write_report(tmp_path)[1].parent)
    assert broken_links(pages) == []
    assert any("-150.0" in page.text for page in pages.values())


def test_markdown_is_printed_and_nothing_written(site: Path) -> None:
    before = snapshot(site.parent)
    done = CliRunner().invoke(app, ["report", str(site.parent), "--markdown"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "### All tasks"
    assert "| adaps | 0.900 | [0.800, 1.000] | 1.00 | 2 | 100 | 55.5 |" in lines
    assert "Rows of fewer than 5 runs have no rank." in lines
    assert snapshot(site.parent) == before


def test_report_takes_a_folder_and_a_number_of_pictures(site: Path, tmp_path: Path) -> None:
    target = tmp_path / "public"
    done = CliRunner().invoke(app, ["report", str(site.parent), "--out", str(target), "--pictures", "0"])
    assert done.exit_code == 0
    assert f"page: {target / 'index.html'}" in done.stdout
    assert "What the policies do" not in (target / "tasks/one.html").read_text()
    assert "What the policies do" in (site / "tasks/one.html").read_text()
    assert json.loads((site.parent / "board.json").read_text())


def test_tables_of_a_task_can_be_taken_away(site: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((site / "downloads/tasks/one.csv").read_text())))
    assert [row["scheme"] for row in rows] == ["adaps", "fups_id"]
    assert "\\toprule" in (site / "downloads/tasks/one.tex").read_text()
    assert (site / "downloads/board.tex").read_text().count("\\toprule") == 3
    page = Page(site / "tasks/one.html")
    assert {"../downloads/tasks/one.csv", "../downloads/tasks/one.tex"} <= set(page.links)


def test_a_run_page_offers_the_record_which_verifies(runs: Path, tmp_path: Path) -> None:
    site = write_report(runs)[1].parent
    run = next(runs.glob("*/adaps/seed-0")).relative_to(runs).as_posix()
    assert f"../../../runs/{run}.zip" in Page(site / f"runs/{run}.html").links
    with zipfile.ZipFile(site / f"runs/{run}.zip") as archive:
        archive.extractall(tmp_path / "taken")
    record = read_run(tmp_path / "taken" / run)
    assert record.light
    assert record.config == read_run(runs / run).config
    assert not list((tmp_path / "taken").rglob("weights*"))


def test_a_large_board_offers_the_records_of_small_rows(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a thousand runs takes nobody else's from the site."""
    offered = {path.parent for path in site.rglob("*.zip")}
    first = next(iter(sorted(offered)))
    shutil.rmtree(site.parent / first.relative_to(site / "runs") / "seed-1")
    monkeypatch.setattr(write, "RECORDS_IN_ALL", 2)
    write_report(site.parent)
    left = sorted(path.parent for path in site.rglob("*.zip"))
    assert len(left) == 2 < len(offered)
    assert first in left
    assert broken_links(read_site(site)) == []


def test_schemes_are_described_with_their_papers(site: Path) -> None:
    for name in ("about.html", "tasks/one.html"):
        page = Page(site / name)
        assert scheme_spec("adaps").summary in page.text
        assert "https://arxiv.org/abs/2312.09009" in page.links


@pytest.mark.parametrize("name", [name for name in list_schemes() if is_builtin(name)])
def test_a_description_is_that_of_the_scheme(name: str) -> None:
    text, spec = scheme_text(name), scheme_spec(name)
    assert text is not None
    assert text.summary == spec.summary
    assert "".join(words for words, _ in text.source) == spec.source
    assert all(words in link or words[6:] in link for words, link in text.source if link)


@pytest.mark.parametrize("name", ["", "base", "registry", "__init__", "../schemes/fups", "fups\x00", "a" * 1000, "<b>"])
def test_any_other_name_has_no_description(name: str) -> None:
    assert scheme_text(name) is None


def test_a_report_runs_no_scheme(runs: Path, clean_environment: dict[str, str]) -> None:
    code = (
        "import sys; from pathlib import Path; from baselines.leaderboard.report import write_report; "
        f"write_report(Path({str(runs)!r})); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr


def test_rows_of_few_runs_carry_a_caution(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    for number, cautions in ((4, True), (5, False)):
        out = tmp_path / str(number)
        for run in make_suite(seeds=list(range(number))).runs():
            fabricate_run(out, run, 0.5)
        for name in ("index.html", "tasks/one.html"):
            text = (write_report(out)[1].parent / name).read_text()
            assert ('<span class="caution">' in text) == cautions, (number, name)


def test_every_task_has_a_small_picture(site: Path) -> None:
    with Image.open(site / "thumbnails/one.png") as picture:
        assert max(picture.size) <= 240
    assert "thumbnails/one.png" in Page(site / "index.html").links


def test_area_stands_next_to_the_score(site: Path) -> None:
    for name in ("index.html", "tasks/one.html"):
        keys = [value for _, attribute, value in Page(site / name).attributes if attribute == "data-key"]
        assert [key for key in keys if key != "ci_low"][keys.index("iqm") :][:2] == ["iqm", "auc"]


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028\u2029", "]]>", "&lt;", "\u202e"]
)
def test_no_name_leaves_the_data_of_a_chart(name: str) -> None:
    chart = run_chart(name, [0, 1], [float("nan"), float("inf")], name)
    text = embedded(chart)
    assert text.isascii()
    assert not set("<>&") & set(text)
    data = json.loads(text)
    assert data["series"][0]["name"] == printable(name)
    assert data["series"][0]["y"] == [None, None]
