"""The coverage that the documentation states is the coverage that is measured."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fabricate import fabricate_suite

from baselines.leaderboard.report import collect_board
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.statistics import scores as stats
from baselines.leaderboard.statistics.coverage import CELLS, POPULATIONS, REPETITIONS, SEED, measure


def stated(repository: Path) -> dict[tuple[int, int], list[float]]:
    """Coverage by (runs, tasks), one share a population, as the page on the protocol has it."""
    text = (repository / "docs" / "explanation" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+)% \|", text, re.MULTILINE)
    return {(int(runs), int(tasks)): [float(share) / 100 for share in shares] for runs, tasks, *shares in rows}


def test_every_cell_is_stated(repository: Path) -> None:
    assert tuple(stated(repository)) == CELLS
    assert all(len(shares) == len(POPULATIONS) for shares in stated(repository).values())


def test_the_study_measures_the_function_that_the_board_prints(
    tmp_path: Path, suite: SuiteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate_suite(tmp_path, suite)
    monkeypatch.setattr(stats, "iqm_interval", lambda *args, **options: (-7.0, 7.0))
    board = collect_board(tmp_path)
    assert {(row.ci_low, row.ci_high) for row in (*board.rows, *board.totals)} == {(-7.0, 7.0)}
    cell = measure(POPULATIONS["normal"], 3, 1, np.random.default_rng(0), repetitions=4)
    assert (cell.coverage, cell.apart) == (1.0, 0.0)


def test_one_cell_is_measured_as_stated(repository: Path) -> None:
    cell = measure(POPULATIONS["normal"], 5, 1, np.random.default_rng([SEED, 0]), repetitions=600)
    assert cell.coverage == pytest.approx(stated(repository)[5, 1][0], abs=4.5 * cell.standard_error)


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "tasks"), CELLS)
def test_all_cells_are_measured_as_stated(repository: Path, runs: int, tasks: int) -> None:
    for place, (name, draw) in enumerate(POPULATIONS.items()):
        cell = measure(draw, runs, tasks, np.random.default_rng([SEED, 1, runs, tasks, place]), repetitions=1_000)
        error = cell.standard_error * (1 + 1_000 / REPETITIONS) ** 0.5
        assert cell.coverage == pytest.approx(stated(repository)[runs, tasks][place], abs=4.5 * error), name
