"""The commands around environments, as a user calls them."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pettingzoo
import pytest
from typer.testing import CliRunner, Result

import adaps_envs
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.errors import AdapsError, InvalidParameterError, UnknownNameError
from adaps_envs.testing import list_checks, trace_digest
from baselines.cli import app
from baselines.env_tools import parse_params

SMALL = ["-p", "groups=[2,1]", "-p", "max_cycles=6"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def broken_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ParallelFace):
        def step(self, actions: Any) -> Any:
            raise RuntimeError("out of [order]")

    made = types.ModuleType("broken_env")
    made.parallel_env = lambda: Broken(adaps_envs.make_batched("BPS-1", 1, groups=[2, 1]))
    monkeypatch.setitem(sys.modules, "broken_env", made)


def test_list_of_ids() -> None:
    result = _run("envs")
    assert [line.split()[0] for line in result.stdout.splitlines()] == adaps_envs.list_envs()
    rows = json.loads(_run("envs", "--json").stdout)
    assert [row["id"] for row in rows] == adaps_envs.list_envs()
    assert rows[0]["gymnasium"] == "adaps/BPS-1-v0"


def test_page_of_an_id() -> None:
    page = _run("envs", "bps_1").stdout
    assert page.startswith("# BPS-1-v0")
    assert "| 4 | landmark_0_x | -14 | 14 | length |" in page
    assert trace_digest("BPS-1") in page


def test_check_passes_with_status_0() -> None:
    result = _run("check", "BPS-1", "--quick", "-k", "parallel/*", *SMALL)
    assert result.exit_code == 0
    assert "PASSED: 11 passed, 0 failed, 0 skipped" in result.stdout


@pytest.mark.usefixtures("broken_module")
def test_check_fails_with_status_1() -> None:
    result = _run("check", "broken_env:parallel_env", "--quick", "-k", "parallel/deterministic")
    assert result.exit_code == 1
    assert "out of [order]" in result.stdout
    assert "FAILED: 0 passed, 1 failed, 0 skipped" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["check", "BPS-99"], UnknownNameError),
        (["check"], InvalidParameterError),
        (["check", "BPS-1", "-p", "colour=1"], InvalidParameterError),
        (["check", "BPS-1", "-p", "colour"], InvalidParameterError),
        (["check", "BPS-1", "-k", "nonsense"], UnknownNameError),
        (["check", "x/y-v0", "--import", "no_such_package"], InvalidParameterError),
        (["digest", "BPS-99"], UnknownNameError),
        (["envs", "BPS-99"], UnknownNameError),
        (["envs", "--write-docs", "no/such/folder"], InvalidParameterError),
    ],
)
def test_what_the_caller_gets_wrong_is_an_error_of_ours(arguments: list[str], error: type[AdapsError]) -> None:
    # `adaps` turns these into one line and exit status 2.
    assert isinstance(_run(*arguments).exception, error)


@pytest.mark.usefixtures("broken_module")
def test_check_as_json() -> None:
    result = _run("check", "broken_env", "--json", "--quick", "-k", "parallel/*")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["target"] == "broken_env:parallel_env"
    assert report["passed"] is False
    assert sum(report["counts"].values()) == len(report["checks"]) == 11
    failed = {row["name"]: row["message"] for row in report["checks"] if row["status"] == "failed"}
    assert failed["parallel/spaces"] == "RuntimeError: out of [order]"
    assert report["versions"]["pettingzoo"]


def test_faces_are_checked_on_demand() -> None:
    report = json.loads(_run("check", "BPS-1", "--json", "--quick", "--faces", "-k", "faces/*", *SMALL).stdout)
    assert report["passed"], report
    assert len(report["checks"]) == 6


def test_list_of_checks() -> None:
    lines = _run("check", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(list_checks())


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="PettingZoo has a registry from 1.27 on")
def test_import_registers_an_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "registers_rings.py").write_text(
        "import adaps_envs, pettingzoo\n"
        "pettingzoo.register('parallel', 'rings/ring-v0', lambda **kw: adaps_envs.make('BPS-1', groups=[2], **kw))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = _run("check", "rings/ring-v0", "--import", "registers_rings", "--quick", "-k", "parallel/spaces")
    assert result.exit_code == 0, result.output


def test_digests() -> None:
    assert _run("digest", "BPS-1").stdout.strip() == trace_digest("BPS-1")
    assert _run("digest", "BPS-1", "-p", "max_cycles=7").stdout.strip() == trace_digest("BPS-1", max_cycles=7)
    lines = _run("digest", "BPS-1", "BPS-2").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["BPS-1", "BPS-2"]


def test_parameters_are_json_or_text() -> None:
    given = parse_params(["groups=[5, 5]", "cooperative=true", "reward=team_sum", "local_ratio = 0.25", "x="])
    assert given == {"groups": [5, 5], "cooperative": True, "reward": "team_sum", "local_ratio": 0.25, "x": ""}
    assert parse_params(None) == {}
    with pytest.raises(InvalidParameterError, match="'x' is given twice"):
        parse_params(["x=1", "x=2"])
    with pytest.raises(InvalidParameterError, match="not of the form name=value"):
        parse_params(["=1"])
