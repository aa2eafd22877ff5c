"""Runs of other protocols: shown apart, never ranked with those of this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fabricate import fabricate_suite
from site_pages import Page
from tamper import edit_json, mend

from baselines.leaderboard.report import collect_board, write_report
from baselines.leaderboard.report.data.archive import archive_rows
from baselines.leaderboard.spec.config import SuiteConfig


def change_protocol(run: Path, protocol: str) -> None:
    """Make a run one of another protocol."""
    edit_json(run, "config.json", lambda payload: payload["config"].update(protocol=protocol))


@pytest.fixture
def runs(tmp_path: Path, suite: SuiteConfig) -> Path:
    """A fabricated suite whose second task was run by protocol 0."""
    fabricate_suite(tmp_path, suite)
    for run in (tmp_path / "two").glob("*/seed-*"):
        change_protocol(run, "0")
    return tmp_path


def test_other_protocols_stand_in_the_archive_and_not_on_the_board(runs: Path) -> None:
    board, page = write_report(runs)
    assert {row.task: row.runs for row in board.rows} == {"one": 2, "two": 0}
    assert [row.iqm for row in board.rows_of("two")] == [None, None]
    assert board.problems == []
    rows = archive_rows(board.archived)
    assert [(row.protocol, row.task, row.scheme, row.runs) for row in rows] == [
        ("0", "two", "adaps", 2), ("0", "two", "fups_id", 2),
    ]  # fmt: skip
    assert rows[0].iqm == pytest.approx(0.9)
    assert (rows[0].ci_low, rows[0].ci_high) == (pytest.approx(0.8), pytest.approx(1.0))
    assert not hasattr(rows[0], "rank")
    archive = Page(page.parent / "archive.html").text
    assert "Protocol 0" in archive
    assert "0.900" in archive
    assert "Not verified with the board" not in archive, "these lie where verify looks"
    assert "0.900" not in (page.parent / "tasks/two.html").read_text()
    assert not (page.parent / "runs/two").exists()


def test_a_site_without_archive_says_so(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    _, page = write_report(tmp_path)
    assert "There are none." in Page(page.parent / "archive.html").text


def test_an_archive_alone_is_a_site(runs: Path) -> None:
    shutil.rmtree(runs / "one")
    (runs / "suite.json").unlink()
    board, page = write_report(runs)
    assert board.rows == []
    assert json.loads((runs / "board.json").read_text()) == []
    assert "Protocol 0" in Page(page.parent / "archive.html").text


def test_a_changed_byte_is_damage_and_no_other_protocol(runs: Path) -> None:
    path = runs / "two/adaps/seed-0/evaluation.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    board = collect_board(runs)
    assert [(problem.kind, problem.run) for problem in board.problems] == [("damaged", "two/adaps/seed-0")]
    assert {run.run for run in board.archived} == {"two/adaps/seed-1", "two/fups_id/seed-0", "two/fups_id/seed-1"}


def test_the_present_protocol_stays_damaged_where_it_is_damaged(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path, suite)
    edit_json(tmp_path / "one/adaps/seed-0", "config.json", lambda payload: payload.update(digest="0" * 64))
    board = collect_board(tmp_path)
    assert [problem.run for problem in board.problems] == ["one/adaps/seed-0"]
    assert board.archived == []


def test_what_cannot_be_read_is_named(runs: Path) -> None:
    edit_json(runs / "two/adaps/seed-0", "config.json", lambda payload: payload["config"].update(colour="red"))
    edit_json(runs / "two/adaps/seed-1", "config.json", lambda payload: payload.update(schema=7))
    run = runs / "two/fups_id/seed-0"
    (run / "evaluation.npz").unlink()
    mend(run)
    edit_json(runs / "two/fups_id/seed-1", "status.json", lambda status: status.update(status="failed"))
    board, page = write_report(runs)
    notes = {run.run: run.note for run in board.archived}
    assert "colour" in notes["two/adaps/seed-0"]
    assert "schema 7" in notes["two/adaps/seed-1"]
    assert "evaluation.npz" in notes["two/fups_id/seed-0"]
    assert notes["two/fups_id/seed-1"] == "the run failed"
    text = Page(page.parent / "archive.html").text
    assert all(f"{name}: {note}" in text for name, note in notes.items())
    assert [(row.runs, row.without) for row in archive_rows(board.archived)] == [(0, 2), (0, 2)]


def test_older_runs_may_be_put_away_under_the_same_names(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path / "old", suite)
    for run in (tmp_path / "old").glob("*/*/seed-*"):
        change_protocol(run, "0")
    fabricate_suite(tmp_path / "new", suite)
    shutil.move(tmp_path / "old", tmp_path / "new/archive/0")
    board, page = write_report(tmp_path / "new")
    assert len(board.records) == len(board.archived) == 8
    text = " ".join(Page(page.parent / "archive.html").text.split())
    assert "Not verified with the board: 8 of these runs, below archive/, where verify does not look." in text
    assert board.problems == []
    assert board.archived[0].run == "archive/0/one/adaps/seed-0"


def test_a_run_of_this_protocol_is_not_shown_unverified(tmp_path: Path, suite: SuiteConfig) -> None:
    fabricate_suite(tmp_path / "new", suite)
    shutil.copytree(tmp_path / "new/one/adaps", tmp_path / "new/archive/forged/one/adaps")
    board = collect_board(tmp_path / "new")
    assert len(board.records) == 8
    assert [(run.score, run.team_return) for run in board.archived] == [(None, None)] * 2
    assert all("it belongs among the other runs" in run.note for run in board.archived)


@pytest.mark.parametrize("protocol", ["<script>alert(1)</script>", "3", 7, None, ["1"]])
def test_any_protocol_is_shown_as_text(tmp_path: Path, suite: SuiteConfig, protocol: object) -> None:
    fabricate_suite(tmp_path, suite)
    change_protocol(tmp_path / "one/adaps/seed-0", protocol)  # type: ignore[arg-type]
    board, page = write_report(tmp_path)
    assert [run.protocol for run in board.archived] == [str(protocol)]
    archive = Page(page.parent / "archive.html")
    assert f"Protocol {protocol}" in archive.text
    assert archive.tags.count("script") == 1


@pytest.mark.parametrize("content", ["{}", "[]", '{"config": {}}', '{"config": [], "context_digest": ""}'])
def test_a_configuration_without_protocol_is_damage(tmp_path: Path, suite: SuiteConfig, content: str) -> None:
    fabricate_suite(tmp_path, suite)
    run = tmp_path / "one/adaps/seed-0"
    (run / "config.json").write_text(content)
    mend(run)
    board = collect_board(tmp_path)
    assert [problem.run for problem in board.problems] == ["one/adaps/seed-0"]
    assert board.archived == []
