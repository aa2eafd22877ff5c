"""What every page of the site shares: template engine, names of files, styles; and the pages about the whole board."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.report.data.archive import ArchiveRow, archive_rows, put_away
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
from baselines.leaderboard.report.data.downloads import DOWNLOADS, bibtex, file_name
from baselines.leaderboard.report.data.schemes import scheme_text
from baselines.leaderboard.report.data.values import decimal
from baselines.leaderboard.report.figures.board_charts import overall_charts, task_charts
from baselines.leaderboard.report.figures.charts import Chart, crowded
from baselines.leaderboard.report.figures.styles import style_of
from baselines.leaderboard.report.figures.ticks import near_one
from baselines.leaderboard.spec.config import PROTOCOL
from baselines.leaderboard.statistics import scores as stats
from baselines.text import printable

__all__ = [
    "SitePages",
    "anchor",
    "distinct",
    "embedded",
    "legend",
    "run_archive",
    "run_page",
    "span",
    "task_page",
    "thumbnail",
]

# Scripts, styles and pictures come from the site's own folder; small pictures are part of a drawing.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
_TABS = (("Board", "index.html"), ("Runs", "runs.html"), ("Archive", "archive.html"), ("About", "about.html"))


def task_page(task: str) -> str:
    """Return the path of a task's page in the site."""
    return f"tasks/{file_name(task)}.html"


def run_page(run_id: str) -> str:
    """Return the path of the page of a run that can be read in the site."""
    return f"runs/{run_id}.html"


def run_archive(run_id: str) -> str:
    """Return the path of a run's record in the site."""
    return f"runs/{run_id}.zip"


def thumbnail(task: str) -> str:
    """Return the path of a task's small picture in the site."""
    return f"thumbnails/{file_name(task)}.png"


def anchor(scheme: str) -> str:
    """Return the id of a scheme's section in a task's page."""
    return f"scheme-{file_name(scheme)}"


class SitePages:
    """Renders pages of one board. Every text from a record is escaped by the template engine."""

    def __init__(self, board: Board) -> None:
        """Make the template engine."""
        self.board = board
        self.title = f"AdaPS leaderboard: {board.suite.name}" if board.suite is not None else "AdaPS leaderboard"
        self._environment = Environment(
            loader=PackageLoader("baselines.leaderboard.report", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            anchor=anchor,
            decimal=decimal,
            style=style_of,
            drawing=_drawing,
            few=_few,
            source=scheme_text,
            embedded=embedded,
        )
        self._environment.tests["few"] = _few
        self._environment.globals["ranked_runs"] = stats.RANKED_RUNS
        self._thumbnails: set[str] = set()
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
            policy=_POLICY,
            marks_legend=LEGEND,
            live=bool(context.get("charts")),
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
        whole, charts = board.overall, overall_charts(board)
        if whole is None and len(names) == 1:
            whole, charts = board.comparisons.get(names[0]), task_charts(board, names[0])
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
            span=span(board.rows),
            tasks=[self._card(name) for name in names],
            charts=charts,
            charts_heading="All tasks in pictures" if board.overall is not None else "In pictures",
            legend=legend(whole),
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
        unverified = {
            version: sum(run.protocol == version and put_away(run) for run in self.board.archived)
            for version in versions
        }
        return self.render(
            "archive.html.j2",
            "archive.html",
            "Archive",
            columns=ARCHIVE_COLUMNS,
            versions=[
                {
                    "protocol": version,
                    "rows": rows,
                    "notes": notes[version],
                    "unverified": unverified[version],
                    "span": span(rows),
                }
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
            schemes=self._schemes(),
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

    def _schemes(self) -> list[tuple[str, str]]:
        """Return the labels of the board's schemes with the names of the schemes behind them."""
        names = {record.config.scheme.label: record.config.scheme.name for record in self.board.records}
        return [
            (row.scheme, names.get(row.scheme, "")) for row in {row.scheme: row for row in self.board.rows}.values()
        ]

    def has_thumbnail(self, task: str) -> None:
        """Say that the site has a picture of a task, before the first page is rendered."""
        self._thumbnails.add(task)

    def _card(self, task: str) -> dict[str, str]:
        config = self.board.task(task)
        return {
            "name": task,
            "page": task_page(task),
            "summary": "" if config is None else f"{config.env}, {config.budget:,} environment steps",
            "picture": thumbnail(task) if task in self._thumbnails else "",
        }

    def _page_of(self, problem: Problem) -> str:
        return run_page(problem.run) if problem.run in self._known else ""


def legend(compared: Comparisons | None) -> list[str]:
    """Return the schemes that charts show."""
    return [] if compared is None else compared.improvement.schemes


def span(rows: Sequence[AnyRow]) -> Callable[[float], float]:
    """Return the map from scores to 0..100 across the rows' intervals, random play and the scripted policy included.

    It is widened near 1 where several scores lie there.
    """
    known = [value for row in rows for value in (row.ci_low, row.iqm, row.ci_high) if value is not None]
    scale: Callable[[float], float] = near_one if crowded(row.iqm for row in rows) else float
    low, high = scale(min([0.0, *known])), scale(max([1.0, *known]))
    return lambda score: round(float(100 * (scale(score) - low) / (high - low)), 2)


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


def embedded(chart: Chart) -> Markup:
    """Return a chart's data as JSON for a ``<script>``: ASCII without a sign that ends a script or begins a comment."""
    return htmlsafe_json_dumps(chart.data(), partial(json.dumps, separators=(",", ":"), allow_nan=False))


def _drawing(chart: Chart) -> Markup:
    # Our own drawing, with every name in it escaped; all else goes through the autoescape.
    return Markup(chart.svg())


def _few(row: AnyRow) -> bool:
    """Whether a row has too few runs for its interval to be trusted."""
    return 0 < getattr(row, "fewest_runs", row.runs) < stats.RANKED_RUNS
