"""Compiled rules of level-based foraging. ``reference.py`` says the same in plain Python; read that first.

Records are explained in ``state.py``. Lanes are independent, each range ``[start, stop)`` can run on its own thread;
scratch arrays are made once a call, not once a lane.

Indices in the step and the observation are unsigned, and so are the constants added to them: that spares a test for
negative indices at every access, which would keep the compiler from using wide instructions. Mixing signed and unsigned
64-bit integers gives floats, so every index is converted where it is made.

Steps of a kernel are compiled into it (``forceinline``): a call that hands over records costs more than the step.
They stay in this file, for numba's cache does not notice an edit in another one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.compile import njit
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


class Scratch(NamedTuple):
    """What a step notes of one lane.

    Attributes:
        to_row, to_col: ``[N] int16``, where each player wants to be.
        target: ``[N] uint64``, the same as a flat cell.
        claims: ``[R * C] int32``, how many players want a cell; all zero between lanes.
        loaders: ``[N + 1] int64``, the players that load; one more, because a candidate is written before it counts.
    """

    to_row: NDArray[np.int16]
    to_col: NDArray[np.int16]
    target: NDArray[np.uintp]
    claims: NDArray[np.int32]
    loaders: NDArray[np.int64]


class Window(NamedTuple):
    """The rows and columns that a player sees, first and last, in cells; float32 as its observed coordinates."""

    top: np.float32
    left: np.float32
    bottom: np.float32
    right: np.float32


# -- start -------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def reset_lanes(start, stop, state, levels, mask):  # type: ignore[no-untyped-def]
    """Draw a start for the lanes of ``[start, stop)`` where ``mask [B] bool`` holds.

    Players come before food: food's highest level depends on theirs, and seeds depend on the order of draws.
    """
    closed = np.empty(state.field.shape[1] * state.field.shape[2], np.bool_)
    player_order = np.empty(state.player_row.shape[1], np.int64)
    food_order = np.empty(levels.min_food.shape[0], np.int64)
    for b in range(start, stop):
        if not mask[b]:
            continue
        closed[:] = False
        state.field[b] = 0
        place_players(b, state, levels, player_order, closed)
        # Cells of players stay closed, so that no food is placed on them.
        state.food_spawned[b] = place_foods(b, state, levels, food_order, closed)
        index_foods(b, state.field, state.foods)
        state.player_score[b] = 0.0
        state.current_step[b] = 0
        state.game_over[b] = False


@njit()
def shuffle(stream, order):  # type: ignore[no-untyped-def]
    """Put 0, 1, ... into ``order`` in random order."""
    for k in range(order.shape[0]):
        other = below(stream, k + 1)
        order[k] = order[other]
        order[other] = k


@njit()
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


@njit()
def place_players(b, state, levels, order, occupied):  # type: ignore[no-untyped-def]
    """Place the players of one lane on free cells, and draw their levels from their ranges, dealt again or not.

    ``order [N]`` is scratch; ``occupied [R * C]`` comes all False and marks the players' cells in the end.
    """
    num_cols = state.field.shape[2]
    stream = state.rng[b]
    if levels.players_dealt:
        shuffle(stream, order)
    for i in range(order.shape[0]):
        cell = free_cell(stream, occupied, i)
        occupied[cell] = True
        state.player_row[b, i] = cell // num_cols
        state.player_col[b, i] = cell % num_cols
        source = order[i] if levels.players_dealt else i
        low = levels.min_player[source]
        state.player_level[b, i] = low + below(stream, levels.max_player[source] - low + 1)


@njit()
def lowest_three(level):  # type: ignore[no-untyped-def]
    """Return the sum of the three lowest of ``level [N]`` (of all, if fewer)."""
    lowest = np.int64(1) << 40
    second = lowest
    third = lowest
    for value in level:
        if value < lowest:
            lowest, second, third = np.int64(value), lowest, second
        elif value < second:
            second, third = np.int64(value), second
        elif value < third:
            third = np.int64(value)
    total = lowest
    if level.shape[0] > 1:
        total += second
    if level.shape[0] > 2:
        total += third
    return total


@njit()
def close_cells_around(r, c, num_cols, closed):  # type: ignore[no-untyped-def]
    """Close the cells where no other food may be: the 3 x 3 block around a food, and two cells along row and column.

    Food is off the border and so is the block; arms that would leave the board are cut.
    """
    num_rows = closed.shape[0] // num_cols
    for row in range(r - 1, r + 2):
        for col in range(c - 1, c + 2):
            closed[row * num_cols + col] = True
    if r >= 2:
        closed[(r - 2) * num_cols + c] = True
    if r + 2 < num_rows:
        closed[(r + 2) * num_cols + c] = True
    if c >= 2:
        closed[r * num_cols + c - 2] = True
    if c + 2 < num_cols:
        closed[r * num_cols + c + 2] = True


@njit()
def place_foods(b, state, levels, order, closed):  # type: ignore[no-untyped-def]
    """Place foods of one lane on open cells off the border and draw their levels; return the sum of levels.

    ``order [M]`` is scratch; ``closed [R * C]`` comes with the players' cells closed.
    """
    num_rows, num_cols = state.field.shape[1], state.field.shape[2]
    default_max = lowest_three(state.player_level[b])
    stream = state.rng[b]
    if levels.foods_dealt:
        shuffle(stream, order)
    placed = 0
    total = 0
    for _ in range(FOOD_ATTEMPTS):
        if placed == order.shape[0]:
            break
        r = 1 + below(stream, num_rows - 2)
        c = 1 + below(stream, num_cols - 2)
        if closed[r * num_cols + c]:
            continue
        source = order[placed] if levels.foods_dealt else placed
        high = default_max if levels.max_food.shape[0] == 0 else levels.max_food[source]
        low = high if levels.force_coop else levels.min_food[source]
        if levels.exclusive and not levels.force_coop:
            high -= 1
        food = low + below(stream, high - low + 1)
        state.field[b, r, c] = food
        total += food
        placed += 1
        close_cells_around(r, c, num_cols, closed)
    return total


@njit()
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
    """Derive the lists of foods of the lanes where ``mask [B] bool`` holds; see ``state.State`` for the shapes."""
    for b in range(mask.shape[0]):
        if mask[b]:
            index_foods(b, field, foods)


# -- step --------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def step_lanes(  # type: ignore[no-untyped-def]
    start, stop, state, rules, actions, obs, rewards, terminated, truncated
):
    """Advance lanes ``[start, stop)`` by one step: move, load, count; then observe.

    ``actions [B, N] int64`` are read; ``obs [B, N, F] float32``, ``rewards [B, N] float32``, ``terminated [B] bool``
    and ``truncated [B] bool`` are written.
    """
    num_agents = np.uintp(actions.shape[1])
    num_cells = state.field.shape[1] * state.field.shape[2]
    cells = state.field.reshape(state.field.shape[0], num_cells)
    scratch = Scratch(
        np.empty(num_agents, np.int16),
        np.empty(num_agents, np.int16),
        np.empty(num_agents, np.uintp),
        np.zeros(num_cells, np.int32),
        np.empty(num_agents + ONE, np.int64),
    )
    for b in range(np.uintp(start), np.uintp(stop)):
        # Loading comes after all moves, but who loads was decided from the cells before them.
        num_loading = choose_targets(b, actions, state, cells, scratch)
        move(b, state, scratch)
        for i in range(num_agents):
            rewards[b, i] = 0.0
        if num_loading > 0:
            load(b, num_loading, state, cells, rules, scratch.loaders, rewards)
        state.current_step[b] += 1
        cleared = state.foods[b, TWO] == 0.0
        at_limit = state.current_step[b] >= rules.max_cycles
        terminated[b] = cleared
        truncated[b] = at_limit and not cleared
        state.game_over[b] = cleared or at_limit
    observe_lanes(start, stop, state, rules, obs)


@njit(forceinline=True)
def choose_targets(b, actions, state, cells, scratch):  # type: ignore[no-untyped-def]
    """Note where the players of one lane want to be, and who loads; return how many load.

    ``cells [B, R * C]`` is the field, flattened. Only players next to food are put down in ``scratch.loaders``.
    """
    num_rows, num_cols = state.field.shape[1], state.field.shape[2]
    last_row, last_col = num_rows - 1, num_cols - 1
    num_loading = ZERO
    for i in range(np.uintp(actions.shape[1])):
        action = actions[b, i]
        r, c = np.int64(state.player_row[b, i]), np.int64(state.player_col[b, i])
        own = r * num_cols + c
        # A wall gives the player its own cell, as does food: an invalid move is none at all.
        to_r = min(max(r + ROW_STEP[np.uintp(action)], 0), last_row)
        to_c = min(max(c + COL_STEP[np.uintp(action)], 0), last_col)
        cell = np.uintp(to_r * num_cols + to_c)
        is_free = cells[b, cell] == 0
        scratch.to_row[i] = to_r if is_free else r
        scratch.to_col[i] = to_c if is_free else c
        cell = cell if is_free else np.uintp(own)
        scratch.target[i] = cell
        scratch.claims[cell] += 1
        loads = (action == LOAD) & is_next_to_food(b, r, c, own, last_row, last_col, num_cols, cells)
        # Written in any case, counted only if it loads: a branch on random actions costs more.
        scratch.loaders[num_loading] = i
        num_loading += ONE if loads else ZERO
    return num_loading


@njit(forceinline=True)
def is_next_to_food(b, r, c, own, last_row, last_col, num_cols, cells):  # type: ignore[no-untyped-def]
    """Return whether any neighbour of cell ``own`` at row ``r`` and column ``c`` holds food, without a branch."""
    up, down, left, right = r > 0, r < last_row, c > 0, c < last_col
    # At a border the own cell is read in the neighbour's place, and does not count.
    north = up & (cells[b, np.uintp(own - num_cols * up)] > 0)
    south = down & (cells[b, np.uintp(own + num_cols * down)] > 0)
    west = left & (cells[b, np.uintp(own - left)] > 0)
    east = right & (cells[b, np.uintp(own + right)] > 0)
    return north | south | west | east


@njit(forceinline=True)
def move(b, state, scratch):  # type: ignore[no-untyped-def]
    """Move the players of one lane to their targets; a player moves where it alone wants to be."""
    num_agents = np.uintp(state.player_row.shape[1])
    for i in range(num_agents):
        alone = scratch.claims[scratch.target[i]] == 1
        state.player_row[b, i] = scratch.to_row[i] if alone else state.player_row[b, i]
        state.player_col[b, i] = scratch.to_col[i] if alone else state.player_col[b, i]
    # Only now, when nobody asks any more: the next lane needs all claims to be zero.
    for i in range(num_agents):
        scratch.claims[scratch.target[i]] = 0


@njit(forceinline=True)
def load(b, num_loading, state, cells, rules, loaders, rewards):  # type: ignore[no-untyped-def]
    """Let the loading players of one lane load, lowest index first; each takes everybody at its food along.

    Players that have been served are marked by -1 in ``loaders``. All of those that are left have a food next to them:
    who collects one takes along everybody next to it.
    """
    num_rows, num_cols = state.field.shape[1], state.field.shape[2]
    for k in range(num_loading):
        i = loaders[k]
        if i < 0:
            continue
        r, c = np.int64(state.player_row[b, i]), np.int64(state.player_col[b, i])
        r, c = food_next_to(b, r, c, cells, num_rows, num_cols)
        food = np.int64(cells[b, r * num_cols + c])
        strength = np.int64(0)
        for m in range(k, num_loading):
            if stands_next_to(b, loaders[m], r, c, state):
                strength += np.int64(state.player_level[b, loaders[m]])
        loaded = strength >= food
        divisor = np.float64(strength) * state.food_spawned[b] if rules.normalize else 1.0
        for m in range(k, num_loading):
            j = loaders[m]
            if stands_next_to(b, j, r, c, state):
                # A divisor of 0 needs an injected state: food on the board, but none spawned. It pays nothing.
                pay = np.float64(np.int64(state.player_level[b, j]) * food) / divisor if divisor > 0.0 else 0.0
                # 0.0 - penalty, not -penalty: without a penalty the reward is 0.0, not -0.0.
                pay = pay if loaded else 0.0 - rules.penalty
                rewards[b, j] = pay
                state.player_score[b, j] += pay
                loaders[m] = -1
        if loaded:
            cells[b, r * num_cols + c] = 0
            remove_food(b, r, c, state.foods)


@njit(forceinline=True)
def stands_next_to(b, j, r, c, state):  # type: ignore[no-untyped-def]
    """Return whether player ``j`` has not been served (-1) and is next to the cell at row ``r`` and column ``c``."""
    return j >= 0 and abs(state.player_row[b, j] - r) + abs(state.player_col[b, j] - c) == 1


@njit(forceinline=True)
def food_next_to(b, r, c, cells, num_rows, num_cols):  # type: ignore[no-untyped-def]
    """Return row and column of the first food next to a cell: north, south, west, east. There must be one."""
    own = r * num_cols + c
    if r > 0 and cells[b, own - num_cols] > 0:
        return r - 1, c
    if r < num_rows - 1 and cells[b, own + num_cols] > 0:
        return r + 1, c
    if c > 0 and cells[b, own - 1] > 0:
        return r, c - 1
    return r, c + 1


@njit()
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
def valid_action_lanes(row, col, field, valid):  # type: ignore[no-untyped-def]
    """Write which actions do something, ``valid [B, N, A] bool``: none, moves to cells without food, load at food.

    ``row`` and ``col`` are ``[B, N] int16``, ``field`` is ``[B, R, C] int16``.
    """
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
def observe_lanes(start, stop, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F] float32`` of lanes ``[start, stop)``."""
    if rules.is_grid:
        observe_grids(start, stop, state, rules, obs)
    else:
        observe_vectors(start, stop, state, rules, obs)


