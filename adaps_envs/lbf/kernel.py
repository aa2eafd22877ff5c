"""Compiled rules of level-based foraging. ``reference.py`` says the same in plain Python; read that first.

``foods [B, 3 * M + BLOCK] float32`` is derived from ``field``: row, column and level of each food in row-major order,
unused entries ``(-1, -1, 0)``. It is at once the list of foods and the food block of a whole-board observation; the
``BLOCK`` entries behind it may be read, but mean nothing. Lanes are independent, each range ``[start, stop)`` can run
on its own thread; scratch arrays are made once a call.

Indices in the step and the observation are unsigned, and so are the constants added to them: that spares a test for
negative indices at every access, which would keep the compiler from using wide instructions.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit
from adaps_envs.core.native import values_of
from adaps_envs.core.rng import below

__all__ = ["BLOCK", "index_food_lanes", "observe_lanes", "reset_lanes", "step_lanes", "valid_action_lanes"]

LOAD = 5
# Row and column steps of the actions: none, north, south, west, east, load.
ROW_STEP = np.array([0, -1, 1, 0, 0, 0], np.int64)
COL_STEP = np.array([0, 0, 0, -1, 1, 0], np.int64)
# The original gives up placing food after so many draws in all.
FOOD_ATTEMPTS = 1000
# So many draws find a free cell on any board that is not nearly full; then one exact draw among the free ones does.
PLAYER_ATTEMPTS = 32
ZERO, ONE, TWO, THREE, FOUR = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
# Entries that are copied at once.
BLOCK = np.uintp(8)
MINUS_ONE, NOTHING = np.float32(-1.0), np.float32(0.0)


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
    at = 0
    for r in range(field.shape[1]):
        for c in range(field.shape[2]):
            if field[b, r, c] > 0:
                foods[b, at] = r
                foods[b, at + 1] = c
                foods[b, at + 2] = field[b, r, c]
                at += 3
    while at < foods.shape[1] - BLOCK:
        foods[b, at] = -1.0
        foods[b, at + 1] = -1.0
        foods[b, at + 2] = 0.0
        at += 3


@njit(nogil=True, cache=True)
def index_food_lanes(mask, field, foods):  # type: ignore[no-untyped-def]
    """Derive the lists of foods of the lanes where ``mask`` holds."""
    for b in range(mask.shape[0]):
        if mask[b]:
            index_foods(b, field, foods)


@njit(nogil=True, cache=True)
def reset_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Draw a start state for the lanes of ``[start, stop)`` where ``mask`` holds."""
    rng, board, player_levels, food_levels = values_of(fixed)
    row, col, level, score, field, current_step, game_over, food_spawned, foods = board
    min_level, max_level, levels_dealt = player_levels
    min_food, max_food, exclusive, coop, foods_dealt = food_levels
    (mask,) = values_of(call)
    closed = np.empty(field.shape[1] * field.shape[2], np.bool_)
    player_order = np.empty(row.shape[1], np.int64)
    food_order = np.empty(min_food.shape[0], np.int64)
    for b in range(start, stop):
        if not mask[b]:
            continue
        stream = rng[b]
        for cell in range(closed.shape[0]):
            closed[cell] = False
        for r in range(field.shape[1]):
            for c in range(field.shape[2]):
                field[b, r, c] = 0
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
def is_beside_food(b, r, c, own, last_row, last_col, num_cols, field):  # type: ignore[no-untyped-def]
    """Return whether any neighbour of cell ``own`` at row ``r`` and column ``c`` holds food, without a branch."""
    up, down, left, right = r > 0, r < last_row, c > 0, c < last_col
    # At a border the own cell is read in the neighbour's place, and does not count.
    north = up & (field[b, np.uintp(own - num_cols * up)] > 0)
    south = down & (field[b, np.uintp(own + num_cols * down)] > 0)
    west = left & (field[b, np.uintp(own - left)] > 0)
    east = right & (field[b, np.uintp(own + right)] > 0)
    return north | south | west | east


