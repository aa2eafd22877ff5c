"""The commands around environments, as a user calls them."""

from __future__ import annotations

import json
import re
import shlex
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
from baselines.cli.envs import parse_params
from baselines.cli.main import app

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
    assert re.match(r"[\s┏━┓┃]*BPS-1-v0\s", page), "some versions of rich put titles into a box"
    assert re.search(r"^ +4 +landmark_0_x +-14 +14 +length *$", page, re.MULTILINE)
    assert trace_digest("BPS-1") in page


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}])
@pytest.mark.parametrize("width", [50, 80, 160])
def test_a_page_shows_no_markdown(terminal: dict[str, str], width: int) -> None:
    page = CliRunner().invoke(app, ["envs", "BPS-1"], env={"COLUMNS": str(width), **terminal}).stdout
    assert ("\x1b[" in page) == bool(terminal)
    for raw in ("`", "|", "##", "---", "**"):
        assert raw not in page
    assert all(len(line) <= width for line in re.sub(r"\x1b\[[\d;]*m", "", page).splitlines())


def test_page_of_ones_own_roster() -> None:
    page = " ".join(_run("envs", "BPS-1", "-p", "groups=[2, 3, 1, 4]", "-p", "max_cycles=100").stdout.split())
    assert "10 agents, 4 hidden types" in page
    assert "15 agents" not in page
    assert "agents of each hidden type 2, 3, 1, 4" in page
    assert 'adaps_envs.make("BPS-1-v0", groups=[2, 3, 1, 4], max_cycles=100)' in page
    assert trace_digest("BPS-1", groups=[2, 3, 1, 4], max_cycles=100) in page
    command = re.search(r"adaps (digest BPS-1-v0 .*)\.$", page)
    assert command is not None
    assert _run(*shlex.split(command[1])).stdout.strip() in page


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
        (["envs", "BPS-1", "-p", "group=[2]"], InvalidParameterError),
        (["envs", "-p", "groups=[2]"], InvalidParameterError),
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


def test_the_list_names_plug_ins_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaps_envs.registry.broken_plugins", lambda: {"moon": "SystemExit: 1"})
    result = _run("envs")
    assert "plug-in 'moon' failed to load and is left out (SystemExit: 1)" in result.stderr
    assert len(result.stdout.splitlines()) == len(adaps_envs.list_envs())


@pytest.mark.parametrize("quick", [True, False])
def test_a_report_says_what_was_played(quick: bool) -> None:
    seeds, steps = (3, 80) if quick else (20, 1000)
    command = ["check", "BPS-1", *SMALL, "-k", "parallel/deterministic", "-k", "batched/threads"]
    command += ["--quick"] if quick else []
    shown = " ".join(_run(*command).stdout.split())
    assert f"[{seeds} seeds of {steps} steps]" in shown
    assert "[16 steps of 5 lanes, by 1 to 3 threads]" in shown
    assert f"Asked for: {seeds} seeds of {steps} steps" in shown
    assert ("1,000" in shown, "20 seeds" in shown) == (False, not quick)
    report = json.loads(_run(*command, "--json").stdout)
    assert report["effort"] == {"seeds": seeds, "steps": steps}
    assert report["checks"][0]["played"] == f"{seeds} seeds of {steps} steps"


def test_no_rule_promises_a_number_of_seeds_or_steps() -> None:
    assert not [rule for rule in list_checks().values() if "1,000" in rule or "20 seeds" in rule]


def test_rewards_that_are_integers_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Paid(ParallelFace):
        def step(self, actions: Any) -> Any:
            obs, rewards, *rest = super().step(actions)
            return obs, {agent: round(reward) for agent, reward in rewards.items()}, *rest

    made = types.ModuleType("paid_env")
    made.parallel_env = lambda: Paid(adaps_envs.make_batched("BPS-1", 1, groups=[2, 1], max_cycles=6))
    monkeypatch.setitem(sys.modules, "paid_env", made)
    result = _run("check", "paid_env", "--quick", "-k", "parallel/spaces")
    assert result.exit_code == 0
    assert "Warning, parallel/spaces: rewards are int; PettingZoo's are float." in " ".join(result.stdout.split())


def test_a_missing_package_is_one_line_and_exit_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_moon_v0.py").write_text("import moon_rocket.engine\n")
    (tmp_path / "needs_moon_later_v0.py").write_text("def parallel_env():\n    import moon_rocket\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for target in ("needs_moon_v0", "needs_moon_v0:parallel_env", "needs_moon_later_v0"):
        with pytest.raises(InvalidParameterError, match="needs the package 'moon_rocket', which is not installed") as e:
            CliRunner().invoke(app, ["check", target], catch_exceptions=False, standalone_mode=False)
        assert "\n" not in str(e.value)


def test_an_unknown_target_is_answered_by_near_names_alone() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'BPS-1-v0'") as ours:
        CliRunner().invoke(app, ["check", "BSP-1"], catch_exceptions=False, standalone_mode=False)
    assert "RWARE" not in str(ours.value)


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="PettingZoo has a registry from 1.27 on")
def test_an_unknown_target_is_answered_by_near_names_of_pettingzoo() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'classic/connect_four-v3'"):
        CliRunner().invoke(app, ["check", "classic/conect_four-v3"], catch_exceptions=False, standalone_mode=False)


def test_aec_environments_go_to_torchrl_as_such() -> None:
    pytest.importorskip("torchrl")
    pytest.importorskip("pygame")
    (result,) = json.loads(
        _run("check", "pettingzoo.classic.connect_four_v3", "--quick", "-k", "libraries/torchrl", "--json").stdout
    )["checks"]
    assert (result["status"], result["message"]) == ("passed", "")