@njit(forceinline=True)
def observe_vectors(start, stop, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the vector observations of lanes ``[start, stop)``: foods in sight, oneself, the others in sight."""
    num_agents, size = np.uintp(obs.shape[1]), np.uintp(rules.player_entries)
    stride = np.uintp(state.foods.shape[1])
    base = stride - BLOCK
    lane_size = num_agents * np.uintp(obs.shape[2])
    farthest = max(state.field.shape[1], state.field.shape[2]) - 1
    everything = lane_size >= BLOCK
    for i in range(num_agents):
        everything &= rules.sight[i] >= farthest
    players = np.zeros(size * num_agents + BLOCK, np.float32)
    flat, foods = obs.reshape(obs.size), state.foods.reshape(state.foods.size)
    for b in range(np.uintp(start), np.uintp(stop)):
        describe_players(b, state, size, rules.show_levels, players)
        first = b * stride
        # Blocks run over the lane's end, so lanes go in order, and the last one is written entry by entry.
        if everything and b + ONE < np.uintp(stop):
            observe_all_in_blocks(foods, first, first + base, size, players, b * lane_size, flat)
            continue
        for i in range(num_agents):
            if rules.sight[i] >= farthest:
                observe_all(foods, first, first + base, size * i, size, players, obs[b, i])
            else:
                observe_window(b, i, state, rules.sight[i], foods, players, size, obs[b, i])


@njit(forceinline=True)
def describe_players(b, state, size, show_levels, players):  # type: ignore[no-untyped-def]
    """Write row, column and, if ``size`` is 3, level of one lane's players, ``players [N * 3 + 8] float32``."""
    at = ZERO
    for j in range(np.uintp(state.player_row.shape[1])):
        players[at] = state.player_row[b, j]
        players[at + ONE] = state.player_col[b, j]
        # With two entries a player the level is overwritten by the next one.
        players[at + TWO] = state.player_level[b, j] if show_levels else 0
        at += size


@njit(forceinline=True)
def observe_all_in_blocks(foods, first, last, size, players, at, flat):  # type: ignore[no-untyped-def]
    """Write one lane's observations of the whole board from ``flat[at]`` on; entries behind them are overwritten too.

    Foods are ``foods[first:last]``; players have ``size`` entries each.
    """
    own, num_entries = ZERO, np.uintp(players.shape[0]) - BLOCK
    while own < num_entries:
        at = copy_blocks(flat, at, foods, first, last)
        copy_block(flat, at, players, own)
        at = copy_blocks(flat, at + size, players, ZERO, own)
        own += size
        at = copy_blocks(flat, at, players, own, num_entries)


@njit(forceinline=True)
def copy_blocks(target, to, source, start, stop):  # type: ignore[no-untyped-def]
    """Copy ``source[start:stop]`` in blocks, so up to ``BLOCK - 1`` entries too much; return where the copy ends."""
    end = to + stop - start
    while to < end:
        copy_block(target, to, source, start)
        to += BLOCK
        start += BLOCK
    return end


@njit(forceinline=True)
def copy_block(target, to, source, start):  # type: ignore[no-untyped-def]
    """Copy ``BLOCK`` entries at once: all are read before the first is written, which makes one wide move of it."""
    v0, v1, v2, v3 = source[start], source[start + ONE], source[start + TWO], source[start + THREE]
    rest = start + FOUR
    v4, v5, v6, v7 = source[rest], source[rest + ONE], source[rest + TWO], source[rest + THREE]
    target[to], target[to + ONE], target[to + TWO], target[to + THREE] = v0, v1, v2, v3
    rest = to + FOUR
    target[rest], target[rest + ONE], target[rest + TWO], target[rest + THREE] = v4, v5, v6, v7


@njit(forceinline=True)
def observe_all(foods, first, last, own, size, players, out):  # type: ignore[no-untyped-def]
    """Write ``out [F]``, what a player observes that sees the whole board: relative coordinates are absolute.

    Foods are ``foods[first:last]``, the player's own entries ``players[own:own + size]``.
    """
    base, num_entries = last - first, np.uintp(players.shape[0]) - BLOCK
    for k in range(base):
        out[k] = foods[first + k]
    for k in range(size):
        out[base + k] = players[own + k]
    for k in range(own):
        out[base + size + k] = players[k]
    for k in range(own + size, num_entries):
        out[base + k] = players[k]


@njit(forceinline=True)
def observe_window(b, i, state, sight, foods, players, size, out):  # type: ignore[no-untyped-def]
    """Write ``out [F]``, what a player observes that sees a part of the board, relative to its window's corner."""
    stride = np.uintp(state.foods.shape[1])
    first, base = b * stride, stride - BLOCK
    own, num_entries = size * i, np.uintp(players.shape[0]) - BLOCK
    row, col = np.int64(state.player_row[b, i]), np.int64(state.player_col[b, i])
    top, left = np.float32(max(row - sight, 0)), np.float32(max(col - sight, 0))
    window = Window(top, left, np.float32(row + sight), np.float32(col + sight))
    put_seen(foods, first, first + base, THREE, window, ZERO, base, out)
    out[base] = np.float32(row) - top
    out[base + ONE] = np.float32(col) - left
    if size == THREE:
        out[base + TWO] = players[own + TWO]
    # For players the original measures from the clipped corner, so that more is seen away from it.
    window = Window(top, left, top + np.float32(2 * sight), left + np.float32(2 * sight))
    front, back = put_seen(players, ZERO, own, size, window, base + size, base + num_entries, out)
    put_seen(players, own + size, num_entries, size, window, front, back, out)


@njit(forceinline=True)
def put_seen(source, at, stop, size, window, front, back, out):  # type: ignore[no-untyped-def]
    """Write the foods or players ``source[at:stop]``, ``size`` entries each, for one observer; return where it ends.

    Each candidate takes one place: the next one from ``front`` on if it is seen, with coordinates relative to the
    window's corner, else the last free one before ``back``, as unseen. So ``front`` and ``back`` meet in the end.
    """
    while at < stop:
        y, x = source[at], source[at + ONE]
        seen = (y >= window.top) & (y <= window.bottom) & (x >= window.left) & (x <= window.right)
        back -= ZERO if seen else size
        slot = front if seen else back
        out[slot] = y - window.top if seen else MINUS_ONE
        out[slot + ONE] = x - window.left if seen else MINUS_ONE
        if size == THREE:
            out[slot + TWO] = source[at + TWO] if seen else NOTHING
        front += size if seen else ZERO
        at += size
    return front, back


@njit(forceinline=True)
def observe_grids(start, stop, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the layered observations ``[3, K, K]``, flattened, of lanes ``[start, stop)``; K = 2 * reach + 1."""
    for b in range(np.uintp(start), np.uintp(stop)):
        for i in range(np.uintp(obs.shape[1])):
            observe_grid(b, i, state, rules, obs[b, i])


@njit(forceinline=True)
def observe_grid(b, i, state, rules, out):  # type: ignore[no-untyped-def]
    """Write one player's layers ``out [3 * K * K]``: players' levels, foods' levels, free cells.

    A player whose sight is shorter than ``reach`` finds zeros beyond it.
    """
    side = 2 * rules.reach + 1
    layer = side * side
    out[:] = 0.0
    r, c, s = np.int64(state.player_row[b, i]), np.int64(state.player_col[b, i]), rules.sight[i]
    # A cell (y, x) of the board is entry `origin + y * side + x` of a layer.
    origin = (rules.reach - r) * side + rules.reach - c
    top, bottom = max(r - s, 0), min(r + s, state.field.shape[1] - 1)
    left, right = max(c - s, 0), min(c + s, state.field.shape[2] - 1)
    # Every cell on the board counts as free first; foods and players then take theirs away.
    for line in range(top, bottom + 1):
        first = np.uintp(2 * layer + origin + line * side + left)
        for k in range(first, first + np.uintp(right - left + 1)):
            out[k] = 1.0
    for f in range(0, state.foods.shape[1] - np.int64(BLOCK), 3):
        y, x = np.int64(state.foods[b, f]), np.int64(state.foods[b, f + 1])
        if top <= y <= bottom and left <= x <= right:
            at = origin + y * side + x
            out[layer + at] = state.foods[b, f + 2]
            out[2 * layer + at] = 0.0
    for j in range(state.player_row.shape[1]):
        y, x = np.int64(state.player_row[b, j]), np.int64(state.player_col[b, j])
        if top <= y <= bottom and left <= x <= right:
            at = origin + y * side + x
            out[at] = state.player_level[b, j] if rules.show_levels else 1
            out[2 * layer + at] = 0.0
