"""``adaps bench``: stepping and learning speed beside the installed peers, as ratios from one run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adaps_envs.errors import AdapsError
from baselines.bench import Part

__all__ = ["BenchOutputError", "run_bench"]

# What the original of 2021 did on another machine: agent-steps per second of its large_spread_v1, and two yardsticks
# measured beside it, by which a figure for this machine is estimated. The peer is the better of the two: it is the same
# kind of program, while the loop of that record may have been another one.
ORIGINAL_RATE = 29_000.0
ORIGINAL_LOOP_RATE = 20.8e6
ORIGINAL_SPREAD_RATE = 3_100.0
LOOP = "pure-Python loop"
SPREAD = "mpe2 simple_spread N=15"

# Agent-steps per second of complete stacks on another machine, by our (environment, learner): JaxMARL 0.2.0's IPPO
# (64-64 networks, 4 epochs, simple_spread, 15 agents x 64 lanes) and SePS's code (A2C, 4 agents x 8 lanes). The
# yardstick beside them, a bare A2C loop of full sharing on BPS-1 at 64 lanes, did PEER_YARDSTICK there.
PEERS = {
    ("BPS-1", "ppo"): ("JaxMARL's IPPO", 79_000.0),
    ("CRWARE-tiny-4a-2c", "a2c"): ("SePS's code", 4_000.0),
}
PEER_YARDSTICK = 293_000.0

LEARNING_QUICK = (("BPS-1", "fups", 64, "a2c"), ("BPS-1", "adaps", 8, "a2c"))
LEARNING = (
    *(("BPS-1", scheme, lanes, "a2c") for lanes in (64, 8) for scheme in ("fups", "adaps", "seps", "nops")),
    *(("BPS-1", scheme, 64, "ppo") for scheme in ("fups", "adaps")),
    *(("CRWARE-tiny-4a-2c", scheme, lanes, "a2c") for lanes in (64, 256) for scheme in ("fups", "adaps", "nops")),
)


class BenchOutputError(AdapsError, OSError):
    """The file for the figures exists already or cannot be written."""


def run_bench(out: Path | None, quick: bool, *, parts: Sequence[Part] = tuple(Part)) -> dict[str, Any]:
    """Time what is installed, print tables, and return the figures.

    Args:
        out: new JSON file for the figures; None writes none.
        quick: shorter repetitions.
        parts: faces and yardsticks, environments beside their originals, learning, updates alone,
            a suite beside its bare trainings.

    Raises:
        BenchOutputError: ``out`` exists or cannot be written; nothing was measured.
    """
    if out is not None:
        _claim(out)
    console = Console()
    figures: dict[str, Any] = {"machine": _machine(), "quick": quick}
    if Part.STEPPING in parts:
        figures["stepping"] = _stepping(quick)
        _print_stepping(console, figures["stepping"])
    if Part.ENVS in parts:
        figures["envs"] = _envs(quick)
        _print_envs(console, figures["envs"])
    if Part.LEARNING in parts:
        figures["learning"] = _learning(quick)
        _print_learning(console, figures["learning"])
    if Part.UPDATES in parts:
        figures["updates"] = _updates(quick)
        _print_updates(console, figures["updates"])
    if Part.LEADERBOARD in parts:
        figures["leaderboard"] = _leaderboard(quick)
        _print_leaderboard(console, figures["leaderboard"])
    if out is not None:
        out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        console.print(f"Figures written to {out}", soft_wrap=True, markup=False)
    return figures


def _stepping(quick: bool) -> dict[str, Any]:
    from baselines.bench.stepping import stepping_rates

    rows = stepping_rates(quick=quick)
    rates = {row["name"]: row["per_second"] for row in rows}
    references = {
        "original of 2021, as measured on another machine": ORIGINAL_RATE,
        "original of 2021, scaled by the pure-Python loop": ORIGINAL_RATE * rates[LOOP] / ORIGINAL_LOOP_RATE,
    }
    if SPREAD in rates:
        references["original of 2021, scaled by mpe2"] = ORIGINAL_RATE * rates[SPREAD] / ORIGINAL_SPREAD_RATE
    return {"rows": rows, "references": references}


def _envs(quick: bool) -> dict[str, list[dict[str, Any]]]:
    from baselines.bench.environments import beside_originals, by_team_size, by_threads, from_cold

    parts = (beside_originals, by_team_size, by_threads, from_cold)
    return {part.__name__: part(quick=quick) for part in parts}


def _learning(quick: bool) -> list[dict[str, Any]]:
    from baselines.bench.learning import learning_ratios

    rows = [
        learning_ratios(env, scheme, lanes, algorithm=algorithm, repeats=3 if quick else 5)
        for env, scheme, lanes, algorithm in (LEARNING_QUICK if quick else LEARNING)
    ]
    return [row | _beside_peer(row) for row in rows]


def _beside_peer(row: dict[str, Any]) -> dict[str, Any]:
    """The published peer of a row and how many times its rate ours is, machines made equal by the yardstick."""
    name, rate = PEERS.get((row["env"], row["algorithm"]), (None, None))
    if rate is None:
        return {"peer": None, "peer_ratio": None}
    return {"peer": name, "peer_ratio": row["yardstick_ratio"] * PEER_YARDSTICK / rate}


def _updates(quick: bool) -> list[dict[str, Any]]:
    from baselines.bench.update import update_ratios

    return update_ratios(repeats=3) if quick else update_ratios()


def _leaderboard(quick: bool) -> dict[str, Any]:
    from baselines.bench.leaderboard import leaderboard_costs

    return leaderboard_costs("smoke" if quick else "quick")


def _print_stepping(console: Console, stepping: dict[str, Any]) -> None:
    references = stepping["references"]
    rates = {row["name"]: row["per_second"] for row in stepping["rows"]}
    bases = dict(zip(("x 2021", "x 2021, by loop", "x 2021, by mpe2"), references.values(), strict=False))
    if SPREAD in rates:
        bases["x mpe2"] = rates[SPREAD]
    title = "Stepping, one thread, CPU time, median of interleaved repetitions"
    table = _table(title, "environment", ("agent-steps/s", "env-steps/s", *bases))
    for row in stepping["rows"]:
        if row["unit"] == "agent-steps":
            ratios = (f"{row['per_second'] / base:,.1f}" for base in bases.values())
            table.add_row(row["name"], _count(row["per_second"]), _count(row["env_steps_per_second"]), *ratios)
        else:
            console.print(f"Yardstick: {row['name']} {_count(row['per_second'])} {row['unit']}/s", highlight=False)
    for name, rate in references.items():
        console.print(f"Reference: {name}: {_count(rate)} agent-steps/s", highlight=False)
    console.print(table)


def _print_envs(console: Console, figures: dict[str, list[dict[str, Any]]]) -> None:
    columns = ("1,024 lanes", "PettingZoo", "original", "lanes / original", "PettingZoo / original")
    table = _table("Agent-steps per second of CPU time beside the original, one thread", "environment", columns)
    for row in figures["beside_originals"]:
        rates = [row[name] for name in ("batched", "parallel", "original")]
        table.add_row(row["name"], *map(_count, rates), *(f"{rate / rates[2]:,.1f}" for rate in rates[:2]))
    console.print(table)
    table = _table("Teams of all sizes", "team", ("agent-steps/s", "cost of an agent-step beside 15 agents"))
    sizes = figures["by_team_size"]
    for row in sizes:
        base = next(other for other in sizes if other["agents"] == 15 and _family(other) == _family(row))
        table.add_row(row["name"], _count(row["per_second"]), f"{base['per_second'] / row['per_second']:.2f}")
    console.print(table)
    for row in figures["by_threads"]:
        console.print(f"Two threads, {row['name']}: {row['speed_up']:.2f} times one (wall time)", highlight=False)
    table = _table("Fresh process, wall seconds: make, reset and 100 steps", "what", ("empty cache", "warm cache"))
    for row in figures["from_cold"]:
        table.add_row(row["name"], *("-" if row[name] is None else f"{row[name]:.2f}" for name in ("empty", "warm")))
    console.print(table)


def _family(row: dict[str, Any]) -> str:
    return str(row["name"]).split(",")[0]


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _print_learning(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    title = "Learning beside a bare torch loop of the same scheme, which has no environment"
    columns = ("scheme", "learner", "lanes", "agent-steps/s", "bare loop", "ratio", "beside a published peer")
    table = _table(title, "environment", columns)
    for row in rows:
        rates = (_count(row["agent_steps_per_s"]), _count(row["bare_agent_steps_per_s"]))
        peer = "-" if row["peer"] is None else f"{row['peer_ratio']:.2f} x {row['peer']}"
        table.add_row(
            row["env"], row["scheme"], row["algorithm"], str(row["lanes"]), *rates, f"{row['ratio']:.2f}", peer
        )  # fmt: skip
    console.print(table)


def _print_updates(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    table = _table("An A2C update of AdaPS beside one of full sharing", "hidden", ("AdaPS, ms", "FuPS, ms", "ratio"))
    for row in rows:
        times = (f"{1e3 * row[f'{scheme}_seconds']:.2f}" for scheme in ("adaps", "fups"))
        table.add_row(f"{row['width']} x {row['width']}", *times, f"{row['ratio']:.2f}")
    console.print(table)


def _print_leaderboard(console: Console, costs: dict[str, Any]) -> None:
    title = f"Suite {costs['suite']}, {costs['runs']} runs, {costs['workers']} workers: CPU seconds of all processes"
    table = _table(title, "what", ("CPU, s", "wall, s", "the leaderboard costs more by"))
    for kind, overhead in (("bare", "overhead"), ("evaluated", "overhead_beside_evaluated"), ("leaderboard", None)):
        seconds = (f"{costs[f'{kind}_{unit}_seconds']:,.1f}" for unit in ("cpu", "wall"))
        table.add_row(kind, *seconds, "-" if overhead is None else f"{costs[overhead]:.1%}")
    console.print(table)
    console.print(f"Cores busy: {costs['cores_busy']:.2f}", highlight=False)


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.1f}{letter}"
    return f"{value:,.0f}"


def _machine() -> dict[str, Any]:
    import numba
    import numpy as np

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def _claim(out: Path) -> None:
    """Create the file now: minutes of measuring must not end in an error, nor an older result be lost."""
    if out.exists():
        raise BenchOutputError(f"{out} exists; results are never overwritten, choose another --out.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(out, "x", encoding="utf-8"):
            pass
    except OSError as error:
        raise BenchOutputError(f"cannot write {out}: {error.strerror}; choose another --out.") from error