@njit(nogil=True, cache=True)
def move_lane(  # type: ignore[no-untyped-def]
    b, actions, row, col, field, num_rows, num_cols, to_row, to_col, target, claims, loaders
):
    """Move the players of one lane; a player moves where it alone wants to be. Return how many players load.

    ``field [B, R * C]`` is flattened. ``claims [R * C]`` counts the players that want a cell; it is all zero before and
    after. Only players beside food are put down in ``loaders``.
    """
    num_agents = np.uintp(row.shape[1])
    last_row, last_col = num_rows - 1, num_cols - 1
    num_loading = ZERO
    for i in range(num_agents):
        action = actions[b, i]
        r, c = np.int64(row[b, i]), np.int64(col[b, i])
        own = r * num_cols + c
        # A wall gives the player its own cell, as does food: an invalid move is none at all.
        to_r = min(max(r + ROW_STEP[np.uintp(action)], 0), last_row)
        to_c = min(max(c + COL_STEP[np.uintp(action)], 0), last_col)
        cell = np.uintp(to_r * num_cols + to_c)
        is_free = field[b, cell] == 0
        to_row[i] = to_r if is_free else r
        to_col[i] = to_c if is_free else c
        cell = cell if is_free else np.uintp(own)
        target[i] = cell
        claims[cell] += 1
        loads = (action == LOAD) & is_beside_food(b, r, c, own, last_row, last_col, num_cols, field)
        loaders[num_loading] = i
        num_loading += ONE if loads else ZERO
    for i in range(num_agents):
        alone = claims[target[i]] == 1
        row[b, i] = to_row[i] if alone else row[b, i]
        col[b, i] = to_col[i] if alone else col[b, i]
    for i in range(num_agents):
        claims[target[i]] = 0
    return num_loading


@njit(nogil=True, cache=True)
def food_beside(b, r, c, field, num_rows, num_cols):  # type: ignore[no-untyped-def]
    """Return row and column of the first food beside a cell: north, south, west, east. There must be one."""
    own = r * num_cols + c
    if r > 0 and field[b, own - num_cols] > 0:
        return r - 1, c
    if r < num_rows - 1 and field[b, own + num_cols] > 0:
        return r + 1, c
    if c > 0 and field[b, own - 1] > 0:
        return r, c - 1
    return r, c + 1


@njit(nogil=True, cache=True)
def remove_food(b, r, c, foods):  # type: ignore[no-untyped-def]
    """Take one food out of the list, which stays packed."""
    end = foods.shape[1] - np.int64(BLOCK)
    at = 0
    while foods[b, at] != r or foods[b, at + 1] != c:
        at += 3
    for k in range(at, end - 3):
        foods[b, k] = foods[b, k + 3]
    foods[b, end - 3] = -1.0
    foods[b, end - 2] = -1.0
    foods[b, end - 1] = 0.0


@njit(nogil=True, cache=True)
def load_lane(  # type: ignore[no-untyped-def]
    b, num_loading, loaders, row, col, level, score, field, num_rows, num_cols, foods, spawned, normalize, penalty,
    rewards,
):  # fmt: skip
    """Let the loading players of one lane load, lowest index first; each takes everybody at its food along.

    Players that have been served are marked by -1 in ``loaders``. All of those that are left have a food beside them:
    who collects one takes along everybody beside it.
    """
    for k in range(num_loading):
        i = loaders[k]
        if i < 0:
            continue
        r, c = food_beside(b, np.int64(row[b, i]), np.int64(col[b, i]), field, num_rows, num_cols)
        food = np.int64(field[b, r * num_cols + c])
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
            field[b, r * num_cols + c] = 0
            remove_food(b, r, c, foods)


@njit(nogil=True, cache=True)
def step_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Advance lanes ``[start, stop)`` by one step: move, load, count; then observe."""
    board, rules, seen = values_of(fixed)
    row, col, level, score, field, current_step, game_over, food_spawned, foods = board
    normalize, penalty, max_cycles = rules
    actions, obs, rewards, terminated, truncated = values_of(call)
    num_agents = np.uintp(row.shape[1])
    num_rows, num_cols = field.shape[1], field.shape[2]
    cells = field.reshape(field.shape[0], num_rows * num_cols)
    claims = np.zeros(num_rows * num_cols, np.int32)
    to_row = np.empty(num_agents, np.int16)
    to_col = np.empty(num_agents, np.int16)
    target = np.empty(num_agents, np.uintp)
    loaders = np.empty(num_agents + ONE, np.int64)
    for b in range(np.uintp(start), np.uintp(stop)):
        num_loading = move_lane(
            b, actions, row, col, cells, num_rows, num_cols, to_row, to_col, target, claims, loaders
        )
        for i in range(num_agents):
            rewards[b, i] = 0.0
        if num_loading > 0:
            load_lane(
                b, num_loading, loaders, row, col, level, score, cells, num_rows, num_cols, foods, food_spawned[b],
                normalize, penalty, rewards,
            )  # fmt: skip
        current_step[b] += 1
        cleared = foods[b, TWO] == 0.0
        at_limit = current_step[b] >= max_cycles
        terminated[b] = cleared
        truncated[b] = at_limit and not cleared
        game_over[b] = cleared or at_limit
    observe_lanes(start, stop, seen, (obs,))


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
def describe_players(b, row, col, level, size, show_levels, players):  # type: ignore[no-untyped-def]
    """Write row, column and, if ``size`` is 3, level of one lane's players in a row, ``players [N * 3 + 8]``."""
    at = ZERO
    for j in range(np.uintp(row.shape[1])):
        players[at] = row[b, j]
        players[at + ONE] = col[b, j]
        # With two entries a player the level is overwritten by the next one.
        players[at + TWO] = level[b, j] if show_levels else 0
        at += size


