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
from rich.table import Table

from baselines.leaderboard.report.board import Board
from baselines.leaderboard.report.columns import (
    COST_COLUMNS,
    LEGEND,
    README_COLUMNS,
    SCORE_COLUMNS,
    TOTAL_COLUMNS,
    Column,
    present,
)
from baselines.leaderboard.report.rows import Row
from baselines.leaderboard.text import printable

__all__ = ["csv_rows", "markdown_board", "markdown_table", "print_board"]

# A terminal is narrow: the page has the rest. The second set is added where there is room.
_TERMINAL_COLUMNS = ("#", "scheme", "score", "95 % interval", "ARI", "types", "runs", "trainable", "CPU s")
_WIDE_COLUMNS = ("return", "sampled", "best", "area", "identity steps")
_TOTAL_COLUMNS = ("median", "mean", "gap")
_WIDE = 110


def print_board(board: Board, console: Console) -> None:
    """Print one table a task, and what went wrong."""
    shown = _TERMINAL_COLUMNS + (_WIDE_COLUMNS if console.width >= _WIDE else ())
    chosen = [column for column in (*SCORE_COLUMNS, *COST_COLUMNS[1:]) if column.heading in shown]
    for task in board.task_names():
        console.print(_rich_table(task, chosen, board.rows_of(task)))
    if board.totals:
        total_columns = [column for column in TOTAL_COLUMNS if column.heading in (*shown, *_TOTAL_COLUMNS)]
        console.print(_rich_table("all tasks", total_columns, board.totals))
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
        parts.append(_markdown_table(task, SCORE_COLUMNS, rows))
        parts.append(_markdown_table(f"{task}: parameters and cost", present(COST_COLUMNS, rows), rows))
    if board.problems:
        lines = [f"- {problem.kind} `{_cell(problem.run)}`: {_cell(problem.message)}" for problem in board.problems]
        parts.append("## Runs without a result\n\n" + "\n".join(lines) + "\n")
    return "\n".join([*parts, f"{LEGEND}\n"])


def markdown_table(board: Board) -> str:
    """Return what fits a README: a narrow table of the board, one a task."""
    rows = {task: board.rows_of(task) for task in board.task_names()}
    tables = [_markdown_table(task, present(README_COLUMNS, rows[task]), rows[task], level=3) for task in rows]
    if board.totals:
        tables.insert(0, _markdown_table("All tasks", present(README_COLUMNS, board.totals), board.totals, level=3))
    return "\n".join([*tables, f"{LEGEND}\n"])


def csv_rows(rows: Sequence[Row]) -> str:
    """Return every key of every row as CSV, for spreadsheets; rows have the same keys."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return buffer.getvalue()


def _rich_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table(title=escape(printable(title)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(escape(column.heading), justify="right" if column.numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(printable(column.show(row))) for column in columns))
    return table


def _markdown_table(title: str, columns: Sequence[Column], rows: Sequence[Row], level: int = 2) -> str:
    lines = [f"{'#' * level} {_cell(title)}", ""]
    lines.append("| " + " | ".join(_cell(column.marked) for column in columns) + " |")
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
