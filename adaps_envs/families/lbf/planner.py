"""Joint planning for the scripted policies, compiled: who goes to which food, and how without running into each other.

A plan is made from the present state alone and anew in every step. Its measure is the time until a team is complete; a
step of the plan lowers it, so plans do not flip back and forth.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit

__all__ = ["TEAM_SIZE", "plan_lanes"]

LOAD = 5
# Only four cells touch a food.
TEAM_SIZE = 4
FAR = 1 << 20
# One step more for the last of a team weighs more than any steps of the others.
LAST_WEIGHT = 1 << 24
ROW_STEP = np.array([0, -1, 1, 0, 0], np.int64)
COL_STEP = np.array([0, 0, 0, -1, 1], np.int64)


@njit(nogil=True, cache=True)
def cells_beside(cell, num_rows, num_cols, beside):  # type: ignore[no-untyped-def]
    """Write the four neighbours of a cell, -1 for those off the board."""
    r, c = cell // num_cols, cell % num_cols
    for action in range(1, LOAD):
        y, x = r + ROW_STEP[action], c + COL_STEP[action]
        inside = 0 <= y < num_rows and 0 <= x < num_cols
        beside[action - 1] = y * num_cols + x if inside else -1


@njit(nogil=True, cache=True)
def walk_distances(end, blocked, num_cols, ways, queue):  # type: ignore[no-untyped-def]
    """Write the shortest way's length from every cell to ``end`` around ``blocked`` cells; FAR where there is none."""
    num_rows = blocked.shape[0] // num_cols
    ways[:] = FAR
    if end < 0 or blocked[end]:
        return
    ways[end] = 0
    queue[0] = end
    head, tail = 0, 1
    while head < tail:
        cell = queue[head]
        head += 1
        r, c = cell // num_cols, cell % num_cols
        for action in range(1, LOAD):
            y, x = r + ROW_STEP[action], c + COL_STEP[action]
            if 0 <= y < num_rows and 0 <= x < num_cols:
                other = y * num_cols + x
                if not blocked[other] and ways[other] == FAR:
                    ways[other] = ways[cell] + 1
                    queue[tail] = other
                    tail += 1


@njit(nogil=True, cache=True)
def pick_team(asked, near, strength, goal, by_strength, team):  # type: ignore[no-untyped-def]
    """Choose free players for one food, nearest or strongest first; return their number, 0 if they are too weak.

    ``near [N]`` is each player's way to the food, ``goal [N]`` is -1 for free players.
    """
    size, total = 0, 0.0
    while total < asked and size < TEAM_SIZE:
        best = -1
        for i in range(goal.shape[0]):
            taken = goal[i] >= 0 or near[i] >= FAR
            for k in range(size):
                taken |= team[k] == i
            if taken:
                continue
            better = best < 0 or near[i] < near[best]
            if best >= 0 and by_strength and strength[i] != strength[best]:
                better = strength[i] > strength[best]
            if better:
                best = i
        if best < 0:
            return 0
        team[size] = best
        size += 1
        total += strength[best]
    return drop_needless(asked, near, strength, team, size, total) if total >= asked else 0


@njit(nogil=True, cache=True)
def drop_needless(asked, near, strength, team, size, total):  # type: ignore[no-untyped-def]
    """Free the members whom the team does not need, the farthest first; return the size that is left."""
    while True:
        spare = -1
        for k in range(size):
            needless = total - strength[team[k]] >= asked
            if needless and (spare < 0 or near[team[k]] > near[team[spare]]):
                spare = k
        if spare < 0:
            return size
        total -= strength[team[spare]]
        size -= 1
        team[spare] = team[size]


@njit(nogil=True, cache=True)
def share_cells(ways, team, size, cells):  # type: ignore[no-untyped-def]
    """Give each member its own cell beside the food, ``cells [size]``, so that the last arrives as early as possible.

    ``ways [4, N]`` are the ways to the four cells. Returns the cost: the last one's way first, then the sum of ways.
    """
    best = LAST_WEIGHT * FAR
    for code in range(TEAM_SIZE**size):
        used, last, total, rest = 0, 0, 0, code
        for k in range(size):
            cell = rest % TEAM_SIZE
            rest //= TEAM_SIZE
            used |= 1 << cell
            way = ways[cell, team[k]]
            last = max(last, way)
            total += way
        distinct = 0
        for cell in range(TEAM_SIZE):
            distinct += (used >> cell) & 1
        cost = last * LAST_WEIGHT + total
        if distinct == size and last < FAR and cost < best:
            best, rest = cost, code
            for k in range(size):
                cells[k] = rest % TEAM_SIZE
                rest //= TEAM_SIZE
    return best