@njit(nogil=True, cache=True)
def copy_block(target, to, source, start):  # type: ignore[no-untyped-def]
    """Copy ``BLOCK`` entries at once: all are read before the first is written, which makes one wide move of it."""
    v0, v1, v2, v3 = source[start], source[start + ONE], source[start + TWO], source[start + THREE]
    rest = start + FOUR
    v4, v5, v6, v7 = source[rest], source[rest + ONE], source[rest + TWO], source[rest + THREE]
    target[to], target[to + ONE], target[to + TWO], target[to + THREE] = v0, v1, v2, v3
    rest = to + FOUR
    target[rest], target[rest + ONE], target[rest + TWO], target[rest + THREE] = v4, v5, v6, v7


@njit(nogil=True, cache=True)
def copy_blocks(target, to, source, start, stop):  # type: ignore[no-untyped-def]
    """Copy ``source[start:stop]`` in blocks, so up to ``BLOCK - 1`` entries too much; return where the copy ends."""
    end = to + stop - start
    while to < end:
        copy_block(target, to, source, start)
        to += BLOCK
        start += BLOCK
    return end


@njit(nogil=True, cache=True)
def observe_all_in_blocks(foods, first, last, num_entries, size, players, at, flat):  # type: ignore[no-untyped-def]
    """Write one lane's observations of the whole board from ``flat[at]`` on; entries behind them are overwritten too.

    Foods are ``foods[first:last]``, players ``players[:num_entries]``, ``size`` entries each.
    """
    own = ZERO
    while own < num_entries:
        at = copy_blocks(flat, at, foods, first, last)
        copy_block(flat, at, players, own)
        at = copy_blocks(flat, at + size, players, ZERO, own)
        own += size
        at = copy_blocks(flat, at, players, own, num_entries)


@njit(nogil=True, cache=True)
def observe_all(b, i, foods, base, num_entries, size, players, obs):  # type: ignore[no-untyped-def]
    """Write the observation of one player that sees the whole board: relative coordinates are absolute."""
    own = size * i
    for k in range(base):
        obs[b, i, k] = foods[b, k]
    for k in range(size):
        obs[b, i, base + k] = players[own + k]
    for k in range(own):
        obs[b, i, base + size + k] = players[k]
    for k in range(own + size, num_entries):
        obs[b, i, base + k] = players[k]


@njit(nogil=True, cache=True)
def put_seen(  # type: ignore[no-untyped-def]
    b, i, source, at, stop, size, corner, far, front, back, obs
):
    """Write the entries ``source[at:stop]`` of foods or players for one observer; return where it went on.

    Each candidate takes one place: the next one from ``front`` on if it is seen, with coordinates relative to
    ``corner``, else the last free one before ``back``, as unseen. It is seen from ``corner`` to ``far``.
    """
    while at < stop:
        y, x = source[at], source[at + ONE]
        seen = (y >= corner[0]) & (y <= far[0]) & (x >= corner[1]) & (x <= far[1])
        back -= ZERO if seen else size
        slot = front if seen else back
        obs[b, i, slot] = y - corner[0] if seen else MINUS_ONE
        obs[b, i, slot + ONE] = x - corner[1] if seen else MINUS_ONE
        if size == THREE:
            obs[b, i, slot + TWO] = source[at + TWO] if seen else NOTHING
        front += size if seen else ZERO
        at += size
    return front, back


@njit(nogil=True, cache=True)
def observe_window(  # type: ignore[no-untyped-def]
    b, i, row, col, flat_foods, first, base, sight, size, players, obs
):
    """Write the observation of a player that sees the board in part, relative to the corner of its clipped window."""
    r, c = np.int64(row[b, i]), np.int64(col[b, i])
    corner = (np.float32(max(r - sight, 0)), np.float32(max(c - sight, 0)))
    end = (np.float32(r + sight), np.float32(c + sight))
    put_seen(b, i, flat_foods, first, first + base, THREE, corner, end, ZERO, base, obs)
    obs[b, i, base] = np.float32(r) - corner[0]
    obs[b, i, base + ONE] = np.float32(c) - corner[1]
    own, stop = size * i, size * np.uintp(row.shape[1])
    if size == THREE:
        obs[b, i, base + TWO] = players[own + TWO]
    # For players the original measures from the clipped corner, so that more is seen away from it.
    end = (corner[0] + np.float32(2 * sight), corner[1] + np.float32(2 * sight))
    front, back = put_seen(b, i, players, ZERO, own, size, corner, end, base + size, base + stop, obs)
    put_seen(b, i, players, own + size, stop, size, corner, end, front, back, obs)


