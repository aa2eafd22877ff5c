"""The report of a directory of runs: the board as JSON, CSV, Markdown and a site of static pages."""

from __future__ import annotations

from baselines.leaderboard.report.data.board import Board, collect_board
from baselines.leaderboard.report.data.latex import latex_tables
from baselines.leaderboard.report.data.tables import markdown_table, print_board
from baselines.leaderboard.report.write import write_report

__all__ = ["Board", "collect_board", "latex_tables", "markdown_table", "print_board", "write_report"]