@njit(nogil=True, cache=True)
def plan_food(f, asked, ways, near, strength, goal, team, cells):  # type: ignore[no-untyped-def]
    """Plan the best team for one food; return its size, 0 if there is none, and its cost."""
    size = pick_team(asked[f], near[f], strength, goal, False, team[f])
    if size == 0:
        size = pick_team(asked[f], near[f], strength, goal, True, team[f])
    if size == 0:
        return 0, 0
    return size, share_cells(ways[f], team[f], size, cells[f])


@njit(nogil=True, cache=True)
def assign_goals(asked, ways, near, strength, goal, slot):  # type: ignore[no-untyped-def]
    """Give every player a food to go to and one of its four cells, ``goal`` and ``slot`` ``[N]``; -1 if there is none.

    The food whose team is complete first is served first; who is left over walks to the nearest food without a team.
    """
    num_foods, num_agents = asked.shape[0], goal.shape[0]
    team = np.empty((num_foods, TEAM_SIZE), np.int64)
    cells = np.empty((num_foods, TEAM_SIZE), np.int64)
    size = np.zeros(num_foods, np.int64)
    cost = np.zeros(num_foods, np.int64)
    served = np.zeros(num_foods, np.bool_)
    goal[:] = -1
    slot[:] = -1
    for f in range(num_foods):
        size[f], cost[f] = plan_food(f, asked, ways, near, strength, goal, team, cells)
    while True:
        best = -1
        for f in range(num_foods):
            if not served[f] and size[f] > 0 and (best < 0 or cost[f] < cost[best]):
                best = f
        if best < 0:
            break
        served[best] = True
        for k in range(size[best]):
            goal[team[best, k]] = best
            slot[team[best, k]] = cells[best, k]
        for f in range(num_foods):
            lost = False
            for k in range(size[f]):
                lost |= goal[team[f, k]] >= 0
            if lost and not served[f]:
                size[f], cost[f] = plan_food(f, asked, ways, near, strength, goal, team, cells)
    for i in range(num_agents):
        if goal[i] < 0:
            join_nearest(i, ways, near, served, goal, slot)


@njit(nogil=True, cache=True)
def join_nearest(i, ways, near, served, goal, slot):  # type: ignore[no-untyped-def]
    """Send a player that nobody needs now to the nearest food that nobody serves, to be there when it is needed."""
    for f in range(served.shape[0]):
        if not served[f] and near[f, i] < FAR and (goal[i] < 0 or near[f, i] < near[goal[i], i]):
            goal[i] = f
    if goal[i] >= 0:
        slot[i] = np.argmin(ways[goal[i], :, i])


