"""The board as text: a terminal table, Markdown, CSV. Columns are declared once, here, for every form of the board."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from baselines.leaderboard.report.rows import BASELINE, Board

__all__ = ["COST_COLUMNS", "SCORE_COLUMNS", "TOTAL_COLUMNS", "Column", "csv_board", "markdown_board", "print_board"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the board: its heading, what it means, and how a row is shown in it."""

    heading: str
    meaning: str
    show: Callable[[Row], str]
    numeric: bool = True


def _number(key: str, digits: int = 3) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else f"{row[key]:.{digits}f}"


def _count(key: str) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else f"{row[key]:,}"


def _text(key: str) -> Callable[[Row], str]:
    return lambda row: "" if row[key] is None else str(row[key])


def _interval(low: str, high: str, digits: int = 3) -> Callable[[Row], str]:
    return lambda row: "" if row[low] is None else f"[{row[low]:.{digits}f}, {row[high]:.{digits}f}]"


def _improvement(row: Row) -> str:
    if row["improvement"] is None:
        return ""
    interval = _interval("improvement_low", "improvement_high", 2)(row)
    return f"{row['improvement']:.2f} {interval}".rstrip()


def _runs(row: Row) -> str:
    missing = [f"{row[key]} {key}" for key in ("failed", "open") if row[key]]
    return ", ".join([str(row["runs"]), *missing])


_RANK = Column("#", "rank; rows whose intervals overlap share it", _text("rank"))
_SCHEME = Column("scheme", "parameter-sharing scheme", _text("scheme"), numeric=False)
_IQM = Column("score", "greedy return at the budget: 0 random, 1 scripted; interquartile mean of runs", _number("iqm"))
_INTERVAL = Column("95 % interval", "stratified bootstrap over runs", _interval("ci_low", "ci_high"))
_BETTER = Column(
    f"P(> {BASELINE})", f"probability that a run beats one of {BASELINE}, with 95 % interval", _improvement
)

SCORE_COLUMNS = (
    _RANK,
    _SCHEME,
    _IQM,
    _INTERVAL,
    Column("return", "mean team return at the budget, greedy, not normalised", _number("return_mean", 1)),
    Column("sampled", "score with sampled actions", _number("sampled_iqm")),
    Column("best", "score of the best point's policy in fresh episodes (absolute metric)", _number("absolute_iqm")),
    Column("area", "mean height of the learning curve up to the budget, identity steps included", _number("auc")),
    _BETTER,
    Column("ARI", "adjusted Rand index of the partition used against the hidden types", _number("ari", 2)),
    Column("runs", "finished runs; failed and open ones are named", _runs),
)

COST_COLUMNS = (
    _SCHEME,
    Column("trainable", "trainable parameters, actor and critic", _count("trainable_parameters")),
    Column("actor", "trainable parameters of the actor", _count("trainable_actor")),
    Column("critic", "trainable parameters of the critic", _count("trainable_critic")),
    Column("fixed", "parameters that are never trained", _count("fixed_parameters")),
    Column("fixed bits", "bits of fixed masks", _count("fixed_bits")),
    Column("pretraining", "parameters used in the identity phase alone", _count("pretraining_parameters")),
    Column("FLOPs", "floating-point operations of one agent's decision", _count("flops_per_decision")),
    Column("identity steps", "environment steps of the identity phase, part of the budget", _count("identity_steps")),
    Column("steps", "environment steps in all", _count("env_steps")),
    Column("CPU s", "processor seconds of a run, evaluation included (mean)", _number("cpu_seconds", 1)),
    Column("wall s", "seconds of a run (mean)", _number("wall_seconds", 1)),
    Column(
        "peak MiB",
        "peak memory of the run's process (mean)",
        lambda row: "" if row["peak_memory_bytes"] is None else f"{row['peak_memory_bytes'] / 2**20:.0f}",
    ),
)

TOTAL_COLUMNS = (
    _RANK,
    _SCHEME,
    _IQM,
    _INTERVAL,
    Column("median", "median over tasks of the mean over runs", _number("median")),
    Column("mean", "mean over tasks and runs", _number("mean")),
    Column("gap", "optimality gap: how far below 1 on average", _number("optimality_gap")),
    _BETTER,
)

# A terminal is narrow: the page has the rest. The second set is added where there is room.
_TERMINAL_COLUMNS = ("#", "scheme", "score", "95 % interval", "ARI", "runs", "trainable", "CPU s")
_WIDE_COLUMNS = ("return", "sampled", "best", "area", "identity steps")
_WIDE = 110


def print_board(board: Board, console: Console) -> None:
    """Print one table a task, and what went wrong."""
    shown = _TERMINAL_COLUMNS + (_WIDE_COLUMNS if console.width >= _WIDE else ())
    chosen = [column for column in (*SCORE_COLUMNS, *COST_COLUMNS[1:]) if column.heading in shown]
    for task in dict.fromkeys(row["task"] for row in board.rows):
        rows = [row for row in board.rows if row["task"] == task]
        console.print(_rich_table(task, chosen, rows))
    if board.totals:
        console.print(_rich_table("all tasks", TOTAL_COLUMNS, board.totals))
    for problem in board.problems:
        console.print(f"{problem.kind} {problem.run}: {problem.message}", markup=False, highlight=False, soft_wrap=True)


def markdown_board(board: Board) -> str:
    """Return the board as Markdown tables, one a task."""
    parts = []
    if board.totals:
        parts.append(_markdown_table("All tasks", TOTAL_COLUMNS, board.totals))
    for task in dict.fromkeys(row["task"] for row in board.rows):
        rows = [row for row in board.rows if row["task"] == task]
        parts.append(_markdown_table(task, SCORE_COLUMNS, rows))
        parts.append(_markdown_table(f"{task}: parameters and cost", COST_COLUMNS, rows))
    if board.problems:
        lines = [f"- {problem.kind} `{_cell(problem.run)}`: {_cell(problem.message)}" for problem in board.problems]
        parts.append("## Runs without a result\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def csv_board(board: Board) -> str:
    """Return every key of every row as CSV, for spreadsheets."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(board.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in board.rows)
    return buffer.getvalue()


def _rich_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(escape(column.heading), justify="right" if column.numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(column.show(row)) for column in columns))
    return table


def _markdown_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    lines = [f"## {_cell(title)}", ""]
    lines.append("| " + " | ".join(_cell(column.heading) for column in columns) + " |")
    lines.append("|" + "|".join("---:" if column.numeric else "---" for column in columns) + "|")
    lines += ["| " + " | ".join(_cell(column.show(row)) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Make ``text`` safe inside a Markdown cell: one line, no column mark, no markup."""
    flat = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
    return flat.replace("<", "&lt;").replace(">", "&gt;")


def _no_formula(value: Any) -> Any:
    """A spreadsheet would run text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
