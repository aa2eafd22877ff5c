"""Putting the report on disk: data files and one static page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from baselines.leaderboard.config import PROTOCOL, TaskConfig, evaluation_marks, seeds_of
from baselines.leaderboard.files import make_directory, pretty_json, replace_file
from baselines.leaderboard.record import RunRecord
from baselines.leaderboard.report.charts import cost_chart, curve_chart, score_chart
from baselines.leaderboard.report.rows import BASELINE, Board, collect_board
from baselines.leaderboard.report.tables import (
    COST_COLUMNS,
    SCORE_COLUMNS,
    TOTAL_COLUMNS,
    csv_board,
    markdown_board,
)

__all__ = ["write_report"]


def write_report(out: Path) -> tuple[Board, Path]:
    """Compute the board of ``out`` and write it beside the runs.

    Writes ``board.json`` (list of rows), ``aggregate.json`` (rows over all tasks; empty with one task), ``board.md``,
    ``board.csv`` and ``site/index.html``.

    Returns:
        The board, and the page's path.

    Raises:
        ConfigError: there are no runs.
        ConfigMismatchError: runs that cannot be compared lie in one directory.
        OutputDirectoryError: a file cannot be written.
    """
    board = collect_board(out)
    page = out / "site" / "index.html"
    make_directory(page.parent)
    replace_file(out / "board.json", pretty_json(board.rows))
    replace_file(out / "aggregate.json", pretty_json(board.totals))
    replace_file(out / "board.md", markdown_board(board).encode())
    replace_file(out / "board.csv", csv_board(board).encode())
    replace_file(page, render_page(board).encode())
    return board, page


def render_page(board: Board) -> str:
    """Return the page; every text from a record is escaped by the template engine."""
    environment = Environment(
        loader=PackageLoader("baselines.leaderboard.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    schemes = dict.fromkeys(row["scheme"] for row in board.rows)
    if board.suite is not None:
        schemes = {**dict.fromkeys(scheme.label for scheme in board.suite.schemes), **schemes}
    places = {scheme: place for place, scheme in enumerate(schemes)}
    return environment.get_template("index.html.j2").render(
        title=f"AdaPS leaderboard: {board.suite.name}" if board.suite is not None else "AdaPS leaderboard",
        suite=board.suite,
        protocol=PROTOCOL,
        baseline=BASELINE,
        sections=[_section(board, task, places) for task in dict.fromkeys(row["task"] for row in board.rows)],
        totals=board.totals,
        total_columns=TOTAL_COLUMNS,
        score_columns=SCORE_COLUMNS,
        cost_columns=COST_COLUMNS,
        problems=board.problems,
        provenance=_provenance(board.records),
    )


def _section(board: Board, task: str, places: dict[str, int]) -> dict[str, Any]:
    rows = [row for row in board.rows if row["task"] == task]
    config = next((known for known in board.tasks if known.name == task), None)
    curves = [curve for curve in board.curves if curve.task == task]
    charts = []
    if config is not None and curves:
        charts = [
            ("Scores at the budget, with 95 % intervals", score_chart(rows, places, f"{task}: final scores")),
            (
                "Learning curves, with 95 % intervals; a dotted line ends an identity phase",
                curve_chart(curves, places, config.budget, f"{task}: learning curves"),
            ),
            ("Score and size", cost_chart(rows, places, f"{task}: score and parameters")),
        ]
    return {
        "name": task,
        "rows": rows,
        "task": config,
        # Our own drawing, with every name in it escaped by matplotlib; all else goes through the autoescape.
        "charts": [(caption, Markup(chart)) for caption, chart in charts],
        "facts": [] if config is None else _task_facts(config),
        "settings": _settings(board.records, task),
        "digests": _distinct(board.records, task, lambda record: record.provenance.trace_digest),
    }


def _task_facts(task: TaskConfig) -> list[tuple[str, str]]:
    marks = evaluation_marks(task)
    return [
        ("environment", task.env),
        ("budget", f"{task.budget:,} environment steps, identity steps included"),
        ("evaluation", f"{len(marks)} points, {task.eval_episodes} episodes each, greedy and sampled"),
        ("absolute metric", f"{task.absolute_episodes} fresh episodes of the best point's policy"),
        ("score 0 and 1", f"team return {task.random_score} (random) and {task.scripted_score} (scripted)"),
    ]


def _settings(records: list[RunRecord], task: str) -> str | None:
    """The resolved configuration that all runs of a task share, and their seeds, as JSON text."""
    for record in records:
        if record.config.task.name == task:
            shared = record.config.model_dump(mode="json", exclude={"scheme", "seed"})
            seeds = seeds_of(record.config).model_dump(exclude={"training_start"})
            return pretty_json({**shared, "seeds": seeds}).decode()
    return None


def _provenance(records: list[RunRecord]) -> list[tuple[str, str]]:
    facts = [
        ("systems", _distinct(records, None, lambda record: record.provenance.system)),
        ("processors", _distinct(records, None, lambda record: record.provenance.processor)),
        ("Python", _distinct(records, None, lambda record: record.provenance.python)),
        ("commits", _distinct(records, None, _commit)),
    ]
    packages = sorted({name for record in records for name in record.provenance.packages})
    for name in packages:
        facts.append((name, _distinct(records, None, lambda record: record.provenance.packages.get(name))))  # noqa: B023
    return [(name, text) for name, text in facts if text]


def _commit(record: RunRecord) -> str | None:
    git = record.provenance.git
    return None if git is None else git.commit + (" (modified)" if git.modified else "")


def _distinct(records: list[RunRecord], task: str | None, value: Callable[[RunRecord], str | None]) -> str:
    """Return the values in use, the most frequent first, with counts where they differ."""
    counts = Counter(value(record) for record in records if task is None or record.config.task.name == task)
    counts.pop(None, None)
    if len(counts) == 1:
        return str(next(iter(counts)))
    return "; ".join(f"{text} ({count} runs)" for text, count in counts.most_common())
