"""Which charts a board has, over all tasks and task by task."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.rows import Row
from baselines.leaderboard.report.figures.charts import (
    COSTS,
    Style,
    cost_chart,
    curve_chart,
    profile_chart,
    score_chart,
)

__all__ = ["Chart", "overall_charts", "task_charts"]

Chart = tuple[str, Markup]


def overall_charts(board: Board, styles: dict[str, Style]) -> list[Chart]:
    """Draw what is known over all tasks."""
    if board.overall is None:
        return []
    shown = [row for row in board.totals if row.scheme in board.overall.improvement.schemes]
    return [
        _chart("Scores over all tasks, with 95 % intervals", score_chart(shown, styles, "all tasks: scores")),
        _chart(
            "Performance profiles over all tasks",
            profile_chart(board.overall.profiles, styles, "all tasks: performance profiles"),
        ),
        *_cost_charts(shown, styles, "all tasks"),
    ]


def task_charts(board: Board, task: str, styles: dict[str, Style]) -> list[Chart]:
    """Draw what is known of one task."""
    config, compared = board.task(task), board.comparisons.get(task)
    if config is None or compared is None:
        return []
    shown = [row for row in board.rows_of(task) if row.scheme in compared.improvement.schemes]
    return [
        _chart("Scores at the budget, with 95 % intervals", score_chart(shown, styles, f"{task}: scores")),
        _chart(
            "Learning curves, with 95 % intervals; a dotted line ends an identity phase",
            curve_chart(compared.curves, styles, config.budget, f"{task}: learning curves"),
        ),
        _chart(
            "Performance profiles, with 95 % intervals",
            profile_chart(compared.profiles, styles, f"{task}: performance profiles"),
        ),
        *_cost_charts(shown, styles, task),
    ]


def _cost_charts(rows: Sequence[Row], styles: dict[str, Style], what: str) -> list[Chart]:
    charts = []
    for cost in COSTS:
        paid = [row for row in rows if row.iqm is not None and cost.of(row) > 0]
        if len({cost.of(row) for row in paid}) > 1:
            text = cost_chart(paid, styles, cost, f"{what}: score over {cost.label}")
            charts.append(_chart(f"Score over {cost.label}", text))
    return charts


def _chart(caption: str, svg: str) -> Chart:
    # Our own drawing, with every name in it escaped; all else goes through the autoescape.
    return caption, Markup(svg)
