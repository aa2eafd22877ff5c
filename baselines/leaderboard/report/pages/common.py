"""What every page of the site shares: template engine, names of files, styles; and the pages about the whole board."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.report.data.archive import ArchiveRow, archive_rows
from baselines.leaderboard.report.data.board import Board, Comparisons
from baselines.leaderboard.report.data.collect import Problem
from baselines.leaderboard.report.data.columns import (
    ARCHIVE_COLUMNS,
    COST_COLUMNS,
    LEGEND,
    SCHEME,
    SCORE_COLUMNS,
    TASK,
    TOTAL_COLUMNS,
    AnyRow,
    present,
)
from baselines.leaderboard.report.data.comparisons import BASELINE, MAX_COMPARED
from baselines.leaderboard.report.data.downloads import DOWNLOADS, bibtex
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.board_charts import overall_charts, task_charts
from baselines.leaderboard.report.figures.charts import Style, style_of
from baselines.leaderboard.spec.config import NAME_PATTERN, PROTOCOL
from baselines.leaderboard.statistics import scores as stats
from baselines.text import printable

__all__ = ["SitePages", "anchor", "distinct", "run_page", "task_page"]

# Scripts, styles and pictures come from the site's own folder; small pictures are part of a drawing.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
_TABS = (("Board", "index.html"), ("Runs", "runs.html"), ("Archive", "archive.html"), ("About", "about.html"))


def task_page(task: str) -> str:
    """Return the path of a task's page in the site."""
    return f"tasks/{_file_name(task)}.html"


def run_page(run_id: str) -> str:
    """Return the path of the page of a run that can be read in the site."""
    return f"runs/{run_id}.html"


def anchor(scheme: str) -> str:
    """Return the id of a scheme's section in a task's page."""
    return f"scheme-{_file_name(scheme)}"


