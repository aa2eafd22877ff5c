"""Multi-robot warehouse, the homogeneous control of :mod:`adaps_envs.families.crware`, whose code it uses."""

from __future__ import annotations

from adaps_envs.families.crware import DIFFICULTIES, SIZES
from adaps_envs.registry import EnvFamily, Preset

__all__ = ["FAMILY"]

_TASKS = (
    ("tiny", 4, "normal"),
    ("small", 8, "normal"),
    ("tiny", 2, "normal"),
    ("tiny", 4, "hard"),
    ("small", 4, "normal"),
)


def _preset(size: str, agents: int, difficulty: str) -> tuple[str, Preset]:
    rows, columns = SIZES[size]
    kwargs = {"shelf_rows": rows, "shelf_columns": columns, "num_agents": agents, "difficulty": difficulty}
    suffix = "" if difficulty == "normal" else f"-{difficulty}"
    what = f"{size} warehouse, {agents} robots, {DIFFICULTIES[difficulty]} per robot"
    return f"RWARE-{size}-{agents}a{suffix}-v0", Preset(what, kwargs)


FAMILY = EnvFamily(
    name="rware",
    title="multi-robot warehouse",
    env="adaps_envs.families.crware.env:RWARE",
    params="adaps_envs.families.crware.params:RWAREParams",
    policies="adaps_envs.families.crware.policy:POLICIES",
    golden={"rware": "adaps_envs.families.crware.params:params_from_golden"},
    presets=dict(_preset(*task) for task in _TASKS),
)
