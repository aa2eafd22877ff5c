"""Text that somebody else wrote: it enters a record whole, and controls nothing where it is shown."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from commands import run_cli
from fabricate import PROVENANCE, fabricate_failure, fabricate_run, fabricate_suite
from rich.console import Console
from tamper import edit_json

from baselines.leaderboard.execution.engine import Finished
from baselines.leaderboard.execution.plan import Job, JobState
from baselines.leaderboard.execution.progress import ProgressDisplay
from baselines.leaderboard.records.reader import read_run
from baselines.leaderboard.report import collect_board, print_board, write_report
from baselines.leaderboard.report.data.downloads import bibtex
from baselines.leaderboard.report.data.tables import csv_rows, markdown_board
from baselines.leaderboard.spec.config import SuiteConfig
from baselines.text import printable, storable

ESCAPES = "\x1b[2J\x1b]8;;http://evil\x07\x9b1m\r"
TURNED = "\u202egnp.exe\u2066\u200f\ufeff\u2028"
FOREIGN = f"{ESCAPES}{TURNED}"


def silent(text: str) -> bool:
    """Whether nothing in a text controls a terminal or turns its direction."""
    return all(char.isprintable() or char in "\n\t" for char in text)


@pytest.fixture
def out(tmp_path: Path, suite: SuiteConfig) -> Path:
    """Runs with foreign text: an error, a damaged directory's name, versions, dates."""
    out = tmp_path / "runs"
    fabricate_suite(out, suite)
    failed = suite.runs()[0]
    shutil.rmtree(out / failed.run_id)
    fabricate_failure(out, failed, FOREIGN)
    for run in (out / "two" / "adaps").iterdir():
        edit_json(run, "provenance.json", lambda p: p["packages"].update(adaps=f"1}},\n{FOREIGN} evil = {{"))
        edit_json(run, "costs.json", lambda costs: costs.update(finished_at=f"9999{FOREIGN}}}"))
    (out / f"=cmd|{FOREIGN.replace('/', '')}" / "-1+1" / "seed-0").mkdir(parents=True)
    return out


def test_nothing_that_a_report_shows_controls_a_terminal(out: Path) -> None:
    board = collect_board(out)
    console = Console(file=io.StringIO(), width=120)
    print_board(board, console)
    texts = {
        "terminal": console.file.getvalue(),  # type: ignore[attr-defined]
        "markdown": markdown_board(board),
        "csv": csv_rows([asdict(row) for row in board.rows]),
        "bibtex": bibtex(board),
    }
    for name, text in texts.items():
        assert silent(text), name
    assert "\\x1b[2J" in texts["terminal"]
    assert "\\u202e" in texts["terminal"]
    write_report(out)
    pages = list((out / "site").rglob("*.html"))
    assert len(pages) > 5
    for page in pages:
        assert silent(page.read_text()), page


def test_no_cell_is_a_formula(out: Path) -> None:
    for cell in ("=1+1", " =1+1", "\uff1d1+1", "-2+3", "@SUM(A1)", "+1"):
        text = csv_rows([{"scheme": cell}])
        assert text.splitlines()[1].strip('"').startswith("'"), cell
    assert csv_rows([{"iqm": -0.5, "scheme": "adaps"}]) == "iqm,scheme\n-0.5,adaps\n"
    assert "\n'=cmd" in csv_rows([asdict(row) for row in collect_board(out).rows])


def test_a_bibliography_takes_versions_and_dates_alone(out: Path) -> None:
    text = bibtex(collect_board(out))
    assert "evil" not in text
    assert "9999" not in text
    assert "year = {2026}" in text


def test_no_error_line_controls_a_terminal(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("leaderboard", "report", out / f"none{FOREIGN}") == 2
    assert run_cli("leaderboard", "run", "--suite", f"none{FOREIGN}") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line[:7] for line in lines] == ["error: "] * 2
    assert all(silent(line) for line in lines)


def test_no_line_of_progress_controls_a_terminal(tmp_path: Path, suite: SuiteConfig) -> None:
    console = Console(file=io.StringIO(), width=120)
    (config, *_) = suite.runs()
    job = Job(config, tmp_path, JobState.OPEN)
    with ProgressDisplay(console, "tiny", [job]) as display:
        display._begin(job)
        display.show(Finished(job, "failed", None, FOREIGN))
    assert silent(console.file.getvalue())  # type: ignore[attr-defined]


def test_text_is_shown_as_it_is_where_it_does_nothing() -> None:
    assert printable("Größe 3 µm, 名前") == "Größe 3 µm, 名前"
    assert printable("a\nb\tc", keep="\n\t") == "a\nb\tc"
    assert printable("\ud800") == "\\ud800"


@pytest.mark.parametrize("message", ["half \udc80 a character", "\x00", FOREIGN, "long " * 1_000_000])
def test_a_failure_with_any_text_is_stored_and_read_back(tmp_path: Path, suite: SuiteConfig, message: str) -> None:
    record = read_run(fabricate_failure(tmp_path, suite.runs()[0], message))
    assert record.failure is not None
    assert record.failure.message == storable(message, 5_000)
    assert len(record.failure.message) < 6_000
    json.dumps(record.failure.message).encode("ascii")


def test_text_of_a_machine_is_stored_and_read_back(tmp_path: Path, suite: SuiteConfig) -> None:
    run = fabricate_run(tmp_path, suite.runs()[0], 0.5)
    assert read_run(run).provenance == PROVENANCE
