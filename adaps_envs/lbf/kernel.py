"""Compiled rules of level-based foraging. ``reference.py`` says the same in plain Python; read that first.

``foods [B, M, 3] float32`` is derived from ``field``: row, column and level of each food in row-major order, unused
entries ``(-1, -1, 0)``. It is at once the list of foods and the food block of a whole-board observation. Lanes are
independent, each range ``[start, stop)`` can run on its own thread; scratch arrays are made once a call.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from adaps_envs.core.rng import below

__all__ = ["index_food_lanes", "observe_lanes", "reset_lanes", "step_lanes", "valid_action_lanes"]

LOAD = 5
# Row and column steps of the actions: none, north, south, west, east, load.
ROW_STEP = np.array([0, -1, 1, 0, 0, 0], np.int64)
COL_STEP = np.array([0, 0, 0, -1, 1, 0], np.int64)
# The original gives up placing food after so many draws in all.
FOOD_ATTEMPTS = 1000
# So many draws find a free cell on any board that is not nearly full; then one exact draw among the free ones does.
PLAYER_ATTEMPTS = 32
NO_FOOD = np.array([-1.0, -1.0, 0.0], np.float32)


# -- start -------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def shuffle(stream, order):  # type: ignore[no-untyped-def]
    """Put 0, 1, ... into ``order`` in random order."""
    for k in range(order.shape[0]):
        other = below(stream, k + 1)
        order[k] = order[other]
        order[other] = k


@njit(nogil=True, cache=True)
def free_cell(stream, occupied, num_occupied):  # type: ignore[no-untyped-def]
    """Draw a cell uniformly from those that are not ``occupied``."""
    for _ in range(PLAYER_ATTEMPTS):
        cell = below(stream, occupied.shape[0])
        if not occupied[cell]:
            return cell
    rank = below(stream, occupied.shape[0] - num_occupied)
    cell = -1
    while rank >= 0:
        cell += 1
        rank -= not occupied[cell]
    return cell


@njit(nogil=True, cache=True)
def place_players(  # type: ignore[no-untyped-def]
    b, stream, row, col, level, num_cols, min_level, max_level, dealt, order, occupied
):
    """Place the players of one lane on free cells, and draw their levels from their ranges, dealt anew or not."""
    if dealt:
        shuffle(stream, order)
    for i in range(row.shape[1]):
        cell = free_cell(stream, occupied, i)
        occupied[cell] = True
        row[b, i] = cell // num_cols
        col[b, i] = cell % num_cols
        source = order[i] if dealt else i
        low = min_level[source]
        level[b, i] = low + below(stream, max_level[source] - low + 1)


@njit(nogil=True, cache=True)
def lowest_three(b, level):  # type: ignore[no-untyped-def]
    """Return the sum of the three lowest levels of one lane (of all, if fewer)."""
    lowest = np.int64(1) << 40
    second = lowest
    third = lowest
    for i in range(level.shape[1]):
        value = np.int64(level[b, i])
        if value < lowest:
            lowest, second, third = value, lowest, second
        elif value < second:
            second, third = value, second
        elif value < third:
            third = value
    total = lowest
    if level.shape[1] > 1:
        total += second
    if level.shape[1] > 2:
        total += third
    return total


@njit(nogil=True, cache=True)
def close_cells_around(r, c, num_cols, closed):  # type: ignore[no-untyped-def]
    """Close the cells where no other food may be: the 3 x 3 block around a food, and two cells along row and column.

    Food is off the border and so is the block; arms that would leave the board are cut.
    """
    num_rows = closed.shape[0] // num_cols
    for near in range(r - 1, r + 2):
        for beside in range(c - 1, c + 2):
            closed[near * num_cols + beside] = True
    if r >= 2:
        closed[(r - 2) * num_cols + c] = True
    if r + 2 < num_rows:
        closed[(r + 2) * num_cols + c] = True
    if c >= 2:
        closed[r * num_cols + c - 2] = True
    if c + 2 < num_cols:
        closed[r * num_cols + c + 2] = True


@njit(nogil=True, cache=True)
def place_foods(  # type: ignore[no-untyped-def]
    b, stream, field, min_food, max_food, default_max, exclusive, coop, dealt, order, closed
):
    """Place foods on open cells off the border and draw their levels; return the sum of levels.

    ``default_max`` is the highest level where ``max_food`` is empty. ``closed`` comes with the players' cells closed.
    """
    num_rows, num_cols = field.shape[1], field.shape[2]
    num_foods = min_food.shape[0]
    if dealt:
        shuffle(stream, order)
    placed = 0
    total = 0
    for _ in range(FOOD_ATTEMPTS):
        if placed == num_foods:
            break
        r = 1 + below(stream, num_rows - 2)
        c = 1 + below(stream, num_cols - 2)
        if closed[r * num_cols + c]:
            continue
        source = order[placed] if dealt else placed
        high = default_max if max_food.shape[0] == 0 else max_food[source]
        low = high if coop else min_food[source]
        if exclusive and not coop:
            high -= 1
        food = low + below(stream, high - low + 1)
        field[b, r, c] = food
        total += food
        placed += 1
        close_cells_around(r, c, num_cols, closed)
    return total


@njit(nogil=True, cache=True)
def index_foods(b, field, foods):  # type: ignore[no-untyped-def]
    """Derive one lane's list of foods from its field."""
    count = 0
    for r in range(field.shape[1]):
        for c in range(field.shape[2]):
            if field[b, r, c] > 0:
                foods[b, count, 0] = r
                foods[b, count, 1] = c
                foods[b, count, 2] = field[b, r, c]
                count += 1
    for k in range(count, foods.shape[1]):
        foods[b, k] = NO_FOOD


