"""Putting the report on disk: data files beside the runs, and a site of static pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from baselines.leaderboard.files import replace_file
from baselines.leaderboard.records.reader import SUMS, RunRecord
from baselines.leaderboard.report.data.board import Board, collect_board
from baselines.leaderboard.report.data.downloads import downloads
from baselines.leaderboard.report.pages.common import SitePages, run_archive, run_page
from baselines.leaderboard.report.pages.run_page import packed, render_run_page
from baselines.leaderboard.report.pages.site import SiteFolder
from baselines.leaderboard.report.pages.task_page import films_a_task, write_task_page, write_thumbnail

__all__ = ["BESIDE_THE_RUNS", "SITE", "publish_site", "write_report", "write_site"]

BESIDE_THE_RUNS = ("board.json", "aggregate.json", "board.md", "board.csv")
SITE = "site"
_ASSETS = ("style.css", "board.js", "charts.js", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt")
RECORDS_IN_ALL = 1_000
"""So many pages of runs offer the record, those of small rows first: the site would be as large as all records."""


def write_report(out: Path, *, site: Path | None = None, pictures: int | None = None) -> tuple[Board, Path]:
    """Compute the board of ``out`` and write it: data files beside the runs, pages into a folder of their own.

    Writes ``board.json`` (list of rows), ``aggregate.json`` (rows over all tasks; empty with one task), ``board.md``
    and ``board.csv`` into ``out``, and a site, which holds copies of them and needs nothing else.

    Args:
        out: output directory of runs.
        site: folder of the site; default ``out/site``. Any other folder must be new, empty or hold a site.
        pictures: how many schemes of a task are shown at play, the best ones; default
            :func:`~baselines.leaderboard.report.pages.task_page.films_a_task`.

    Returns:
        The board, and the path of the site's first page.

    Raises:
        ConfigError: there are no runs.
        ConfigMismatchError: runs that cannot be compared lie in one directory.
        OutputDirectoryError: a file cannot be written, or the folder holds something else than a site.
    """
    board = collect_board(out)
    folder = SiteFolder(out / SITE if site is None else site, fresh=site is not None)
    data = downloads(board)
    _write_data(out, data)
    _write_site(board, folder, data, films_a_task(board) if pictures is None else pictures)
    return board, folder.root / "index.html"


def publish_site(site: Path, out: Path) -> Path:
    """Make a site that :func:`write_site` wrote elsewhere the report of ``out``; return the path of its first page."""
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    _write_data(out, {name: (site / name).read_bytes() for name in names if name.startswith("downloads/")})
    folder = SiteFolder(out / SITE)
    # The first page comes last, so that what it links to is there.
    for name in sorted(names, key=lambda name: name == "index.html"):
        if name != SUMS:
            folder.write(name, (site / name).read_bytes())
    folder.finish()
    return folder.root / "index.html"


def write_site(board: Board, site: Path) -> None:
    """Write the pages of a board, and all that can be taken away from it, into an empty folder."""
    _write_site(board, SiteFolder(site), downloads(board), films_a_task(board))


def _write_data(out: Path, data: Mapping[str, str | bytes]) -> None:
    for name in BESIDE_THE_RUNS:
        content = data[f"downloads/{name}"]
        replace_file(out / name, content.encode() if isinstance(content, str) else content)


def _write_site(board: Board, folder: SiteFolder, data: Mapping[str, str | bytes], films: int) -> None:
    pages = SitePages(board)
    for name in _ASSETS:
        folder.write(f"assets/{name}", (files(__package__) / "static" / name).read_bytes())
    for name, content in data.items():
        folder.write(name, content)
    offered = _offered(board.records)
    for record in board.records:
        run = record.config.run_id
        folder.write(run_page(run), render_run_page(pages, record, archive=run in offered))
        if run in offered:
            folder.write(run_archive(run), packed(record))
    for task in board.task_names():
        write_task_page(pages, folder, task, films)
        if films:
            write_thumbnail(pages, folder, task)
    folder.write("runs.html", pages.runs())
    folder.write("archive.html", pages.archive())
    folder.write("about.html", pages.about())
    # Last, so that what it links to is there.
    folder.write("index.html", pages.index())
    folder.finish()


def _offered(records: Sequence[RunRecord]) -> set[str]:
    """Return the runs whose records a site holds: one row of a thousand runs must not take them from all others."""
    rows = [(record.config.task.name, record.config.scheme.label) for record in records]
    sizes = Counter(rows)
    order = sorted(range(len(records)), key=lambda place: sizes[rows[place]])
    return {records[place].config.run_id for place in order[:RECORDS_IN_ALL]}
