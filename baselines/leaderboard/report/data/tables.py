"""The board as text: a terminal table, Markdown, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any
from unicodedata import normalize

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.columns import (
    COST_COLUMNS,
    LEGEND,
    ON_SOME_BOARDS,
    README_COLUMNS,
    README_TOTAL_COLUMNS,
    SCHEME,
    SCORE_COLUMNS,
    TOTAL_COLUMNS,
    AnyRow,
    Column,
    present,
)
from baselines.leaderboard.report.data.rows import Row
from baselines.leaderboard.statistics import scores as stats
from baselines.text import printable

__all__ = ["csv_rows", "markdown_board", "markdown_table", "print_board"]

# A terminal is narrow: the page has the rest. The first ones are always there, the others as far as there is room.
_TERMINAL_COLUMNS = ("#", "scheme", "score", "95 % interval")
_MORE_COLUMNS = (
    *("held-out", "revealed", "ARI", "runs", "types", "trainable", "CPU s", "return", "median", "mean", "gap"),
    *("greedy", "sampled", "best", "area", "identity steps"),
)
_UNBOUNDED = 100_000
_SHORTEST_NAME = 6


def print_board(board: Board, console: Console) -> None:
    """Print one table a task, and what went wrong."""
    columns = _without_empty((*SCORE_COLUMNS, *COST_COLUMNS[1:]), board.rows)
    tasks = [(task, board.rows_of(task)) for task in board.task_names()]
    chosen = _fitting(columns, [rows for _, rows in tasks], console)
    for task, rows in tasks:
        console.print(_rich_table(task, chosen, rows))
    if board.totals:
        console.print(_rich_table("all tasks", _fitting(TOTAL_COLUMNS, [board.totals], console), board.totals))
    if note := _note_on_ranks(board):
        console.print(note, highlight=False)
    for problem in board.problems:
        line = printable(f"{problem.kind} {problem.run}: {problem.message}")
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def markdown_board(board: Board) -> str:
    """Return the board as Markdown tables, one a task."""
    parts = []
    if board.totals:
        parts.append(_markdown_table("All tasks", TOTAL_COLUMNS, board.totals))
    for task in board.task_names():
        rows = board.rows_of(task)
        parts.append(_markdown_table(task, _without_empty(SCORE_COLUMNS, rows), rows))
        parts.append(_markdown_table(f"{task}: parameters and cost", present(COST_COLUMNS, rows), rows))
    if board.problems:
        lines = [f"- {problem.kind} `{_cell(problem.run)}`: {_cell(problem.message)}" for problem in board.problems]
        parts.append("## Runs without a result\n\n" + "\n".join(lines) + "\n")
    return "\n".join([*parts, *_notes(board)])


def markdown_table(board: Board) -> str:
    """Return what fits a README: a narrow table of the board, one a task."""
    tables = []
    if board.totals:
        tables.append(_markdown_table("All tasks", present(README_TOTAL_COLUMNS, board.totals), board.totals, level=3))
    for task in board.task_names():
        rows = board.rows_of(task)
        tables.append(_markdown_table(task, present(README_COLUMNS, rows), rows, level=3))
    return "\n".join([*tables, *_notes(board)])


def _notes(board: Board) -> list[str]:
    return [f"{note}\n" for note in (_note_on_ranks(board), LEGEND) if note]


def _note_on_ranks(board: Board) -> str:
    """Say that rows have too few runs for a rank, if any have."""
    rows: list[Row] = [*board.rows, *board.totals]
    few = any(row.iqm is not None and row.rank is None for row in rows)
    return f"Rows of fewer than {stats.RANKED_RUNS} runs have no rank." if few else ""


def csv_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return every key of every row as CSV, for spreadsheets; rows have the same keys."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue()


def _without_empty(columns: Sequence[Column], rows: Sequence[AnyRow]) -> list[Column]:
    """Return the columns, without those of held-out and revealed episodes where there are none, as on most boards."""
    return [column for column in columns if column not in ON_SOME_BOARDS or present([column], rows)]


def _fitting(columns: Sequence[Column], tables: Sequence[Sequence[AnyRow]], console: Console) -> list[Column]:
    """Return the columns that a terminal has room for in all of some tables, the first of those that may go first."""
    by_heading = {column.heading: column for column in columns}
    chosen = {heading for heading in _TERMINAL_COLUMNS if heading in by_heading}
    options = console.options.update(width=_UNBOUNDED)
    for heading in _MORE_COLUMNS:
        if heading not in by_heading:
            continue
        wider = [column for column in columns if column.heading in {*chosen, heading}]
        widths = [Measurement.get(console, options, _rich_table("", wider, rows)).maximum for rows in tables]
        if max(widths, default=0) > console.width:
            break
        chosen.add(heading)
    return [column for column in columns if column.heading in chosen]


def _rich_table(title: str, columns: Sequence[Column], rows: Sequence[AnyRow]) -> Table:
    table = Table(title=escape(printable(title)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # A name that is too long goes on in the next line; a number is never broken.
        table.add_column(
            escape(column.heading),
            justify="right" if column.numeric else "left",
            no_wrap=column.heading != SCHEME.heading,
            overflow="fold",
            min_width=_SHORTEST_NAME if column.heading == SCHEME.heading else None,
        )
    for row in rows:
        table.add_row(*(escape(printable(column.show(row))) for column in columns))
    return table


def _markdown_table(title: str, columns: Sequence[Column], rows: Sequence[AnyRow], level: int = 2) -> str:
    lines = [f"{'#' * level} {_cell(title)}", ""]
    lines.append("| " + " | ".join(_cell(column.marked(rows)) for column in columns) + " |")
    lines.append("|" + "|".join("---:" if column.numeric else "---" for column in columns) + "|")
    lines += ["| " + " | ".join(_cell(column.show(row)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Make ``text`` safe inside a Markdown cell: one line, no column mark, no markup, no link."""
    flat = printable(" ".join(text.split())).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
    return flat.replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")


def _no_formula(value: Any) -> Any:
    """A spreadsheet would run text that begins like a formula, also behind blanks or in characters of double width."""
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if normalize("NFKC", shown).lstrip().startswith(("=", "+", "-", "@")) else shown