@njit(nogil=True, cache=True)
def index_food_lanes(mask, field, foods):  # type: ignore[no-untyped-def]
    """Derive the lists of foods of the lanes where ``mask`` holds."""
    for b in range(mask.shape[0]):
        if mask[b]:
            index_foods(b, field, foods)


@njit(nogil=True, cache=True)
def reset_lanes(  # type: ignore[no-untyped-def]
    start, stop, mask, rng, row, col, level, score, field, current_step, game_over, food_spawned, foods,
    min_level, max_level, levels_dealt, min_food, max_food, exclusive, coop, foods_dealt,
):  # fmt: skip
    """Draw a start state for the lanes of ``[start, stop)`` where ``mask`` holds."""
    closed = np.empty(field.shape[1] * field.shape[2], np.bool_)
    player_order = np.empty(row.shape[1], np.int64)
    food_order = np.empty(min_food.shape[0], np.int64)
    for b in range(start, stop):
        if not mask[b]:
            continue
        stream = rng[b]
        closed[:] = False
        field[b] = 0
        place_players(
            b, stream, row, col, level, field.shape[2], min_level, max_level, levels_dealt, player_order, closed
        )
        food_spawned[b] = place_foods(
            b, stream, field, min_food, max_food, lowest_three(b, level), exclusive, coop,
            foods_dealt, food_order, closed,
        )  # fmt: skip
        index_foods(b, field, foods)
        score[b] = 0.0
        current_step[b] = 0
        game_over[b] = False


# -- step --------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def food_beside(b, r, c, field):  # type: ignore[no-untyped-def]
    """Return row and column of the first food beside a cell: north, south, west, east; (-1, -1) if there is none."""
    if r > 0 and field[b, r - 1, c] > 0:
        return r - 1, c
    if r < field.shape[1] - 1 and field[b, r + 1, c] > 0:
        return r + 1, c
    if c > 0 and field[b, r, c - 1] > 0:
        return r, c - 1
    if c < field.shape[2] - 1 and field[b, r, c + 1] > 0:
        return r, c + 1
    return -1, -1


