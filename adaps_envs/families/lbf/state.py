"""The state table of level-based foraging: the single source of allocation, ``get_state``/``set_state`` checks and
documentation; and the records that the kernels take."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.lbf.params import LBFParams
from adaps_envs.types import ArraySpec, ObsField

__all__ = ["Levels", "Rules", "State", "global_fields", "obs_fields", "state_table"]

GRID_LAYERS = ("agents", "foods", "access")


class State(NamedTuple):
    """The arrays of all lanes that the kernels keep: those of :func:`state_table` and two more.

    Attributes:
        foods: ``[B, 3 * M + BLOCK] float32``, derived from ``field``: row, column and level of each food in row-major
            order, unused entries ``(-1, -1, 0)``. It is at once the list of foods and the food block of a whole-board
            observation. The ``BLOCK`` entries behind it may be read, but mean nothing.
        rng: the random streams.
    """

    player_row: NDArray[np.int16]
    player_col: NDArray[np.int16]
    player_level: NDArray[np.int16]
    player_score: NDArray[np.float64]
    field: NDArray[np.int16]
    current_step: NDArray[np.int32]
    game_over: NDArray[np.bool_]
    food_spawned: NDArray[np.float64]
    foods: NDArray[np.float32]
    rng: NDArray[np.uint64]


class Levels(NamedTuple):
    """From what a reset draws levels.

    Attributes:
        min_player, max_player: ``[N] int64``, inclusive.
        players_dealt: whether the ranges go to the players in a new order at every reset.
        min_food, max_food: ``[M] int64``, inclusive; ``max_food`` is empty where players' levels give the highest.
        foods_dealt: whether the ranges go to the foods in a new order at every reset.
        exclusive, force_coop: as in the parameters.
    """

    min_player: NDArray[np.int64]
    max_player: NDArray[np.int64]
    players_dealt: bool
    min_food: NDArray[np.int64]
    max_food: NDArray[np.int64]
    foods_dealt: bool
    exclusive: bool
    force_coop: bool


class Rules(NamedTuple):
    """What a step and an observation go by, the same in all lanes and episodes.

    Attributes:
        sight: ``[N] int64``, how far each player sees.
        is_grid: whether observations are layers of the surrounding cells.
        reach: the farthest sight, by which grids are sized.
        player_entries: entries of a player in the vector, 3 with its level and 2 without.
        show_levels: whether levels of players are told.
        normalize, penalty, max_cycles: as in the parameters.
    """

    sight: NDArray[np.int64]
    is_grid: bool
    reach: int
    player_entries: int
    show_levels: bool
    normalize: bool
    penalty: float
    max_cycles: int


def state_table(params: LBFParams) -> tuple[ArraySpec, ...]:
    """Return the state arrays; axis sizes are N players, R rows, C columns and A actions."""
    rows, cols = params.rows - 1, params.cols - 1
    most_food = params.highest_food_level
    return (
        ArraySpec("player_row", ("N",), "int16", 0, rows, "cells", "players' rows, 0 on top"),
        ArraySpec("player_col", ("N",), "int16", 0, cols, "cells", "players' columns, 0 on the left"),
        ArraySpec("player_level", ("N",), "int16", 1, params.highest_player_level, "level", "players' levels"),
        ArraySpec("player_score", ("N",), "float64", -math.inf, math.inf, "reward", "sum of rewards in the episode"),
        ArraySpec("field", ("R", "C"), "int16", 0, most_food, "level", "levels of the foods, 0 where there is none"),
        ArraySpec("current_step", (), "int32", 0, params.max_cycles, "steps", "steps since the reset"),
        ArraySpec("game_over", (), "bool", 0, 1, "flag", "whether the episode is over"),
        ArraySpec(
            "valid_actions", ("N", "A"), "bool", 0, 1, "flag",
            "actions that do something; follows from positions and field, so injected values are replaced",
        ),
        ArraySpec(
            "food_spawned", (), "float64", 0, most_food * params.max_num_food, "level",
            "sum of the foods' levels at the reset, the divisor of normalised rewards",
        ),
    )  # fmt: skip


def obs_fields(params: LBFParams) -> tuple[ObsField, ...]:
    """Return the observation entries; a grid is flattened layer by layer, row by row."""
    return _grid_fields(params) if params.grid_observation else _vector_fields(params)


def global_fields(params: LBFParams) -> tuple[ObsField, ...]:
    """Return the entries of the global state: foods, then players by index, in coordinates of the board.

    Levels of players are there only where players see them as well: else they would tell the types.
    """
    entries = _food_entries(params)
    for index in range(params.num_agents):
        entries += _player_entries(params, f"player_{index}", low=0, levels=params.levels_are_public)
    return _numbered(entries)


Entry = tuple[str, float, float, str]


def _numbered(entries: list[Entry]) -> tuple[ObsField, ...]:
    return tuple(ObsField(index, *entry) for index, entry in enumerate(entries))


def _food_entries(params: LBFParams) -> list[Entry]:
    highest = params.highest_food_level  # looks at all foods
    return [
        entry
        for index in range(params.max_num_food)
        for entry in (
            (f"food_{index}_row", -1.0, params.rows - 1, "cells"),
            (f"food_{index}_col", -1.0, params.cols - 1, "cells"),
            (f"food_{index}_level", 0.0, highest, "level"),
        )
    ]


def _player_entries(params: LBFParams, name: str, low: float, levels: bool) -> list[Entry]:
    entries: list[Entry] = [
        (f"{name}_row", low, params.rows - 1, "cells"),
        (f"{name}_col", low, params.cols - 1, "cells"),
    ]
    return [*entries, (f"{name}_level", 0.0, params.highest_player_level, "level")] if levels else entries


def _vector_fields(params: LBFParams) -> tuple[ObsField, ...]:
    entries = _food_entries(params)
    for index in range(params.num_agents):
        name = "self" if index == 0 else f"other_{index}"
        entries += _player_entries(params, name, low=-1.0, levels=params.observe_agent_levels)
    return _numbered(entries)


def _grid_fields(params: LBFParams) -> tuple[ObsField, ...]:
    reach = max(params.sights)
    highest = (
        params.highest_player_level if params.observe_agent_levels else 1,
        params.highest_food_level,
        1,
    )
    window = range(-reach, reach + 1)
    return _numbered(
        [
            (f"{layer}[{row:+d},{col:+d}]", 0.0, high, unit)
            for layer, high, unit in zip(GRID_LAYERS, highest, ("level", "level", "flag"), strict=True)
            for row, col in product(window, window)
        ]
    )