@njit(nogil=True, cache=True)
def cell_aside(cell, num_cols, is_food, beside_food, occupied):  # type: ignore[no-untyped-def]
    """Return a free neighbour of a cell that is not beside food, -1 if there is none."""
    beside = np.empty(TEAM_SIZE, np.int64)
    cells_beside(cell, is_food.shape[0] // num_cols, num_cols, beside)
    for other in beside:
        if other >= 0 and not (is_food[other] or beside_food[other] or occupied[other]):
            return other
    return -1


@njit(nogil=True, cache=True)
def step_towards(cell, ways, claimed, num_cols):  # type: ignore[no-untyped-def]
    """Return the action to the unclaimed neighbour that is nearest by ``ways``; 0 if none is nearer than here."""
    num_rows = ways.shape[0] // num_cols
    r, c = cell // num_cols, cell % num_cols
    nearest, best = ways[cell], 0
    for action in range(1, LOAD):
        y, x = r + ROW_STEP[action], c + COL_STEP[action]
        if 0 <= y < num_rows and 0 <= x < num_cols:
            other = y * num_cols + x
            if ways[other] < nearest and claimed[other] == 0:
                nearest, best = ways[other], action
    return best


@njit(nogil=True, cache=True)
def move_players(at, end, still, is_food, num_cols, turn, ways, queue, actions):  # type: ignore[no-untyped-def]
    """Choose the moves of all players that do not stand still; nobody enters a cell where another will be.

    Ways lead around players that stand still. Who chooses first changes with ``turn``, so that no jam lasts. At last
    everyone whose cell is not left by its occupant stays, and so on down the queue.
    """
    num_agents = at.shape[0]
    claimed = np.zeros(is_food.shape[0], np.int64)
    blocked = is_food.copy()
    target = at.copy()
    for i in range(num_agents):
        if still[i]:
            claimed[at[i]] += 1
            blocked[at[i]] = True
    for k in range(num_agents):
        i = (k + turn) % num_agents
        if still[i]:
            continue
        walk_distances(end[i], blocked, num_cols, ways, queue)
        if ways[at[i]] >= FAR:
            walk_distances(end[i], is_food, num_cols, ways, queue)
        actions[i] = step_towards(at[i], ways, claimed, num_cols)
        target[i] += ROW_STEP[actions[i]] * num_cols + COL_STEP[actions[i]]
        claimed[target[i]] += 1
    changed = True
    while changed:
        changed = False
        for i in range(num_agents):
            if target[i] != at[i] and claimed[target[i]] > 1:
                claimed[target[i]] -= 1
                target[i] = at[i]
                claimed[at[i]] += 1
                actions[i] = 0
                changed = True


@njit(nogil=True, cache=True)
def measure_ways(at, food_cell, is_food, num_cols, beside, ways, near, board, queue):  # type: ignore[no-untyped-def]
    """Write the cells beside each food ``[M, 4]`` and the players' ways there: ``ways [M, 4, N]``, ``near [M, N]``."""
    num_rows = is_food.shape[0] // num_cols
    near[:] = FAR
    for f in range(food_cell.shape[0]):
        cells_beside(food_cell[f], num_rows, num_cols, beside[f])
        for k in range(TEAM_SIZE):
            walk_distances(beside[f, k], is_food, num_cols, board, queue)
            for i in range(at.shape[0]):
                ways[f, k, i] = board[at[i]]
                near[f, i] = min(near[f, i], board[at[i]])


@njit(nogil=True, cache=True)
def load_together(near, asked, strength, actions):  # type: ignore[no-untyped-def]
    """Everybody beside food loads if those beside it are strong enough, wherever they were going."""
    for f in range(asked.shape[0]):
        present = 0.0
        for i in range(near.shape[1]):
            present += strength[i] if near[f, i] == 0 else 0.0
        for i in range(near.shape[1]):
            if near[f, i] == 0 and present >= asked[f]:
                actions[i] = LOAD


@njit(nogil=True, cache=True)
def plan_lane(at, strength, wanted, turn, num_cols, actions):  # type: ignore[no-untyped-def]
    """Write the actions ``[N]`` of one lane's players, which stand at cells ``at [N]``."""
    num_agents, num_cells = at.shape[0], wanted.shape[0]
    is_food = wanted > 0.0
    food_cell = np.flatnonzero(is_food)
    num_foods = food_cell.shape[0]
    beside = np.empty((num_foods, TEAM_SIZE), np.int64)
    ways = np.empty((num_foods, TEAM_SIZE, num_agents), np.int64)
    near = np.empty((num_foods, num_agents), np.int64)
    board, queue = np.empty(num_cells, np.int64), np.empty(num_cells, np.int64)
    measure_ways(at, food_cell, is_food, num_cols, beside, ways, near, board, queue)
    goal, slot = np.empty(num_agents, np.int64), np.empty(num_agents, np.int64)
    assign_goals(wanted[food_cell], ways, near, strength, goal, slot)
    load_together(near, wanted[food_cell], strength, actions)
    occupied, beside_food = np.zeros(num_cells, np.bool_), np.zeros(num_cells, np.bool_)
    for cell in at:
        occupied[cell] = True
    for cell in beside.ravel():
        if cell >= 0:
            beside_food[cell] = True
    end, still = at.copy(), np.empty(num_agents, np.bool_)
    for i in range(num_agents):
        if goal[i] >= 0:
            end[i] = beside[goal[i], slot[i]]
        elif beside_food[at[i]]:
            end[i] = cell_aside(at[i], num_cols, is_food, beside_food, occupied)
        still[i] = end[i] == at[i] or end[i] < 0 or actions[i] == LOAD
    move_players(at, end, still, is_food, num_cols, turn, board, queue, actions)


@njit(nogil=True, cache=True)
def plan_lanes(row, col, strength, wanted, turn, actions):  # type: ignore[no-untyped-def]
    """Write the actions ``[B, N]`` of all lanes.

    ``strength [B, N]`` is what each player counts for, ``wanted [B, R, C]`` what food asks for, 0 where there is none,
    ``turn [B]`` the number of the step.
    """
    num_cols = wanted.shape[2]
    at = np.empty(row.shape[1], np.int64)
    for b in range(row.shape[0]):
        for i in range(row.shape[1]):
            at[i] = np.int64(row[b, i]) * num_cols + np.int64(col[b, i])
        actions[b] = 0
        plan_lane(at, strength[b], wanted[b].copy().reshape(-1), turn[b], num_cols, actions[b])
