"""Coloured multi-robot warehouse: what the registry needs to know without importing anything heavy."""

from __future__ import annotations

from adaps_envs.registry import EnvFamily, Preset

__all__ = ["FAMILY"]

# shelf_rows and shelf_columns of the sizes; columns are 8 shelves high.
SIZES = {"tiny": (1, 3), "small": (2, 3), "medium": (2, 5), "large": (3, 5)}
# Requested shelves per robot.
DIFFICULTIES = {"easy": "2 requests", "normal": "1 request", "hard": "0.5 requests"}


def _presets() -> dict[str, Preset]:
    tasks = [
        *((size, agents, 2, level) for size, agents in _PAIRS for level in ("normal", "hard", "easy")),
        ("small", 9, 3, "normal"),
        ("large", 12, 3, "normal"),
    ]
    return dict(_preset(*task) for task in tasks)


_PAIRS = (("tiny", 4), ("small", 8), ("medium", 16))


def _preset(size: str, agents: int, colours: int, difficulty: str) -> tuple[str, Preset]:
    rows, columns = SIZES[size]
    kwargs = {
        "shelf_rows": rows, "shelf_columns": columns, "num_agents": agents, "num_colours": colours,
        "difficulty": difficulty,
    }  # fmt: skip
    suffix = "" if difficulty == "normal" else f"-{difficulty}"
    what = f"{size} warehouse, {agents} robots, {colours} colours, {DIFFICULTIES[difficulty]} per robot"
    return f"CRWARE-{size}-{agents}a-{colours}c{suffix}-v0", Preset(what, kwargs)


FAMILY = EnvFamily(
    name="crware",
    title="coloured multi-robot warehouse",
    env="adaps_envs.families.crware.env:CRWARE",
    params="adaps_envs.families.crware.params:CRWAREParams",
    policies="adaps_envs.families.crware.policy:POLICIES",
    golden={"crware": "adaps_envs.families.crware.params:params_from_golden"},
    roster_replaces=("groups", "num_agents", "num_types"),
    presets=_presets(),
)
