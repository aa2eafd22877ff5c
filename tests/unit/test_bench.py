"""The figures of ``adaps bench``: their shape, their file, and that no result is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from baselines import bench, bench_stepping
from baselines.bench import BenchOutputError, main, run_bench


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Figures as if measured: the machine is as fast as the one of the original, mpe2 twice as fast."""
    measured = [
        {
            "name": bench.LOOP,
            "unit": "iterations",
            "per_second": bench.ORIGINAL_LOOP_RATE,
            "env_steps_per_second": None,
        },
        {"name": "ours", "unit": "agent-steps", "per_second": 58e6, "env_steps_per_second": 4e6},
        {"name": bench.SPREAD, "unit": "agent-steps", "per_second": 6200.0, "env_steps_per_second": 400.0},
    ]
    monkeypatch.setattr(bench_stepping, "stepping_rates", lambda quick: measured)
    monkeypatch.setenv("COLUMNS", "160")
    return measured


def test_references_are_scaled_by_the_yardsticks(rows: list[dict[str, Any]]) -> None:
    references = list(run_bench(None, True, parts=("stepping",))["stepping"]["references"].values())
    assert references == [29_000.0, 29_000.0, 58_000.0]


def test_ratios_are_printed(rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    run_bench(None, True, parts=("stepping",))
    printed = capsys.readouterr().out
    assert "2,000.0" in printed
    assert "9,354.8" in printed


def test_without_the_peer_its_columns_are_missing(
    rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows.pop()
    figures = run_bench(None, True, parts=("stepping",))
    assert len(figures["stepping"]["references"]) == 2
    assert "mpe2" not in capsys.readouterr().out


def test_figures_are_written_once(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.json"
    assert main(["--only", "stepping", "--quick", "--out", str(out)]) == 0
    stored = json.loads(out.read_text())
    assert stored["stepping"]["rows"] == rows
    assert stored["quick"] is True
    with pytest.raises(BenchOutputError, match="exists; results are never overwritten"):
        run_bench(out, True, parts=("stepping",))
    assert json.loads(out.read_text()) == stored


def test_unwritable_output_is_refused_before_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_stepping, "stepping_rates", lambda quick: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchOutputError, match="cannot write"):
        run_bench(tmp_path / "file" / "bench.json", True)


def test_every_work_does_what_it_counts() -> None:
    found = bench_stepping.works()
    assert {"pure-Python loop", "memcpy", "BPS-1 batched, 1024 lanes", "BPS-1 PettingZoo parallel"} <= set(found)
    for name, work in found.items():
        if "1024" in name or "mpe2" in name:
            continue
        work.run()
        work.run()
        assert work.units > 0
        assert bool(work.agents) == (work.unit == "agent-steps")