@njit(nogil=True, cache=True)
def move_lane(b, actions, row, col, field, to_row, to_col, claims, loaders):  # type: ignore[no-untyped-def]
    """Move the players of one lane; a player moves where it alone wants to be. Return how many players load.

    ``claims`` counts the players that want a cell; it is all zero before and after.
    """
    last_row, last_col = field.shape[1] - 1, field.shape[2] - 1
    num_loading = 0
    for i in range(row.shape[1]):
        action = actions[b, i]
        r, c = np.int64(row[b, i]), np.int64(col[b, i])
        # A wall gives the player its own cell, as does food: an invalid move is none at all.
        to_r = min(max(r + ROW_STEP[action], 0), last_row)
        to_c = min(max(c + COL_STEP[action], 0), last_col)
        is_free = field[b, to_r, to_c] == 0
        to_r = to_r if is_free else r
        to_c = to_c if is_free else c
        to_row[i] = to_r
        to_col[i] = to_c
        claims[to_r, to_c] += 1
        loaders[num_loading] = i
        num_loading += action == LOAD
    for i in range(row.shape[1]):
        alone = claims[to_row[i], to_col[i]] == 1
        row[b, i] = to_row[i] if alone else row[b, i]
        col[b, i] = to_col[i] if alone else col[b, i]
    for i in range(row.shape[1]):
        claims[to_row[i], to_col[i]] = 0
    return num_loading


@njit(nogil=True, cache=True)
def remove_food(b, r, c, field, foods):  # type: ignore[no-untyped-def]
    """Take one food away; the list stays packed."""
    field[b, r, c] = 0
    last = foods.shape[1] - 1
    k = 0
    while foods[b, k, 0] != r or foods[b, k, 1] != c:
        k += 1
    for slot in range(k, last):
        for entry in range(3):
            foods[b, slot, entry] = foods[b, slot + 1, entry]
    for entry in range(3):
        foods[b, last, entry] = NO_FOOD[entry]


@njit(nogil=True, cache=True)
def load_lane(  # type: ignore[no-untyped-def]
    b, num_loading, loaders, row, col, level, score, field, foods, spawned, normalize, penalty, rewards
):
    """Let the loading players of one lane load, lowest index first; each takes everybody at its food along.

    Players that have been served are marked by -1 in ``loaders``.
    """
    for k in range(num_loading):
        i = loaders[k]
        if i < 0:
            continue
        r, c = food_beside(b, row[b, i], col[b, i], field)
        if r < 0:
            continue
        food = np.int64(field[b, r, c])
        strength = np.int64(0)
        for m in range(k, num_loading):
            j = loaders[m]
            if j >= 0 and abs(row[b, j] - r) + abs(col[b, j] - c) == 1:
                strength += np.int64(level[b, j])
        loaded = strength >= food
        divisor = np.float64(strength) * spawned if normalize else 1.0
        for m in range(k, num_loading):
            j = loaders[m]
            if j >= 0 and abs(row[b, j] - r) + abs(col[b, j] - c) == 1:
                # A divisor of 0 needs an injected state: food on the board, but none spawned. It pays nothing.
                pay = np.float64(np.int64(level[b, j]) * food) / divisor if divisor > 0.0 else 0.0
                pay = pay if loaded else 0.0 - penalty
                rewards[b, j] = pay
                score[b, j] += pay
                loaders[m] = -1
        if loaded:
            remove_food(b, r, c, field, foods)


