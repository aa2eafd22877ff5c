"""Route planning of the scripted policies, compiled: who fetches what, and who makes way for whom.

Each step is planned afresh from the state. Tasks: a loaded robot with a requested shelf that it may deliver goes to the
nearest goal; any other loaded robot brings its shelf to the nearest free home; the others fetch requested shelves, the
nearest pair of robot and shelf first, and those without work wait under a standing shelf, out of the way. Routes are
shortest paths over (cell, direction), where a turn counts as a step and loaded robots go round standing shelves.

Who makes way is settled by priority inheritance (Okumura et al., "Priority inheritance with backtracking for iterative
multi-agent path finding", Artificial Intelligence 310, 2022): robots choose their next cell in the order of priority,
and one that stands in the way of a more important one chooses next, in the other's name. Loaded robots come first,
then those nearer to their target.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit

__all__ = ["plan_lanes"]

# Farther than any way on the largest floor.
FAR = 100_000_000
NOOP = 0
FORWARD = 1
TURN_LEFT = 2
TURN_RIGHT = 3
TOGGLE = 4


@njit(nogil=True, cache=True)
def plan_lanes(  # type: ignore[no-untyped-def]
    agent_cell, agent_dir, carrying, shelf_cell, requested, may_deliver, inside, highway, goals, steps, left, right,
    moves,
):  # fmt: skip
    """Write the moves ``[B, N]`` of all lanes.

    Cells are flat indices into the bordered floor (``tables.Floor``): ``agent_cell [B, N]``, ``shelf_cell [B, M]``,
    ``goals [K]``; ``requested [B, M]`` and ``may_deliver [B, N, M]`` are truth values, ``steps [4]`` the change of cell
    by direction, ``left [4]`` and ``right [4]`` the direction after a turn.
    """
    num_agents, num_cells = agent_cell.shape[1], inside.shape[0]
    standing = np.empty(num_cells, np.bool_)
    taken = np.empty(num_cells, np.bool_)
    occupant = np.empty(num_cells, np.int32)
    claim = np.empty(num_cells, np.int32)
    queue = np.empty(4 * num_cells, np.int32)
    seen = np.empty(4 * num_cells, np.bool_)
    wanted = np.empty(num_cells, np.bool_)
    goal_field = np.empty(4 * num_cells, np.int32)
    fields = np.empty((num_agents, 4 * num_cells), np.int32)
    chosen = np.empty(num_agents, np.int32)
    at_work = np.empty(num_agents, np.bool_)
    for b in range(agent_cell.shape[0]):
        survey(agent_cell[b], carrying[b], shelf_cell[b], standing, occupant)
        spread(goals, len(goals), inside, standing, True, steps, left, right, queue, goal_field)
        for c in range(num_cells):
            taken[c] = False
        for i in range(num_agents):
            at_work[i] = False
            if carrying[b, i] >= 0:
                at_work[i] = True
                shelf = carrying[b, i]
                if requested[b, shelf] and may_deliver[b, i, shelf]:
                    fields[i] = goal_field
                    continue
                mark_homes(i, carrying[b], highway, standing, taken, occupant, wanted)
                target = nearest(
                    agent_cell[b, i], agent_dir[b, i], True, wanted, inside, standing, steps, left, right, queue, seen
                )
                taken[target] = True
                spread_one(target, inside, standing, True, steps, left, right, queue, fields[i])
        assign(
            b, agent_cell, agent_dir, carrying, shelf_cell, requested, may_deliver, standing, goal_field, inside, steps,
            left, right, queue, fields, at_work, taken,
        )  # fmt: skip
        for i in range(num_agents):
            if not at_work[i]:
                mark_shelters(i, standing, taken, occupant, wanted)
                target = nearest(
                    agent_cell[b, i], agent_dir[b, i], False, wanted, inside, standing, steps, left, right, queue, seen
                )
                taken[target] = True
                spread_one(target, inside, standing, False, steps, left, right, queue, fields[i])
        make_way(
            agent_cell[b], agent_dir[b], carrying[b], at_work, fields, inside, standing, occupant, steps, left, right,
            claim, chosen, moves[b],
        )  # fmt: skip


@njit(nogil=True, cache=True)
def survey(agent_cell, carrying, shelf_cell, standing, occupant):  # type: ignore[no-untyped-def]
    """Write which cells hold a shelf that nobody carries, and who (+ 1) stands where."""
    for c in range(len(standing)):
        standing[c] = False
        occupant[c] = 0
    for s in range(len(shelf_cell)):
        standing[shelf_cell[s]] = True
    for i in range(len(agent_cell)):
        occupant[agent_cell[i]] = i + 1
        if carrying[i] >= 0:
            standing[agent_cell[i]] = False


@njit(nogil=True, cache=True)
def spread(targets, count, inside, standing, loaded, steps, left, right, queue, field):  # type: ignore[no-untyped-def]
    """Write how many steps it is from every (cell, direction) to the nearest of ``targets``, facing anywhere there."""
    for k in range(len(field)):
        field[k] = FAR
    head, tail = 0, 0
    for t in range(count):
        for d in range(4):
            field[4 * targets[t] + d] = 0
            queue[tail] = 4 * targets[t] + d
            tail += 1
    while head < tail:
        state = queue[head]
        head += 1
        c, d, far = state >> 2, state & 3, field[state] + 1
        # Backwards: where a forward step or a turn led here.
        before = c - steps[d]
        if inside[before] and not (loaded and standing[before]) and field[4 * before + d] == FAR:
            field[4 * before + d] = far
            queue[tail] = 4 * before + d
            tail += 1
        for turned in (left[d], right[d]):
            if field[4 * c + turned] == FAR:
                field[4 * c + turned] = far
                queue[tail] = 4 * c + turned
                tail += 1


@njit(nogil=True, cache=True)
def spread_one(target, inside, standing, loaded, steps, left, right, queue, field):  # type: ignore[no-untyped-def]
    """As ``spread``, to one cell."""
    targets = np.empty(1, np.int64)
    targets[0] = target
    spread(targets, 1, inside, standing, loaded, steps, left, right, queue, field)


@njit(nogil=True, cache=True)
def nearest(  # type: ignore[no-untyped-def]
    cell, facing, loaded, wanted, inside, standing, steps, left, right, queue, seen
):
    """Return the cell among ``wanted`` that a robot reaches first; its own cell if it reaches none."""
    for k in range(len(seen)):
        seen[k] = False
    queue[0] = 4 * cell + facing
    seen[queue[0]] = True
    head, tail = 0, 1
    while head < tail:
        state = queue[head]
        head += 1
        c, d = state >> 2, state & 3
        if wanted[c]:
            return c
        ahead = c + steps[d]
        if inside[ahead] and not (loaded and standing[ahead]) and not seen[4 * ahead + d]:
            seen[4 * ahead + d] = True
            queue[tail] = 4 * ahead + d
            tail += 1
        for turned in (left[d], right[d]):
            if not seen[4 * c + turned]:
                seen[4 * c + turned] = True
                queue[tail] = 4 * c + turned
                tail += 1
    return cell


@njit(nogil=True, cache=True)
def mark_homes(me, carrying, highway, standing, taken, occupant, wanted):  # type: ignore[no-untyped-def]
    """Mark the homes that are free for a loaded robot: where another one stands it has to come out first."""
    for c in range(len(wanted)):
        other = occupant[c] - 1
        held = other >= 0 and other != me and carrying[other] >= 0
        wanted[c] = not (highway[c] or standing[c] or taken[c] or held)


@njit(nogil=True, cache=True)
def mark_shelters(me, standing, taken, occupant, wanted):  # type: ignore[no-untyped-def]
    """Mark the standing shelves that nobody needs or waits under, for a robot without work."""
    for c in range(len(wanted)):
        wanted[c] = standing[c] and not taken[c] and (occupant[c] == 0 or occupant[c] == me + 1)


@njit(nogil=True, cache=True)
def assign(  # type: ignore[no-untyped-def]
    b, agent_cell, agent_dir, carrying, shelf_cell, requested, may_deliver, standing, goal_field, inside, steps,
    left, right, queue, fields, at_work, taken,
):  # fmt: skip
    """Send free robots to requested shelves that can be brought out, the nearest pair first."""
    num_agents, num_shelves = agent_cell.shape[1], shelf_cell.shape[1]
    wanted = np.empty(num_shelves, np.int64)
    count = 0
    for s in range(num_shelves):
        c = shelf_cell[b, s]
        if requested[b, s]:
            taken[c] = True
        if requested[b, s] and standing[c]:
            for d in range(4):
                ahead = c + steps[d]
                if inside[ahead] and goal_field[4 * ahead + d] < FAR:
                    wanted[count] = s
                    count += 1
                    break
    if count == 0:
        return
    ways = np.empty((count, len(queue)), np.int32)
    for k in range(count):
        spread_one(shelf_cell[b, wanted[k]], inside, standing, False, steps, left, right, queue, ways[k])
    while True:
        best, who, which = FAR, -1, -1
        for i in range(num_agents):
            if at_work[i]:
                continue
            for k in range(count):
                if wanted[k] < 0 or not may_deliver[b, i, wanted[k]]:
                    continue
                way = ways[k, 4 * agent_cell[b, i] + agent_dir[b, i]]
                if way < best:
                    best, who, which = way, i, k
        if who < 0:
            return
        at_work[who] = True
        fields[who] = ways[which]
        wanted[which] = -1


@njit(nogil=True, cache=True)
def make_way(  # type: ignore[no-untyped-def]
    agent_cell, agent_dir, carrying, at_work, fields, inside, standing, occupant, steps, left, right, claim, chosen,
    moves,
):  # fmt: skip
    """Let robots choose their next cells in the order of priority, then turn the choices into moves."""
    num_agents = len(agent_cell)
    rank = np.empty(num_agents, np.int64)
    chain = (np.empty(num_agents, np.int64), np.empty((num_agents, 5), np.int64), np.empty(num_agents, np.int64))
    for c in range(len(claim)):
        claim[c] = -1
    for i in range(num_agents):
        chosen[i] = -1
        way = fields[i, 4 * agent_cell[i] + agent_dir[i]]
        rank[i] = way + (0 if carrying[i] >= 0 else FAR if at_work[i] else 2 * FAR)
    for i in np.argsort(rank, kind="mergesort"):
        if chosen[i] < 0:
            choose(
                i, agent_cell, agent_dir, carrying, fields, inside, standing, occupant, steps, left, right, claim,
                chosen, chain,
            )  # fmt: skip
    for i in range(num_agents):
        state = 4 * agent_cell[i] + agent_dir[i]
        if chosen[i] != agent_cell[i]:
            moves[i] = towards(chosen[i] - agent_cell[i], agent_dir[i], steps, left, right)
        elif fields[i, state] == 0:
            moves[i] = TOGGLE if at_work[i] else NOOP
        else:
            # Waiting: at least face the way.
            turn_left, turn_right = 4 * agent_cell[i] + left[agent_dir[i]], 4 * agent_cell[i] + right[agent_dir[i]]
            moves[i] = NOOP
            if fields[i, turn_left] < fields[i, state]:
                moves[i] = TURN_LEFT
            elif fields[i, turn_right] < fields[i, state]:
                moves[i] = TURN_RIGHT


@njit(nogil=True, cache=True)
def towards(step, facing, steps, left, right):  # type: ignore[no-untyped-def]
    """Return the move that leads towards the neighbouring cell at ``step``."""
    if steps[facing] == step:
        return FORWARD
    return TURN_RIGHT if steps[right[facing]] == step else TURN_LEFT


@njit(nogil=True, cache=True)
def choose(  # type: ignore[no-untyped-def]
    first, agent_cell, agent_dir, carrying, fields, inside, standing, occupant, steps, left, right, claim, chosen, chain
):
    """Choose the next cell of robot ``first``, and of those that it pushes, and they push in turn.

    ``chain`` is room for who pushes whom ``[N]``, their cells from best to worst ``[N, 5]``, and how many of these were
    tried ``[N]``. A loop rather than a recursion: compiled recursion does not survive numba's cache.
    """
    robot, options, tried = chain
    depth = 0
    robot[0] = first
    tried[0] = 0
    rank_cells(
        first, agent_cell, agent_dir, carrying, fields, inside, standing, occupant, steps, left, right, options[0]
    )
    while depth >= 0:
        i = robot[depth]
        here = agent_cell[i]
        pusher = robot[depth - 1] if depth > 0 else -1
        pushed, settled = -1, False
        while tried[depth] < 5:
            there = options[depth, tried[depth]]
            tried[depth] += 1
            if there < 0 or claim[there] >= 0:
                continue
            other = occupant[there] - 1
            # Two robots never swap places.
            if other >= 0 and other != i and (other == pusher or chosen[other] == here):
                continue
            claim[there] = i
            chosen[i] = there
            if other >= 0 and other != i and chosen[other] < 0:
                pushed = other
            settled = True
            break
        if pushed >= 0:
            depth += 1
            robot[depth] = pushed
            tried[depth] = 0
            rank_cells(
                pushed, agent_cell, agent_dir, carrying, fields, inside, standing, occupant, steps, left, right,
                options[depth],
            )  # fmt: skip
        elif settled:
            # A cell was found, so everybody who pushed for it gets what it chose.
            return
        else:
            # Nowhere to go: stay, and let the pusher try its next cell.
            claim[here] = i
            chosen[i] = here
            depth -= 1


@njit(nogil=True, cache=True)
def rank_cells(  # type: ignore[no-untyped-def]
    i, agent_cell, agent_dir, carrying, fields, inside, standing, occupant, steps, left, right, options
):
    """Write the cells ``[5]`` that robot ``i`` may choose, best first; -1 for those that it cannot enter."""
    here, facing = agent_cell[i], agent_dir[i]
    costs = np.empty(5, np.int64)
    for d in range(4):
        there = here + steps[d]
        turns = 0 if d == facing else 1 if (d == left[facing] or d == right[facing]) else 2
        blocked = not inside[there] or (carrying[i] >= 0 and standing[there])
        # Costs in tenths: an empty cell is a little better than one where somebody must make way.
        costs[d] = 100 * FAR if blocked else 10 * (1 + turns + fields[i, 4 * there + d]) + (occupant[there] > 0)
    stay = fields[i, 4 * here + facing]
    costs[4] = 10 * stay + (9 if stay > 0 else 0)
    order = np.argsort(costs, kind="mergesort")
    for k in range(5):
        d = order[k]
        options[k] = here if d == 4 else -1 if costs[d] >= 100 * FAR else here + steps[d]
