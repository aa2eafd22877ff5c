"""The board as LaTeX: intervals, the best in bold, shared ranks marked, nothing left that LaTeX would read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run_cli
from fabricate import fabricate_run

from baselines.leaderboard.report import collect_board, latex_tables
from baselines.leaderboard.report.data.latex import escaped
from baselines.leaderboard.spec.config import SuiteConfig

MakeSuite = Callable[..., SuiteConfig]
SCORES = {"fups_id": 0.2, "adaps": 0.81, "nops": 0.8}


@pytest.fixture
def fabricated(tmp_path: Path, make_suite: MakeSuite) -> Path:
    schemes = ["fups_id", "adaps", {"name": "nops", "label": "nops_50.x+y"}]
    for config in make_suite(schemes=schemes, seeds=list(range(5))).runs():
        fabricate_run(tmp_path, config, SCORES[config.scheme.name] + 0.01 * config.seed)
    return tmp_path


def rows_of(table: str) -> dict[str, list[str]]:
    body = table[table.index(r"\midrule") : table.index(r"\bottomrule")]
    rows = [line.strip().removesuffix(r" \\").split(" & ") for line in body.splitlines()[1:] if "&" in line]
    return {row[1]: row for row in rows}


def test_a_table_a_task_and_one_over_all(fabricated: Path) -> None:
    text = latex_tables(collect_board(fabricated))
    tables = text.split(r"\begin{table}")[1:]
    assert [re.search(r"label\{(.*?)\}", table)[1] for table in tables] == ["tab:all-tasks", "tab:one", "tab:two"]  # type: ignore[index]
    for table in tables:
        rows = rows_of(table)
        assert set(rows) == {"adaps", r"fups\_id", r"nops\_50.x+y"}
        assert rows["adaps"][0] == rows[r"nops\_50.x+y"][0] == "1"
        assert rows["adaps"][2] == r"\textbf{0.830}\textsuperscript{=}", "best, and its rank is shared"
        assert rows[r"nops\_50.x+y"][2] == r"0.820\textsuperscript{=}"
        assert rows[r"fups\_id"][2] == "0.220"
        assert re.fullmatch(r"\{\[\}0\.8\d\d, 0\.8\d\d\{\]\}", rows["adaps"][3])
        for rule in ("toprule", "midrule", "bottomrule"):
            assert table.count(rf"\{rule}") == 1
        assert r"95 \% interval" in table
        assert table.count("{") == table.count("}")
        columns = re.search(r"begin\{tabular\}\{([lr]+)\}", table)
        assert columns is not None
        assert all(len(row) == len(columns[1]) for row in rows.values())


def test_few_runs_have_no_rank_and_one_best(tmp_path: Path, make_suite: MakeSuite) -> None:
    for config in make_suite(seeds=[0, 1]).runs():
        fabricate_run(tmp_path, config, SCORES[config.scheme.name])
    text = latex_tables(collect_board(tmp_path))
    assert "rows of fewer than 5 runs have no rank" in text
    assert r"\textbf{0.810}" in text
    assert r"\textsuperscript" not in text


def test_no_mark_stands_without_its_explanation(fabricated: Path) -> None:
    tables = latex_tables(collect_board(fabricated))
    assert "dag{}" not in tables


@pytest.mark.parametrize("char", list('\\&%$#_{}~^<>|"[]†‡'))
def test_every_special_character_is_escaped(char: str) -> None:
    found = escaped(f"a{char}b")
    assert found != f"a{char}b"
    left = re.sub(r"\\[A-Za-z]+\{\}|\\[&%$#_{}]|\{[\[\]]\}", "", found)
    assert left == "ab"


def test_negative_numbers_get_a_minus_and_names_keep_their_hyphens() -> None:
    assert escaped("BPS-3") == "BPS-3"
    assert escaped("[-0.123, -1,024.5]") == "{[}$-0.123$, $-1,024.5${]}"
    assert escaped("-1.0e+12") == "$-1.0e+12$"
    assert escaped("a\nb\x1b[31m") == "a b" + escaped("\x1b[31m")
    assert "\x1b" not in escaped("\x1b[31m")


def test_the_command_prints_and_writes_nothing(fabricated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(fabricated.iterdir())
    assert run_cli("leaderboard", "report", fabricated, "--latex") == 0
    assert capsys.readouterr().out == latex_tables(collect_board(fabricated))
    assert sorted(fabricated.iterdir()) == before
    assert run_cli("leaderboard", "report", fabricated, "--latex", "--markdown") == 2
