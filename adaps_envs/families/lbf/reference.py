"""The rules of level-based foraging for one lane in short plain Python: the thing to read first.

The compiled kernel must agree with this to the last bit; a differential test ties the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.lbf.params import LBFParams

__all__ = ["observe", "step", "valid_actions"]

Cell = tuple[int, int]

NONE, LOAD = 0, 5
STEPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))


def step(
    params: LBFParams, state: dict[str, Any], actions: list[int], load_order: Sequence[int] | None = None
) -> tuple[dict[str, Any], list[float], bool]:
    """Return the next state, the rewards (float64) and whether the episode is over, by clearing or by time.

    Args:
        params: the parameters.
        state: one lane of ``get_state()``.
        actions: N integers.
        load_order: order in which loading players are served; None is by index. It matters only where a player stands
            beside two foods, which no start allows.
    """
    field = np.array(state["field"])
    cells = _cells(state)
    valid = valid_actions(field, cells)
    actions = [action if valid[i, action] else NONE for i, action in enumerate(actions)]
    cells = _moved(cells, actions)
    levels = [int(level) for level in state["player_level"]]
    rewards = _load(params, field, cells, levels, actions, float(state["food_spawned"]), load_order)
    steps = int(state["current_step"]) + 1
    over = not field.any() or steps >= params.max_cycles
    after = {
        "player_row": np.array([row for row, _ in cells]),
        "player_col": np.array([col for _, col in cells]),
        "player_level": np.array(levels),
        "player_score": np.array(state["player_score"]) + rewards,
        "field": field,
        "current_step": steps,
        "game_over": over,
        "valid_actions": valid_actions(field, cells),
        "food_spawned": state["food_spawned"],
    }
    return after, rewards, over


def valid_actions(field: NDArray[Any], cells: list[Cell]) -> NDArray[np.bool_]:
    """Return which actions do something, ``[N, 6]``; an action that does not counts as none."""
    valid = np.zeros((len(cells), len(STEPS)), bool)
    for i, cell in enumerate(cells):
        beside = _beside(field, cell)
        valid[i, NONE] = True
        for action in range(1, LOAD):
            target = _neighbour(cell, action)
            valid[i, action] = target in beside and not field[target]
        valid[i, LOAD] = any(field[target] for target in beside)
    return valid


def _cells(state: dict[str, Any]) -> list[Cell]:
    return [(int(row), int(col)) for row, col in zip(state["player_row"], state["player_col"], strict=True)]


def _neighbour(cell: Cell, action: int) -> Cell:
    return cell[0] + STEPS[action][0], cell[1] + STEPS[action][1]


def _beside(field: NDArray[Any], cell: Cell) -> list[Cell]:
    """Return the neighbours on the board: north, south, west, east."""
    around = [_neighbour(cell, action) for action in range(1, LOAD)]
    return [(row, col) for row, col in around if 0 <= row < field.shape[0] and 0 <= col < field.shape[1]]


def _moved(cells: list[Cell], actions: list[int]) -> list[Cell]:
    """A player gets to the cell it wants if nobody else wants it, those included that want to stay there."""
    wanted = [_neighbour(cell, action) for cell, action in zip(cells, actions, strict=True)]
    claims = Counter(wanted)
    return [want if claims[want] == 1 else cell for cell, want in zip(cells, wanted, strict=True)]


def _load(
    params: LBFParams,
    field: NDArray[Any],
    cells: list[Cell],
    levels: list[int],
    actions: list[int],
    spawned: float,
    load_order: Sequence[int] | None,
) -> list[float]:
    """Collect what can be collected from ``field``, in place; return the rewards."""
    rewards = [0.0] * len(cells)
    order = range(len(cells)) if load_order is None else load_order
    loading = [i for i in order if actions[i] == LOAD]
    while loading:
        food = next(cell for cell in _beside(field, cells[loading[0]]) if field[cell])
        group = [i for i in loading if food in _beside(field, cells[i])]
        loading = [i for i in loading if i not in group]
        strength = sum(levels[i] for i in group)
        if strength < field[food]:
            for i in group:
                rewards[i] = 0.0 - params.penalty
            continue
        for i in group:
            divisor = float(strength * spawned) if params.normalize_reward else 1.0
            rewards[i] = float(levels[i] * int(field[food])) / divisor
        field[food] = 0
    return rewards


def observe(params: LBFParams, state: dict[str, Any]) -> NDArray[np.float32]:
    """Return the observations ``[N, F] float32`` of one lane's state."""
    view = _observe_grid if params.grid_observation else _observe_vector
    rows = [view(params, state, i, params.sights[i]) for i in range(params.num_agents)]
    return np.array(rows, dtype=np.float32).reshape(params.num_agents, -1)


def _observe_vector(params: LBFParams, state: dict[str, Any], i: int, sight: int) -> list[float]:
    cells, field = _cells(state), state["field"]
    row, col = cells[i]
    top, left = max(row - sight, 0), max(col - sight, 0)
    vector: list[float] = []
    for y in range(top, min(row + sight + 1, params.rows)):
        for x in range(left, min(col + sight + 1, params.cols)):
            if field[y, x]:
                vector += [y - top, x - left, field[y, x]]
    vector += [-1, -1, 0] * (params.max_num_food - len(vector) // 3)
    for j in [i, *(j for j in range(len(cells)) if j != i)]:
        y, x = cells[j][0] - top, cells[j][1] - left
        # The window for players starts at the clipped corner: away from it they are seen further than food is.
        if 0 <= y <= 2 * sight and 0 <= x <= 2 * sight:
            level = state["player_level"][j] if params.levels_are_public else 0
            vector += [y, x, level][: params.player_entries]
    unseen = [-1, -1, 0][: params.player_entries]
    return vector + unseen * ((params.obs_shape[0] - len(vector)) // params.player_entries)


def _observe_grid(params: LBFParams, state: dict[str, Any], i: int, sight: int) -> NDArray[Any]:
    """Draw the whole board with a wide border, cut out the window."""
    reach = max(params.sights)
    cells, field = _cells(state), state["field"]
    board = np.zeros((3, params.rows + 2 * reach, params.cols + 2 * reach))
    agents, foods, access = board[:, reach : reach + params.rows, reach : reach + params.cols]
    foods[:] = field
    access[:] = field == 0
    for j, cell in enumerate(cells):
        agents[cell] = state["player_level"][j] if params.observe_agent_levels else 1
        access[cell] = 0
    row, col = cells[i]
    window = board[:, row : row + 2 * reach + 1, col : col + 2 * reach + 1].copy()
    distance = np.abs(np.arange(-reach, reach + 1))
    window[:, distance > sight] = 0
    window[:, :, distance > sight] = 0
    return window.ravel()
