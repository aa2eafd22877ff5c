"""The report of a directory of runs: board, curves, cost and provenance as JSON, Markdown, CSV and one HTML page."""

from __future__ import annotations

from baselines.leaderboard.report.rows import Board, collect_board
from baselines.leaderboard.report.tables import print_board
from baselines.leaderboard.report.write import write_report

__all__ = ["Board", "collect_board", "print_board", "write_report"]
