"""The figures of ``adaps bench``: their shape, their file, and that no result is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import adaps_envs
from baselines.bench import environments as bench_envs
from baselines.bench import leaderboard as bench_leaderboard
from baselines.bench import learning as bench_learning
from baselines.bench import main as bench
from baselines.bench import stepping as bench_stepping
from baselines.bench import update as bench_update
from baselines.bench.main import BenchOutputError, run_bench
from baselines.cli.main import app
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.spec.loading import load_suite


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
    result = CliRunner().invoke(app, ["bench", "--only", "stepping", "--quick", "--out", str(out)])
    assert result.exit_code == 0
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


def test_environments_are_set_beside_their_originals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = {"batched": 2e6, "parallel": 3e4, "original": 1e3}
    sizes = [("BPS, 15 agents", 15, 6e6), ("BPS, 999 agents", 999, 4e6)]
    measured: dict[str, list[dict[str, Any]]] = {
        "beside_originals": [{"name": "game", **rates}],
        "by_team_size": [{"name": name, "agents": count, "per_second": rate} for name, count, rate in sizes],
        "by_threads": [{"name": "game", "speed_up": 1.75}],
        "from_cold": [{"name": "import", "empty": None, "warm": 0.25}],
    }
    monkeypatch.setenv("COLUMNS", "160")
    for name, rows in measured.items():
        monkeypatch.setattr(bench_envs, name, _named(name, rows))
    assert run_bench(None, True, parts=("envs",))["envs"] == measured
    printed = capsys.readouterr().out
    assert all(figure in printed for figure in ("2,000.0", "30.0", "1.00", "1.50", "1.75 times one", "0.25"))


def test_learning_and_updates_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ratios(env: str, scheme: str, lanes: int, *, algorithm: str, repeats: int) -> dict[str, Any]:
        rates = {"agent_steps_per_s": 1e5, "bare_agent_steps_per_s": 3e5, "ratio": 0.34, "yardstick_ratio": 0.5}
        return {"env": env, "scheme": scheme, "lanes": lanes, "algorithm": algorithm, **rates}

    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(bench_learning, "learning_ratios", ratios)
    updates = [{"width": 512, "adaps_seconds": 0.01, "fups_seconds": 0.02, "ratio": 0.5}]
    monkeypatch.setattr(bench_update, "update_ratios", lambda **kwargs: updates)
    figures = run_bench(None, False, parts=("learning", "updates"))
    assert len(figures["learning"]) == len(bench.LEARNING)
    peers = {(row["env"], row["algorithm"]): row["peer_ratio"] for row in figures["learning"]}
    assert peers[("BPS-1", "a2c")] is None
    assert peers[("BPS-1", "ppo")] == pytest.approx(0.5 * 293 / 79)
    assert peers[("CRWARE-tiny-4a-2c", "a2c")] == pytest.approx(0.5 * 293 / 4)
    printed = capsys.readouterr().out
    shown = ("CRWARE-tiny-4a-2c", "ppo", "0.34", "1.85 x JaxMARL's IPPO", "512 x 512", "10.00", "0.50")
    assert all(text in printed for text in shown)


def test_a_suite_is_set_beside_its_bare_trainings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([(100.0, 50.0), (104.0, 52.0), (105.0, 60.0), (200.0, 90.0), (202.0, 91.0), (206.0, 103.0)])

    def spent(*words: str) -> dict[str, float]:
        cpu, wall = next(seconds)
        return {"cpu": cpu, "wall": wall}

    monkeypatch.setattr(bench_leaderboard, "_spent", spent)
    costs = bench_leaderboard.leaderboard_costs("smoke", repeats=2)
    assert costs["overhead"] == pytest.approx((0.05 + 0.03) / 2)
    assert costs["overhead_beside_evaluated"] == pytest.approx((1 / 104 + 4 / 202) / 2)
    assert costs["cores_busy"] == pytest.approx((105 / 60 + 2) / 2)
    assert (costs["bare_cpu_seconds"], costs["leaderboard_wall_seconds"]) == (150.0, 81.5)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(bench_leaderboard, "leaderboard_costs", lambda suite: costs)
    assert run_bench(None, True, parts=("leaderboard",))["leaderboard"] == costs
    printed = capsys.readouterr().out
    assert all(figure in printed for figure in ("4.0%", "1.5%", "Cores busy: 1.88", "150.0", "81.5"))


def test_what_a_process_tree_spends_is_counted() -> None:
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    assert bench_leaderboard._spent("-c", child)["cpu"] >= 0.4


@pytest.mark.parametrize("evaluate", [False, True])
def test_bare_trainings_spend_the_whole_budget(evaluate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_suite("smoke").runs()[0]
    models: list[Any] = []

    def build(given: Any) -> Any:
        models.append(build_model(given))
        return models[-1]

    monkeypatch.setattr("baselines.leaderboard.execution.learner.build_model", build)
    bench_leaderboard._train(config, evaluate)
    assert models[0].num_timesteps >= config.task.budget


def _named(name: str, rows: list[dict[str, Any]]) -> Any:
    def measure(*, quick: bool) -> list[dict[str, Any]]:
        return rows

    measure.__name__ = name
    return measure


@pytest.mark.parametrize("pair", bench_envs.PAIRS, ids=lambda pair: pair.name)
def test_a_pair_plays_with_equal_teams(pair: bench_envs.Pair) -> None:
    pytest.importorskip(pair.package)
    ours, original = adaps_envs.make_batched(pair.env_id, 1, **pair.params), pair.original()
    original.reset(seed=0)
    theirs = len(original.agents) if hasattr(original, "agents") else len(original.players)
    assert theirs == ours.num_agents
    if pair.package == "lbforaging":
        assert original.observation_space[0].shape == (ours.obs_dim,)
        assert ours.params.field_size == original.field_size
