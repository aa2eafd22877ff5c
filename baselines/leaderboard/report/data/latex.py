"""The board as LaTeX tables for a paper: one over all tasks and one a task."""

from __future__ import annotations

import re
from collections.abc import Sequence

from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.columns import (
    LATEX_COLUMNS,
    LATEX_TOTAL_COLUMNS,
    SCORE,
    AnyRow,
    Column,
    present,
)
from baselines.leaderboard.report.data.rows import BoardRow, TotalRow
from baselines.leaderboard.statistics.scores import RANKED_RUNS
from baselines.text import printable

__all__ = ["latex_table", "latex_tables"]

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{char: f"\\{char}" for char in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "†": r"\dag{}",
        "‡": r"\ddag{}",
        # The first bracket after the end of a row would be read as an option of it.
        "[": "{[}",
        "]": "{]}",
    }
)
_NUMBER = re.compile(r"-\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
_PACKAGE = "% \\usepackage{booktabs}\n"
_TIED = r"\textsuperscript{=}"


def latex_tables(board: Board) -> str:
    """Return the tables, for the package ``booktabs``: the best score is bold, those that share rank 1 are marked."""
    tables = []
    if board.totals:
        tables.append(_table("All tasks", "all-tasks", LATEX_TOTAL_COLUMNS, board.totals))
    tables += [_task_table(board, task) for task in board.task_names()]
    return _PACKAGE + "\n".join(tables)


def latex_table(board: Board, task: str) -> str:
    """Return the table of one task."""
    return _PACKAGE + _task_table(board, task)


def _task_table(board: Board, task: str) -> str:
    rows = board.rows_of(task)
    scored = next((row.scored for row in rows if row.scored), None)
    title = task if scored is None else f"{task}, {scored} play"
    return _table(title, task, LATEX_COLUMNS, rows)


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line; a minus becomes one."""
    plain = printable(" ".join(text.split()))
    parts, end = [], 0
    for number in _NUMBER.finditer(plain):
        # A hyphen inside a name is none.
        if number.start() and plain[number.start() - 1] not in " [(":
            continue
        parts += [plain[end : number.start()].translate(_ESCAPES), f"${number[0]}$"]
        end = number.end()
    return "".join([*parts, plain[end:].translate(_ESCAPES)])


def _table(title: str, name: str, columns: Sequence[Column], rows: Sequence[BoardRow] | Sequence[TotalRow]) -> str:
    shown = present(columns, rows)
    best = max((row.iqm for row in rows if row.iqm is not None), default=None)
    leaders = sum(row.rank == 1 for row in rows)
    lines = [" & ".join(_cell(column, row, best, leaders) for column in shown) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{escaped(_caption(title, rows, leaders))}}}",
            f"  \\label{{tab:{re.sub('[^A-Za-z0-9]+', '-', name).lower()}}}",
            f"  \\begin{{tabular}}{{{''.join('r' if column.numeric else 'l' for column in shown)}}}",
            r"    \toprule",
            "    " + " & ".join(escaped(column.heading) for column in shown) + r" \\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _caption(title: str, rows: Sequence[AnyRow], leaders: int) -> str:
    parts = [f"{title}: interquartile mean of the runs' scores (0 random, 1 scripted) with 95 % interval; best in bold"]
    if leaders > 1:
        parts.append(f"the {leaders} rows marked = share rank 1, because no interval lies above theirs")
    if any(getattr(row, "fewest_runs", row.runs) < RANKED_RUNS for row in rows):
        parts.append(f"rows of fewer than {RANKED_RUNS} runs have no rank")
    return "; ".join(parts) + "."


def _cell(column: Column, row: AnyRow, best: float | None, leaders: int) -> str:
    text = escaped(column.show(row))
    if column is SCORE and column.value(row) is not None and column.value(row) == best:
        text = f"\\textbf{{{text}}}"
    if column is SCORE and leaders > 1 and getattr(row, "rank", None) == 1:
        text += _TIED
    return text
