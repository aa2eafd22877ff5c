"""What a site offers to take away: data for other tools, and how to cite it."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from baselines.leaderboard.files import canonical_json, pretty_json, sha256_hex
from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.latex import latex_table, latex_tables
from baselines.leaderboard.report.data.marl_eval import marl_eval_of
from baselines.leaderboard.report.data.tables import csv_rows, markdown_board, markdown_table
from baselines.leaderboard.spec.config import NAME_PATTERN, PROTOCOL

__all__ = ["DOWNLOADS", "bibtex", "downloads", "file_name", "task_downloads"]

_FOLDER = "downloads"
# What a record says of itself enters a bibliography only where it looks like what it should be.
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_VERSION = re.compile(r"\d[A-Za-z0-9.+!]{0,39}")
_MOST_VERSIONS = 10

DOWNLOADS = (
    ("board.csv", "the board for spreadsheets, all columns"),
    ("board.json", "the same as JSON, one object a row"),
    ("aggregate.json", "rows over all tasks"),
    ("improvement.csv", "probability of improvement of every pair that the pages compare"),
    ("marl-eval.json", "runs for marl-eval; each evaluation point is its mean over episodes"),
    ("board.tex", "LaTeX tables for a paper (booktabs)"),
    ("board.md", "the board as Markdown"),
    ("readme.md", "a narrow Markdown table for a README"),
    ("cite.bib", "BibTeX"),
)


def downloads(board: Board) -> dict[str, str | bytes]:
    """Return every file of :data:`DOWNLOADS` and those of each task by their paths in the site."""
    done = [record for record in board.records if record.status == "done"]
    rows = [_rounded(asdict(row)) for row in board.rows]
    files: dict[str, str | bytes] = {
        "board.csv": csv_rows(rows),
        "board.json": pretty_json(rows),
        "aggregate.json": pretty_json([_rounded(asdict(row)) for row in board.totals]),
        "improvement.csv": csv_rows([_rounded(row) for row in _improvements(board)]),
        "marl-eval.json": canonical_json(marl_eval_of(done, board.suite, episodes=False)),
        "board.tex": latex_tables(board),
        "board.md": markdown_board(board),
        "readme.md": markdown_table(board),
        "cite.bib": bibtex(board),
    }
    assert files.keys() == dict(DOWNLOADS).keys()
    paths = {f"{_FOLDER}/{name}": content for name, content in files.items()}
    for task in board.task_names():
        table, latex = task_downloads(task)
        paths[table] = csv_rows([_rounded(asdict(row)) for row in board.rows_of(task)])
        paths[latex] = latex_table(board, task)
    return paths


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with ten digits of each float: further ones differ between processors, which add up otherwise."""
    return {key: float(f"{value:.10g}") if isinstance(value, float) else value for key, value in row.items()}


def task_downloads(task: str) -> tuple[str, str]:
    """Return the paths of a task's rows as CSV and as LaTeX in the site."""
    stem = f"{_FOLDER}/tasks/{file_name(task)}"
    return f"{stem}.csv", f"{stem}.tex"


def file_name(text: str) -> str:
    """Return a name for a file: one of a record is fit for it, one that only a damaged directory has gets another."""
    return text if re.fullmatch(NAME_PATTERN, text) else f"x-{sha256_hex(text.encode('utf-8', 'replace'))[:12]}"


def bibtex(board: Board) -> str:
    """Return a BibTeX entry of this board: name, year of the latest run, protocol, counts, versions."""
    name = board.suite.name if board.suite is not None else "runs"
    done = [record for record in board.records if record.status == "done"]
    dates = {record.costs.finished_at[:10] for record in done}
    finished = max((date for date in dates if _DATE.fullmatch(date)), default="")
    versions = {record.provenance.packages.get("adaps", "") for record in done}
    known = sorted(version for version in versions if _VERSION.fullmatch(version))[:_MOST_VERSIONS]
    contexts = sorted({record.config.context_digest for record in done})
    digest = sha256_hex("\n".join(contexts).encode())[:12]
    counts = f"{len(done)} runs, {len({row.scheme for row in board.rows})} schemes, {len(board.task_names())} tasks"
    note = f"protocol {PROTOCOL}, {counts}, settings {digest}"
    fields = {
        "title": f"{{AdaPS}} leaderboard: {name}",
        "year": finished[:4],
        "version": ", ".join(known),
        "note": note,
        "urldate": finished,
    }
    lines = [f"  {key} = {{{_latex(value)}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{adaps-leaderboard-{digest},", *lines, "}"]) + "\n"


def _improvements(board: Board) -> list[dict[str, Any]]:
    matrices = {task: compared.improvement for task, compared in board.comparisons.items()}
    if board.overall is not None:
        matrices["all tasks"] = board.overall.improvement
    return [
        {"task": task, "scheme": scheme, **matrix.over(scheme, other)._asdict()}
        for task, matrix in matrices.items()
        for scheme in matrix.schemes
        for other in matrix.schemes
        if other != scheme
    ]


def _latex(text: str) -> str:
    """Escape what TeX would obey; braces are ours."""
    for sign in "\\&%$#_":
        text = text.replace(sign, f"\\{sign}" if sign != "\\" else "/")
    return text
