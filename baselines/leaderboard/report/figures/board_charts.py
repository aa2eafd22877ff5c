"""Which charts a board has, over all tasks and task by task."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.leaderboard.report.data.board import Board
from baselines.leaderboard.report.data.rows import Row
from baselines.leaderboard.report.figures.charts import (
    COSTS,
    Chart,
    cost_chart,
    curve_chart,
    profile_chart,
    score_chart,
)

__all__ = ["CaptionedChart", "overall_charts", "task_charts"]

CaptionedChart = tuple[str, Chart]


def overall_charts(board: Board) -> list[CaptionedChart]:
    """Return charts of what is known over all tasks."""
    if board.overall is None:
        return []
    shown = [row for row in board.totals if row.scheme in board.overall.improvement.schemes]
    return [
        ("Scores over all tasks, with 95 % intervals", score_chart(shown, "all tasks: scores")),
        (
            "Performance profiles over all tasks",
            profile_chart(board.overall.profiles, "all tasks: performance profiles"),
        ),
        *_cost_charts(shown, "all tasks"),
    ]


def task_charts(board: Board, task: str) -> list[CaptionedChart]:
    """Return charts of what is known of one task."""
    config, compared = board.task(task), board.comparisons.get(task)
    if config is None or compared is None:
        return []
    shown = [row for row in board.rows_of(task) if row.scheme in compared.improvement.schemes]
    return [
        ("Scores at the budget, with 95 % intervals", score_chart(shown, f"{task}: scores")),
        (
            "Learning curves, with 95 % intervals; a dotted line ends an identity phase",
            curve_chart(compared.curves, config.budget, f"{task}: learning curves"),
        ),
        (
            "Performance profiles, with 95 % intervals",
            profile_chart(compared.profiles, f"{task}: performance profiles"),
        ),
        *_cost_charts(shown, task),
    ]


def _cost_charts(rows: Sequence[Row], what: str) -> list[CaptionedChart]:
    charts = []
    for cost in COSTS:
        paid = [row for row in rows if row.iqm is not None and cost.of(row) > 0]
        if len({cost.of(row) for row in paid}) > 1:
            chart = cost_chart(paid, cost, f"{what}: score over {cost.label}")
            charts.append((f"Score over {cost.label}", chart))
    return charts