@njit(nogil=True, cache=True)
def observe_vectors(  # type: ignore[no-untyped-def]
    start, stop, row, col, level, foods, num_rows, num_cols, sight, entries, show_levels, obs
):
    """Write the vector observations of lanes ``[start, stop)``: foods in sight, oneself, the others in sight."""
    num_agents, size = np.uintp(row.shape[1]), np.uintp(entries)
    stride = np.uintp(foods.shape[1])
    base, num_entries = stride - BLOCK, size * num_agents
    lane_size = num_agents * np.uintp(obs.shape[2])
    farthest = max(num_rows, num_cols) - 1
    everything = lane_size >= BLOCK
    for i in range(num_agents):
        everything &= sight[i] >= farthest
    players = np.zeros(num_entries + BLOCK, np.float32)
    flat, flat_foods = obs.reshape(obs.size), foods.reshape(foods.size)
    for b in range(np.uintp(start), np.uintp(stop)):
        describe_players(b, row, col, level, size, show_levels, players)
        # Blocks run over the lane's end: the last lane is written entry by entry.
        if everything and b + ONE < np.uintp(stop):
            first = b * stride
            observe_all_in_blocks(flat_foods, first, first + base, num_entries, size, players, b * lane_size, flat)
            continue
        for i in range(num_agents):
            if sight[i] >= farthest:
                observe_all(b, i, foods, base, num_entries, size, players, obs)
            else:
                observe_window(b, i, row, col, flat_foods, b * stride, base, sight[i], size, players, obs)


@njit(nogil=True, cache=True)
def observe_grids(  # type: ignore[no-untyped-def]
    start, stop, row, col, level, foods, num_rows, num_cols, sight, reach, show_levels, obs
):
    """Write the layered observations ``[3, K, K]``, flattened, of lanes ``[start, stop)``; K = 2 * reach + 1.

    A player whose sight is shorter than ``reach`` finds zeros beyond it.
    """
    num_agents = np.uintp(row.shape[1])
    side = 2 * reach + 1
    layer = side * side
    for b in range(np.uintp(start), np.uintp(stop)):
        for i in range(num_agents):
            for k in range(np.uintp(3 * layer)):
                obs[b, i, k] = 0.0
            r, c, s = np.int64(row[b, i]), np.int64(col[b, i]), sight[i]
            # A cell (y, x) of the board is entry `origin + y * side + x` of a layer.
            origin = (reach - r) * side + reach - c
            top, bottom = max(r - s, 0), min(r + s, num_rows - 1)
            left, right = max(c - s, 0), min(c + s, num_cols - 1)
            for line in range(top, bottom + 1):
                first = np.uintp(2 * layer + origin + line * side + left)
                for k in range(first, first + np.uintp(right - left + 1)):
                    obs[b, i, k] = 1.0
            for f in range(0, foods.shape[1] - np.int64(BLOCK), 3):
                y, x = np.int64(foods[b, f]), np.int64(foods[b, f + 1])
                if top <= y <= bottom and left <= x <= right:
                    at = origin + y * side + x
                    obs[b, i, layer + at] = foods[b, f + 2]
                    obs[b, i, 2 * layer + at] = 0.0
            for j in range(num_agents):
                y, x = np.int64(row[b, j]), np.int64(col[b, j])
                if top <= y <= bottom and left <= x <= right:
                    at = origin + y * side + x
                    obs[b, i, at] = level[b, j] if show_levels else 1
                    obs[b, i, 2 * layer + at] = 0.0


@njit(nogil=True, cache=True)
def observe_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F]`` of lanes ``[start, stop)``."""
    row, col, level, foods, num_rows, num_cols, sight, is_grid, reach, player_entries, show_levels = values_of(fixed)
    (obs,) = values_of(call)
    if is_grid:
        observe_grids(start, stop, row, col, level, foods, num_rows, num_cols, sight, reach, show_levels, obs)
    else:
        observe_vectors(
            start, stop, row, col, level, foods, num_rows, num_cols, sight, player_entries, show_levels, obs
        )
