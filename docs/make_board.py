"""Make the boards of the repository from their records: ``python docs/make_board.py [SITE]``, or ``make board``.

Reads the submitted files in ``docs/board/records``. Writes ``board.{md,csv}`` and a learning-curve picture for each
task, of the official board into ``docs/board``, with a ``board.json``, of a further study into a folder of it, and the
generated blocks of README.md and docs/explanation/results.md. The same records give the same bytes. With SITE, the
pages of the official board go into that folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from baselines.leaderboard.report import collect_board, write_report
from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.downloads import downloads
from baselines.leaderboard.report.data.rows import BoardRow
from baselines.leaderboard.report.figures.charts import curve_chart
from baselines.leaderboard.verify.packing import unpacked_submission

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs/board"
BLOCK = "<!-- made by docs/make_board.py: {} -->"
END = "<!-- end -->"
MECHANISMS = ("separate nets", "mapped masks", "random masks", "disjoint masks", "group id")
GRID = {
    "found": ("seps", "adaps", "random_masks", "disjoint_masks", "group_id"),
    "true types": ("oracle", "adaps-true", "random-true", "disjoint-true", "group_id-true"),
    "random": ("random_groups", "adaps-random", "random-random", "", ""),
    "each agent alone": ("nops", "adaps-each", "snp_ps", "", "fups_id"),
}
"""Rows of the suite ``grid``, by where groups come from and how they are told apart."""


def main(site: Path | None = None) -> None:
    """Write all files."""
    blocks: dict[str, str] = {}
    boards: dict[str, Board] = {}
    for packed in sorted((FOLDER / "records").iterdir()):
        name = packed.name.removesuffix(".zip.xz")
        official = name == "official"
        with unpacked_submission(packed) as records:
            board = boards[name] = collect_board(records)
            if official and site is not None:
                write_report(records, site=site)
        write(board, FOLDER if official else FOLDER / name)
        before = "" if official else f"{name}: "
        blocks |= {f"{before}scores": scores(board), f"{before}areas": areas(board)}
        if official:
            blocks["costs"] = costs(board)
        if name == "grid":
            blocks["grid: cells"] = grid(board)
    # The warehouse at the settings with which it is learnt.
    fill(ROOT / "README.md", {"scores": scores(boards["official"], boards["warehouse"])})
    fill(ROOT / "docs/explanation/results.md", blocks)


def write(board: Board, folder: Path) -> None:
    """Write the tables and pictures of one board."""
    folder.mkdir(exist_ok=True)
    files = downloads(board)
    # The same as the CSV for programs; of further studies it would take as much room again.
    formats = ("md", "csv", "json") if folder == FOLDER else ("md", "csv")
    for name in (f"board.{suffix}" for suffix in formats):
        content = files[f"downloads/{name}"]
        (folder / name).write_text(content if isinstance(content, str) else content.decode())
    for task in board.task_names():
        (folder / f"curves-{task}.svg").write_text(curves(board, task))


def curves(board: Board, task: str) -> str:
    """Return the learning curves of one task as a picture of its own, for light and dark pages."""
    config = board.task(task)
    assert config is not None
    chart = curve_chart(board.comparisons[task].curves, config.budget, f"{task}: learning curves")
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    dark = "<style>@media (prefers-color-scheme: dark) { svg { color: #e8eaed; } }</style>"
    return chart.svg().replace("<svg ", head, 1).replace(">", f">{dark}", 1)


def scores(*boards: Board) -> str:
    """Return scores by scheme and task, with intervals; the best of the first board are bold."""
    return by_task(
        boards, lambda row: interval(row.iqm, row.ci_low, row.ci_high, row.rank == 1 and row in boards[0].rows)
    )


def areas(board: Board) -> str:
    """Return areas under the learning curve by scheme and task, with intervals."""
    return by_task([board], lambda row: interval(row.auc, row.auc_low, row.auc_high, False))


def by_task(boards: Sequence[Board], cell: Callable[[BoardRow], str]) -> str:
    """Return a table with a row for each scheme and a column for each task, of the last board that has the task.

    Rows are in the order of their mean score over the tasks that all of them have.
    """
    columns = {
        task: [row for row in board.rows_of(task) if row.runs] for board in boards for task in board.task_names()
    }
    by_scheme: dict[str, dict[str, BoardRow]] = {}
    for task, rows in columns.items():
        for row in rows:
            by_scheme.setdefault(row.scheme, {})[task] = row
    common = [task for task in columns if all(task in own for own in by_scheme.values())]
    ordered = sorted(by_scheme, key=lambda scheme: -fmean(by_scheme[scheme][task].iqm or 0 for task in common))
    runs = ["/".join(map(str, sorted({row.runs for row in rows}))) for rows in columns.values()]
    heads = [f"{task}, {count} runs" for task, count in zip(columns, runs, strict=True)]
    lines = [
        [f"`{scheme}`", *(cell(by_scheme[scheme][task]) if task in by_scheme[scheme] else "" for task in columns)]
        for scheme in ordered
    ]
    return table(["scheme", *heads], lines)


def grid(board: Board) -> str:
    """Return the grid: score and area of groups from one source (rows) that are told apart in one way (columns)."""
    rows = {row.scheme: row for row in board.rows if row.runs}
    lines = [
        [source, *(f"{rows[name].iqm:.2f}; {rows[name].auc:.2f}" if name in rows else "" for name in names)]
        for source, names in GRID.items()
    ]
    return table(["groups", *MECHANISMS], lines)


def costs(board: Board) -> str:
    """Return what each scheme costs on each task."""
    lines = [
        [
            row.task, f"`{row.scheme}`", number(row.trainable_parameters), number(row.flops_per_decision),
            number(row.identity_steps), number(row.cpu_seconds), "" if row.ari is None else f"{row.ari:.2f}",
        ]
        for row in board.rows
        if row.runs
    ]  # fmt: skip
    heads = ["task", "scheme", "trainable parameters", "FLOPs a decision", "identity steps", "CPU seconds a run", "ARI"]
    return table(heads, lines)


def interval(value: float | None, low: float | None, high: float | None, best: bool) -> str:
    """Return a value with the ends of its interval; bold if it is among the best."""
    if value is None:
        return ""
    text = f"**{value:.3f}**" if best else f"{value:.3f}"
    return text if low is None or high is None else f"{text} [{low:.2f}, {high:.2f}]"


def number(value: float | None) -> str:
    """Return a whole number with separators."""
    return "" if value is None else f"{value:,.0f}"


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def fill(page: Path, blocks: dict[str, str]) -> None:
    """Replace the generated blocks of a page.

    Raises:
        SystemExit: the page lacks the marks of a block.
    """
    text = page.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin = BLOCK.format(name)
        text, count = re.subn(
            f"{re.escape(begin)}.*?{re.escape(END)}", lambda _, b=begin, c=content: f"{b}\n{c}\n{END}", text, flags=re.S
        )
        if count != 1:
            raise SystemExit(f"{page} has {count} blocks {begin} ... {END}; it needs one.")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