@njit(nogil=True, cache=True)
def step_lanes(  # type: ignore[no-untyped-def]
    start, stop, actions, row, col, level, score, field, current_step, game_over, food_spawned, foods,
    normalize, penalty, max_cycles, sight, is_grid, reach, player_entries, show_levels,
    obs, rewards, terminated, truncated,
):  # fmt: skip
    """Advance lanes ``[start, stop)`` by one step: move, load, count, observe."""
    num_agents = row.shape[1]
    claims = np.zeros((field.shape[1], field.shape[2]), np.int32)
    to_row = np.empty(num_agents, np.int64)
    to_col = np.empty(num_agents, np.int64)
    loaders = np.empty(num_agents + 1, np.int64)
    players = np.empty(player_entries * num_agents, np.float32)
    for b in range(start, stop):
        num_loading = move_lane(b, actions, row, col, field, to_row, to_col, claims, loaders)
        for i in range(num_agents):
            rewards[b, i] = 0.0
        if num_loading > 0:
            load_lane(
                b, num_loading, loaders, row, col, level, score, field, foods, food_spawned[b], normalize, penalty,
                rewards,
            )  # fmt: skip
        current_step[b] += 1
        cleared = foods[b, 0, 2] == 0.0
        terminated[b] = cleared
        truncated[b] = not cleared and current_step[b] >= max_cycles
        game_over[b] = cleared or truncated[b]
        if is_grid:
            observe_grid(b, row, col, level, foods, field.shape[1], field.shape[2], sight, reach, show_levels, obs)
        else:
            observe_vector(b, row, col, level, foods, field.shape[1], field.shape[2], sight, player_entries,
                           show_levels, players, obs)  # fmt: skip


@njit(nogil=True, cache=True)
def valid_action_lanes(row, col, field, valid):  # type: ignore[no-untyped-def]
    """Write which actions do something, ``[B, N, A]``: none, moves to cells on the board without food, load at food."""
    num_rows, num_cols = field.shape[1], field.shape[2]
    for b in range(row.shape[0]):
        for i in range(row.shape[1]):
            valid[b, i, 0] = True
            valid[b, i, LOAD] = False
            for action in range(1, LOAD):
                r, c = row[b, i] + ROW_STEP[action], col[b, i] + COL_STEP[action]
                inside = 0 <= r < num_rows and 0 <= c < num_cols
                has_food = inside and field[b, r, c] > 0
                valid[b, i, action] = inside and not has_food
                valid[b, i, LOAD] |= has_food


# -- observation -------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def observe_vector(  # type: ignore[no-untyped-def]
    b, row, col, level, foods, num_rows, num_cols, sight, size, show_levels, players, obs
):
    """Write one lane's observations: foods in sight, oneself, the others in sight.

    ``size`` is the number of entries of a player, ``players [N * size]`` is scratch.
    """
    num_agents = row.shape[1]
    for j in range(num_agents):
        players[size * j] = row[b, j]
        players[size * j + 1] = col[b, j]
        if size == 3:
            players[size * j + 2] = level[b, j] if show_levels else 0
    for i in range(num_agents):
        if sight[i] >= num_rows - 1 and sight[i] >= num_cols - 1:
            observe_all(b, i, foods, size, players, obs)
        else:
            observe_window(b, i, row, col, foods, num_rows, num_cols, sight[i], size, players, obs)


@njit(nogil=True, cache=True)
def observe_all(b, i, foods, size, players, obs):  # type: ignore[no-untyped-def]
    """Write the observation of a player that sees the whole board: relative coordinates are absolute."""
    base = 3 * foods.shape[1]
    for f in range(foods.shape[1]):
        obs[b, i, 3 * f] = foods[b, f, 0]
        obs[b, i, 3 * f + 1] = foods[b, f, 1]
        obs[b, i, 3 * f + 2] = foods[b, f, 2]
    for k in range(size):
        obs[b, i, base + k] = players[size * i + k]
    for k in range(size * i):
        obs[b, i, base + size + k] = players[k]
    for k in range(size * (i + 1), players.shape[0]):
        obs[b, i, base + k] = players[k]