class SitePages:
    """Renders pages of one board. Every text from a record is escaped by the template engine."""

    def __init__(self, board: Board) -> None:
        """Choose the schemes' styles, the same on all pages."""
        self.board = board
        schemes = dict.fromkeys(row.scheme for row in board.rows)
        if board.suite is not None:
            schemes = {**dict.fromkeys(scheme.label for scheme in board.suite.schemes), **schemes}
        self.styles = {scheme: style_of(place) for place, scheme in enumerate(schemes)}
        self.title = f"AdaPS leaderboard: {board.suite.name}" if board.suite is not None else "AdaPS leaderboard"
        self._environment = Environment(
            loader=PackageLoader("baselines.leaderboard.report", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(anchor=anchor, decimal=decimal)
        self._known = {record.config.run_id for record in board.records}

    def render(self, template: str, page: str, heading: str, **context: Any) -> str:
        """Render the template of one page at the path ``page`` of the site."""
        return self._environment.get_template(template).render(
            root="../" * page.count("/"),
            tab=page,
            tabs=_TABS,
            heading=heading,
            site_title=self.title,
            protocol=PROTOCOL,
            rank_margin=stats.RANK_MARGIN,
            ranked_runs=stats.RANKED_RUNS,
            policy=_POLICY,
            marks_legend=LEGEND,
            **context,
        )

    def index(self) -> str:
        """Render the board itself: totals, all rows, charts of the whole, downloads."""
        board = self.board
        names = board.task_names()
        scores = present(SCORE_COLUMNS, board.rows)
        costs = present(COST_COLUMNS[1:], board.rows)
        columns = [*scores, *costs]
        if len(names) > 1:
            columns.insert(1, TASK)
        whole, charts = board.overall, overall_charts(board, self.styles)
        if whole is None and len(names) == 1:
            whole, charts = board.comparisons.get(names[0]), task_charts(board, names[0], self.styles)
        return self.render(
            "index.html.j2",
            "index.html",
            self.title,
            description="" if board.suite is None else board.suite.description,
            totals=board.totals,
            total_columns=present(TOTAL_COLUMNS, board.totals),
            rows=board.rows,
            pages={name: task_page(name) for name in names},
            columns=columns,
            groups={
                **{column.heading: "score" for column in scores if column is not SCHEME},
                **{column.heading: "cost" for column in costs},
                "#": "",
                "score": "",
            },
            styles=self.styles,
            span=span(board.rows),
            tasks=[{"name": name, "page": task_page(name), "summary": self._summary(name)} for name in names],
            charts=charts,
            charts_heading="All tasks in pictures" if board.overall is not None else "In pictures",
            legend=self.legend(whole),
            improvement=None if whole is None else whole.improvement,
            problems=self.problems(),
            downloads=[(name, f"downloads/{name}", what) for name, what in DOWNLOADS],
        )

    def runs(self) -> str:
        """Render the list of all runs."""
        runs = [self.run_entry(record) for record in self.board.records]
        tasks = list(dict.fromkeys(run["task"] for run in runs))
        return self.render(
            "runs.html.j2", "runs.html", "Runs", runs=runs, tasks=tasks, problems=self.problems(kind="damaged")
        )

    def archive(self) -> str:
        """Render the runs of other protocols, each protocol by itself."""
        versions: dict[str, list[ArchiveRow]] = {}
        for row in archive_rows(self.board.archived):
            versions.setdefault(row.protocol, []).append(row)
        notes = {
            version: [f"{run.run}: {run.note}" for run in self.board.archived if run.protocol == version and run.note]
            for version in versions
        }
        return self.render(
            "archive.html.j2",
            "archive.html",
            "Archive",
            columns=ARCHIVE_COLUMNS,
            versions=[
                {"protocol": version, "rows": rows, "notes": notes[version], "span": span(rows)}
                for version, rows in versions.items()
            ],
        )

    def about(self) -> str:
        """Render what the columns mean, where the numbers come from and how to cite them."""
        columns = {column.heading: column for column in (*SCORE_COLUMNS, *COST_COLUMNS, *TOTAL_COLUMNS)}
        return self.render(
            "about.html.j2",
            "about.html",
            "About",
            columns=columns.values(),
            provenance=_provenance(self.board.records),
            citation=bibtex(self.board),
            baseline=BASELINE,
            max_compared=MAX_COMPARED,
        )

    def run_entry(self, record: RunRecord) -> dict[str, Any]:
        """Return a run as a line of a list."""
        config = record.config
        entry: dict[str, Any] = {
            "task": config.task.name,
            "scheme": config.scheme.label,
            "seed": config.seed,
            "name": f"seed-{config.seed}",
            "page": run_page(config.run_id),
            "status": record.status,
            "score": None,
            "team_return": None,
            "finished": record.costs.finished_at,
            "text": "failed",
        }
        if record.evaluation is not None:
            final = float(record.evaluation.scored(config.task)[-1].mean())
            scored = config.task.random_score is not None
            entry["team_return"] = final
            entry["score"] = float(config.task.normalise(final)) if scored else None
            entry["text"] = decimal(entry["score"], 3) if scored else decimal(final, 1)
        return entry

    def problems(self, kind: str | None = None, task: str | None = None) -> list[dict[str, str]]:
        """Return runs without a result, with the pages of those that have one."""
        return [
            {"kind": problem.kind, "run": problem.run, "message": problem.message, "page": self._page_of(problem)}
            for problem in self.board.problems
            if kind in (None, problem.kind) and task in (None, problem.task)
        ]

    def legend(self, compared: Comparisons | None) -> list[tuple[str, Style]]:
        """Return the schemes that charts show, with their styles."""
        return [] if compared is None else [(name, self.styles[name]) for name in compared.improvement.schemes]

    def _summary(self, task: str) -> str:
        config = self.board.task(task)
        return "" if config is None else f"{config.env}, {config.budget:,} environment steps"

    def _page_of(self, problem: Problem) -> str:
        return run_page(problem.run) if problem.run in self._known else ""


def span(rows: Sequence[AnyRow]) -> Callable[[float], float]:
    """Return the map from scores to 0..100 across the rows' intervals, random play and the scripted policy included."""
    known = [value for row in rows for value in (row.ci_low, row.iqm, row.ci_high) if value is not None]
    low, high = min([0.0, *known]), max([1.0, *known])
    return lambda score: round(100 * (score - low) / (high - low), 2)


def distinct(records: Sequence[RunRecord], value: Callable[[RunRecord], str | None]) -> str:
    """Return the values in use, the most frequent first, with counts where they differ."""
    counts = Counter(value(record) for record in records)
    counts.pop(None, None)
    if len(counts) == 1:
        return str(next(iter(counts)))
    return "; ".join(f"{text} ({count} runs)" for text, count in counts.most_common())


def _provenance(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    facts = [
        ("systems", distinct(records, lambda record: record.provenance.system)),
        ("processors", distinct(records, lambda record: record.provenance.processor)),
        ("Python", distinct(records, lambda record: record.provenance.python)),
        ("commits", distinct(records, commit_of)),
    ]
    packages = sorted({name for record in records for name in record.provenance.packages})
    for name in packages:
        facts.append((name, distinct(records, lambda record: record.provenance.packages.get(name))))  # noqa: B023
    return [(name, text) for name, text in facts if text]


def commit_of(record: RunRecord) -> str | None:
    """Return the commit that a run was made with, and whether files were modified."""
    git = record.provenance.git
    return None if git is None else git.commit + (" (modified)" if git.modified else "")


def _shown(value: Any) -> Any:
    """Show what a page cannot: a control character ends the page for some readers, a mark of direction turns it."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, keep="\n\t\N{NO-BREAK SPACE}")
    return value


def _file_name(text: str) -> str:
    """A name of a record is fit for a file; one that only a damaged directory has may hold anything."""
    return text if re.fullmatch(NAME_PATTERN, text) else f"x-{sha256_hex(text.encode('utf-8', 'replace'))[:12]}"
