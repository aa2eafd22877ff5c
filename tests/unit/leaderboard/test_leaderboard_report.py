from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from fabricate import fabricate_failure, fabricate_run, fabricate_suite, snapshot, suite_data
from rich.console import Console

from baselines.leaderboard.errors import ConfigError, ConfigMismatchError
from baselines.leaderboard.execution.plan import write_suite_file
from baselines.leaderboard.records.reader import find_runs
from baselines.leaderboard.report import Board, collect_board, print_board, write_report
from baselines.leaderboard.report.data.archive import ArchiveRow
from baselines.leaderboard.report.data.columns import (
    ARCHIVE_COLUMNS,
    COST_COLUMNS,
    LEGEND,
    README_COLUMNS,
    README_TOTAL_COLUMNS,
    SCORE_COLUMNS,
    TOTAL_COLUMNS,
    TYPES,
    Column,
)
from baselines.leaderboard.report.data.rows import BoardRow, TotalRow
from baselines.leaderboard.report.data.tables import csv_rows, markdown_board, markdown_table
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.leaderboard.statistics import scores as stats

REQUIRED_KEYS = {
    "task", "scheme", "runs", "failed", "iqm", "ci_low", "ci_high", "return_mean", "trainable_parameters", "ari",
    "env_steps", "cpu_seconds",
}  # fmt: skip