@njit(nogil=True, cache=True)
def observe_window(  # type: ignore[no-untyped-def]
    b, i, row, col, foods, num_rows, num_cols, sight, size, players, obs
):
    """Write the observation of a player that sees the board in part, relative to the corner of its clipped window.

    Entries are written for every candidate and kept by moving on: what is out of sight is overwritten.
    """
    num_foods, num_agents = foods.shape[1], row.shape[1]
    top, left = max(row[b, i] - sight, 0), max(col[b, i] - sight, 0)
    bottom, right = row[b, i] + sight, col[b, i] + sight
    slot = 0
    for f in range(num_foods):
        r, c = foods[b, f, 0], foods[b, f, 1]
        obs[b, i, slot] = r - top
        obs[b, i, slot + 1] = c - left
        obs[b, i, slot + 2] = foods[b, f, 2]
        slot += 3 * ((r >= top) & (r <= bottom) & (c >= left) & (c <= right))
    base = 3 * num_foods
    for k in range(slot, base, 3):
        obs[b, i, k] = -1.0
        obs[b, i, k + 1] = -1.0
        obs[b, i, k + 2] = 0.0
    obs[b, i, base] = row[b, i] - top
    obs[b, i, base + 1] = col[b, i] - left
    if size == 3:
        obs[b, i, base + 2] = players[size * i + 2]
    slot = base + size
    for j in range(num_agents):
        if j == i:
            continue
        r, c = row[b, j] - top, col[b, j] - left
        obs[b, i, slot] = r
        obs[b, i, slot + 1] = c
        if size == 3:
            obs[b, i, slot + 2] = players[size * j + 2]
        # For players the original measures from the clipped corner, so that more is seen away from it.
        slot += size * ((r >= 0) & (c >= 0) & (r <= 2 * sight) & (c <= 2 * sight))
    for k in range(slot, base + size * num_agents, size):
        obs[b, i, k] = -1.0
        obs[b, i, k + 1] = -1.0
        if size == 3:
            obs[b, i, k + 2] = 0.0


@njit(nogil=True, cache=True)
def observe_grid(  # type: ignore[no-untyped-def]
    b, row, col, level, foods, num_rows, num_cols, sight, reach, show_levels, obs
):
    """Write one lane's layered observations ``[3, K, K]``, flattened; K = 2 * reach + 1.

    A player whose sight is shorter than ``reach`` finds zeros beyond it.
    """
    side = 2 * reach + 1
    layer = side * side
    for i in range(row.shape[1]):
        for k in range(3 * layer):
            obs[b, i, k] = 0.0
        r, c, s = np.int64(row[b, i]), np.int64(col[b, i]), sight[i]
        # A cell (y, x) of the board is entry `origin + y * side + x` of a layer.
        origin = (reach - r) * side + reach - c
        top, bottom = max(r - s, 0), min(r + s, num_rows - 1)
        left, right = max(c - s, 0), min(c + s, num_cols - 1)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                obs[b, i, 2 * layer + origin + y * side + x] = 1.0
        for f in range(foods.shape[1]):
            y, x = np.int64(foods[b, f, 0]), np.int64(foods[b, f, 1])
            if top <= y <= bottom and left <= x <= right:
                at = origin + y * side + x
                obs[b, i, layer + at] = foods[b, f, 2]
                obs[b, i, 2 * layer + at] = 0.0
        for j in range(row.shape[1]):
            y, x = np.int64(row[b, j]), np.int64(col[b, j])
            if top <= y <= bottom and left <= x <= right:
                at = origin + y * side + x
                obs[b, i, at] = level[b, j] if show_levels else 1
                obs[b, i, 2 * layer + at] = 0.0


@njit(nogil=True, cache=True)
def observe_lanes(  # type: ignore[no-untyped-def]
    start, stop, row, col, level, foods, num_rows, num_cols, sight, is_grid, reach, player_entries, show_levels, obs
):
    """Write the observations ``[B, N, F]`` of lanes ``[start, stop)``."""
    players = np.empty(player_entries * row.shape[1], np.float32)
    for b in range(start, stop):
        if is_grid:
            observe_grid(b, row, col, level, foods, num_rows, num_cols, sight, reach, show_levels, obs)
        else:
            observe_vector(
                b, row, col, level, foods, num_rows, num_cols, sight, player_entries, show_levels, players, obs
            )