def test_rows_hold_the_promised_numbers(tmp_path: Path, suite: SuiteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RANKED_RUNS", 2)
    fabricate_suite(tmp_path, suite)
    write_report(tmp_path)
    rows = json.loads((tmp_path / "board.json").read_text())
    assert [(row["task"], row["scheme"]) for row in rows] == [
        ("one", "adaps"), ("one", "fups_id"), ("two", "adaps"), ("two", "fups_id"),
    ]  # fmt: skip
    assert all(row.keys() >= REQUIRED_KEYS for row in rows)
    best, other = rows[:2]
    assert best["iqm"] == pytest.approx(0.9)
    assert (best["ci_low"], best["ci_high"]) == (pytest.approx(0.8), pytest.approx(1.0))
    assert best["return_mean"] == pytest.approx(-110.0)
    assert best["sampled_iqm"] == pytest.approx(0.89)
    assert best["absolute_iqm"] == pytest.approx(0.9)
    assert best["optimality_gap"] == pytest.approx(0.1)
    assert best["auc_low"] < best["auc"] < best["auc_high"]
    assert (best["runs"], best["failed"], best["open"]) == (2, 0, 0)
    assert (best["rank"], other["rank"]) == (1, 2)
    assert (best["ari"], other["ari"]) == (1.0, None)
    assert (best["trainable_parameters"], best["fixed_bits"]) == (100, 7)
    assert (best["identity_steps"], best["env_steps"]) == (300, 2000)
    assert (best["cpu_seconds"], best["peak_memory_bytes"]) == (55.5, 300 * 2**20)
    assert (best["improvement_over"], best["improvement"]) == ("fups_id", 1.0)
    assert other["improvement"] is None
    assert best["context_digest"] == other["context_digest"]


def test_area_charges_the_identity_phase(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    areas = {}
    for identity in (0, 1500):
        suite = make_suite(schemes=["adaps"], seeds=[0])
        out = tmp_path / str(identity)
        fabricate_run(out, suite.runs()[0], 1.0, identity)
        (row,) = collect_board(out).rows
        areas[identity] = row.auc
    assert areas[0] == pytest.approx(0.5)
    assert areas[1500] == pytest.approx(0.125)


def test_totals_pool_all_tasks(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    write_report(tmp_path)
    totals = json.loads((tmp_path / "aggregate.json").read_text())
    assert [row["scheme"] for row in totals] == ["adaps", "fups_id"]
    assert totals[0]["iqm"] == pytest.approx(0.9)
    assert (totals[0]["tasks"], totals[0]["runs"]) == (2, 4)
    assert totals[1]["optimality_gap"] == pytest.approx(0.7)


def test_tables_have_ten_digits(tmp_path: Path, suite: SuiteConfig) -> None:
    """The last digits of sums differ between processors."""
    for run, score in zip(suite.runs(), (1 / 3, 2 / 7, 1 / 9, 5 / 11), strict=False):
        fabricate_run(tmp_path, run, score)
    write_report(tmp_path)
    values = [value for row in json.loads((tmp_path / "board.json").read_text()) for value in row.values()]
    floats = [value for value in values if isinstance(value, float)]
    assert any(len(repr(value)) > 10 for value in floats)
    assert [value for value in floats if float(f"{value:.10g}") != value] == []


def test_totals_say_who_is_given_groups(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    handed = {"name": "adaps", "label": "plain-name", "settings": {"labels": [0, 0, 1, 1]}}
    fabricate_suite(tmp_path, make_suite(schemes=["fups_id", handed]))
    board = collect_board(tmp_path)
    for columns in (TOTAL_COLUMNS, README_TOTAL_COLUMNS):
        (types,) = (column for column in columns if column.heading == "types")
        assert {row.scheme: types.show(row) for row in board.totals} == {"fups_id": "", "plain-name": "given"}


def test_failed_open_and_damaged_runs_are_rows(tmp_path: Path, suite: SuiteConfig) -> None:
    runs = {run.run_id: run for run in suite.runs()}
    fabricate_run(tmp_path, runs["one/adaps/seed-0"], 0.7)
    fabricate_failure(tmp_path, runs["one/adaps/seed-1"], "loss is NaN")
    fabricate_failure(tmp_path, runs["one/fups_id/seed-0"], "no memory")
    damaged = fabricate_run(tmp_path, runs["one/fups_id/seed-1"], 0.7)
    (damaged / "config.json").write_text("{")
    write_suite_file(suite, tmp_path)
    board = collect_board(tmp_path)
    rows = {(row.task, row.scheme): row for row in board.rows}
    assert {key: (row.runs, row.failed, row.open) for key, row in rows.items()} == {
        ("one", "adaps"): (1, 1, 0),
        ("one", "fups_id"): (0, 2, 0),
        ("two", "adaps"): (0, 0, 2),
        ("two", "fups_id"): (0, 0, 2),
    }
    assert rows["one", "adaps"].ci_low is None
    assert rows["one", "fups_id"].iqm is None
    assert {(problem.kind, problem.run) for problem in board.problems} == {
        ("failed", "one/adaps/seed-1"),
        ("failed", "one/fups_id/seed-0"),
        ("damaged", "one/fups_id/seed-1"),
    }
    _, page = write_report(tmp_path)
    assert "loss is NaN" in page.read_text()
    assert "config.json" in page.read_text()
    assert "Traceback ..." in (page.parent / "runs/one/adaps/seed-1.html").read_text()


@pytest.mark.parametrize("ending", ["failed", "damaged"])
def test_a_scheme_with_failed_runs_has_no_rank(
    tmp_path: Path, suite: SuiteConfig, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its author would gain by recording the worst seeds as failed."""
    monkeypatch.setattr(stats, "RANKED_RUNS", 2)
    fabricate_suite(tmp_path, suite)
    worst = next(run for run in suite.runs() if run.run_id == "one/adaps/seed-0")
    shutil.rmtree(tmp_path / worst.run_id)
    if ending == "failed":
        fabricate_failure(tmp_path, worst)
    else:
        (tmp_path / worst.run_id).mkdir()
    board = collect_board(tmp_path)
    rows = {(row.task, row.scheme): row for row in board.rows}
    gained = rows["one", "adaps"]
    assert gained.iqm == pytest.approx(1.0)
    assert (gained.runs, gained.failed, gained.rank, gained.improvement) == (1, 1, None, None)
    assert [row.scheme for row in board.rows_of("one")] == ["fups_id", "adaps"], "rows without a rank come last"
    assert rows["one", "fups_id"].rank == 1
    assert rows["two", "adaps"].rank == 1
    assert {row.scheme: row.rank for row in board.totals} == {"fups_id": 1, "adaps": None}
    _, page = write_report(tmp_path)
    assert "1 failed" in page.read_text()


def test_a_run_under_anothers_name_is_damaged(tmp_path: Path, suite: SuiteConfig) -> None:
    directory = fabricate_run(tmp_path, suite.runs()[0], 0.7)
    directory.rename(directory.with_name("seed-9"))
    (problem,) = collect_board(tmp_path).problems
    assert "belongs to one/fups_id/seed-0" in problem.message


def test_no_runs_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no runs"):
        write_report(tmp_path)


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    fabricate_run(tmp_path, make_suite().runs()[0], 0.5)
    other = make_suite(learner={"num_lanes": 8}).runs()[1]
    fabricate_run(tmp_path, other, 0.5)
    with pytest.raises(ConfigMismatchError, match="cannot be compared"):
        collect_board(tmp_path)


def test_one_row_cannot_mix_scheme_settings(tmp_path: Path, make_suite: Callable[..., SuiteConfig]) -> None:
    fabricate_run(tmp_path, make_suite(scheme_settings={"adaps": {"keep": 0.5}}).runs()[1], 0.5)
    fabricate_run(tmp_path, make_suite(scheme_settings={"adaps": {"keep": 0.2}}).runs()[3], 0.5)
    with pytest.raises(ConfigMismatchError, match="seed-"):
        collect_board(tmp_path)


def test_the_same_runs_give_the_same_report(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    write_report(tmp_path)
    before = snapshot(tmp_path)
    write_report(tmp_path)
    assert snapshot(tmp_path) == before


def test_csv_holds_every_row_and_no_formula(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    (tmp_path / "one" / "=cmd()" / "seed-0").mkdir(parents=True)
    board = collect_board(tmp_path)
    rows = list(csv.DictReader(io.StringIO(csv_rows([asdict(row) for row in board.rows]))))
    assert len(rows) == 5
    assert set(rows[0]) == {field.name for field in fields(BoardRow)}
    assert "'=cmd()" in {row["scheme"] for row in rows}


def test_what_no_verification_can_recompute_is_marked_and_the_marks_are_explained_once(
    tmp_path: Path, suite: SuiteConfig
) -> None:
    fabricate_suite(tmp_path, suite)
    board = collect_board(tmp_path)
    for text in (markdown_board(board), markdown_table(board)):
        assert text.count(LEGEND) == 1
        assert "CPU s †" in text
        assert "trainable ‡" in text
        assert "| score |" in text
    write_report(tmp_path)
    for page in (f"tasks/{suite.tasks[0].name}.html", "index.html", "about.html"):
        html = (tmp_path / "site" / page).read_text()
        assert html.count(LEGEND) == 1, page
        assert "CPU s †" in html
    assert all(name in html for name in ("area †", "sampled ‡", "SND ‡"))


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ((*SCORE_COLUMNS, *COST_COLUMNS, *README_COLUMNS), BoardRow),
        ((*TOTAL_COLUMNS, *README_TOTAL_COLUMNS), TotalRow),
        (ARCHIVE_COLUMNS, ArchiveRow),
    ],
)
def test_every_column_sorts_by_a_field_of_its_rows(columns: tuple[Column, ...], row: type) -> None:
    assert {column.key for column in columns} <= {field.name for field in fields(row)}


def test_markdown_tables_are_rectangular(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    for block in markdown_board(collect_board(tmp_path)).split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_the_terminal_shows_every_row(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    console = Console(file=io.StringIO(), width=120)
    print_board(collect_board(tmp_path), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("adaps") == 3
    assert "0.900" in shown


LONG = "q" * 40 + "z" * 40


@pytest.mark.parametrize("width", range(50, 161))
def test_no_width_of_a_terminal_cuts_what_counts(wide_board: Board, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    print_board(wide_board, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    headings = [line.split() for line in lines if "scheme" in line]
    assert all(found[:5] == ["#", "scheme", "score", "95", "%"] for found in headings)
    rows = [row for task in wide_board.task_names() for row in wide_board.rows_of(task)] + wide_board.totals
    for row in rows:
        score, interval = f"{row.iqm:.3f}", f"[{row.ci_low:.3f}, {row.ci_high:.3f}]"
        name = row.scheme if len(row.scheme) < 20 else ""
        first = [line for line in lines if line.split()[:1] == [str(row.rank)] and score in line]
        assert any(interval in line and name in line for line in first), (row.scheme, lines)
    letters = "".join(lines)
    assert letters.count("q") == letters.count("z") == 3 * 40, "the longest name goes on in the next line, whole"
    if width >= 150:
        assert "ARI" in "".join(lines)


@pytest.fixture(scope="module")
def wide_board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Two tasks, a scheme with the longest name, scores with many digits."""
    out = tmp_path_factory.mktemp("wide")
    schemes = ["fups_id", "adaps", {"name": "nops", "label": LONG}]
    suite = SuiteConfig.model_validate(suite_data(schemes=schemes))
    for run in suite.runs():
        fabricate_run(out, run, -1234.5 + run.seed + len(run.scheme.label))
    write_suite_file(suite, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stats, "RANKED_RUNS", 2)
        return collect_board(out)


def test_a_task_that_somebody_adds_does_not_empty_the_totals(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    before = collect_board(tmp_path).totals
    other = SuiteConfig.model_validate(suite_data(schemes=["nops"]))
    own = other.runs()[0]
    fabricate_run(tmp_path, own.model_copy(update={"task": own.task.model_copy(update={"name": "mine"})}), 0.9)
    after = collect_board(tmp_path)
    assert "mine" in after.task_names()
    assert len(before) == 2
    assert after.totals == before


def test_a_board_of_one_task_has_no_totals_whatever_is_added(
    tmp_path: Path, make_suite: Callable[..., SuiteConfig]
) -> None:
    suite = make_suite(schemes=["fups_id"])
    fabricate_suite(tmp_path, suite.model_copy(update={"tasks": suite.tasks[:1]}))
    for run in suite.runs():
        if run.task.name != suite.tasks[0].name:
            fabricate_run(tmp_path, run, 0.9)
    board = collect_board(tmp_path)
    assert len(board.task_names()) == 2
    assert board.totals == []


def test_a_task_called_like_a_run_is_no_folder_of_runs(tmp_path: Path, suite: SuiteConfig) -> None:
    named = suite.tasks[0].model_copy(update={"name": "seed-0"})
    fabricate_suite(tmp_path, suite.model_copy(update={"tasks": (named,)}))
    runs = find_runs(tmp_path)
    write_report(tmp_path)
    assert (tmp_path / "site/runs/seed-0").is_dir()
    assert find_runs(tmp_path) == runs
    assert set(collect_board(tmp_path).task_names()) == {"seed-0"}


def test_curves_are_drawn_over_real_steps(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    curve = next(curve for curve in collect_board(tmp_path).comparisons["one"].curves if curve.scheme == "adaps")
    np.testing.assert_array_equal(curve.steps, [300, 1000, 2000])
    np.testing.assert_allclose(curve.centre, [0.0, 0.45, 0.9], atol=1e-12)
    assert curve.identity_steps == 300


def test_groups_from_the_configuration_are_shown_as_given(tmp_path: Path, suite: SuiteConfig) -> None:
    run = next(config for config in suite.runs() if config.scheme.name == "adaps")
    scheme = run.scheme.model_copy(update={"settings": {"labels": [0, 0, 1, 1]}})
    fabricate_run(tmp_path, run.model_copy(update={"scheme": scheme}), 0.9)
    assert [TYPES.show(row) for row in collect_board(tmp_path).rows] == ["given"]
