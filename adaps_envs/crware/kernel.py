"""Compiled rules of the warehouses. ``reference.py`` says the same in plain Python; read that first.

Beside the state, each lane keeps what stands in each cell of the bordered floor (``tables.Floor``): ``shelf_at`` and
``agent_at`` hold ids + 1, ``code`` the number from which observations are looked up (``tables.Codes``). They follow
the state step by step and are rebuilt when a state is injected. Lanes are independent; each range ``[start, stop)``
can run on its own thread. Arrays are indexed with the lane rather than sliced: a slice costs more than the access.
"""

from __future__ import annotations

import numpy as np

from adaps_envs.core.compile import njit
from adaps_envs.core.native import values_of
from adaps_envs.core.rng import below

__all__ = ["act_lanes", "observe_image_lanes", "observe_lanes", "rebuild_lanes", "reset_lanes", "step_lanes"]

FORWARD = 1
TOGGLE = 4
# reward_type, in the order of params.REWARD_TYPES
INDIVIDUAL = 0
GLOBAL = 1
TWO_STAGE = 2
# agents in the conflict rule: where their way leads
FREE = -1
BLOCKED = -2
# image layers, in the order of params.IMAGE_LAYERS
SHELVES = 0
REQUESTS = 1
AGENTS = 2
AGENT_DIRECTION = 3
AGENT_LOAD = 4
GOALS = 5


@njit(nogil=True, cache=True)
def reset_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Draw the start of the lanes of ``[start, stop)`` where ``mask`` holds: colours, cells, directions, requests."""
    rng, body, home_x, home_y, num_colours, width, height = values_of(fixed)
    (
        agent_x, agent_y, agent_dir, carrying, has_delivered, shelf_x, shelf_y, shelf_color, request_queue, cur_steps,
        inactive_steps, message,
    ) = body  # fmt: skip
    (mask,) = values_of(call)
    num_agents, num_shelves, num_cells = agent_x.shape[1], shelf_x.shape[1], width * height
    pool = np.empty(max(num_cells, num_shelves), np.int32)
    for b in range(start, stop):
        if not mask[b]:
            continue
        for s in range(num_shelves):
            shelf_x[b, s] = home_x[s]
            shelf_y[b, s] = home_y[s]
            # With one colour there is nothing to draw.
            shelf_color[b, s] = below(rng[b], num_colours) if num_colours > 1 else 0
        for k in range(num_cells):
            pool[k] = k
        for i in range(num_agents):
            k = i + below(rng[b], num_cells - i)
            cell = pool[k]
            pool[k] = pool[i]
            agent_y[b, i] = cell // width
            agent_x[b, i] = cell % width
        for i in range(num_agents):
            agent_dir[b, i] = below(rng[b], 4)
            carrying[b, i] = -1
            has_delivered[b, i] = False
            message[b, i] = 0
        for s in range(num_shelves):
            pool[s] = s
        for q in range(request_queue.shape[1]):
            k = q + below(rng[b], num_shelves - q)
            request_queue[b, q] = pool[k]
            pool[k] = pool[q]
        cur_steps[b] = 0
        inactive_steps[b] = 0


@njit(nogil=True, cache=True)
def rebuild_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Build ``shelf_at``, ``agent_at`` and ``code`` from the state, for the lanes where ``mask`` holds."""
    (
        agent_x, agent_y, agent_dir, shelf_x, shelf_y, shelf_color, request_queue, message, shelf_at, agent_at, code,
        pad, width, agent_codes, dir_weight,
    ) = values_of(fixed)  # fmt: skip
    (mask,) = values_of(call)
    for b in range(start, stop):
        if not mask[b]:
            continue
        for c in range(code.shape[1]):
            shelf_at[b, c] = 0
            agent_at[b, c] = 0
            code[b, c] = 0
        for s in range(shelf_x.shape[1]):
            c = (shelf_y[b, s] + pad) * width + shelf_x[b, s] + pad
            shelf_at[b, c] = s + 1
            code[b, c] = (1 + 2 * shelf_color[b, s]) * agent_codes
        for q in range(request_queue.shape[1]):
            s = request_queue[b, q]
            code[b, (shelf_y[b, s] + pad) * width + shelf_x[b, s] + pad] += agent_codes
        for i in range(agent_x.shape[1]):
            c = (agent_y[b, i] + pad) * width + agent_x[b, i] + pad
            agent_at[b, c] = i + 1
            code[b, c] += 1 + dir_weight * agent_dir[b, i] + message[b, i]


@njit(nogil=True, cache=True)
def step_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Advance lanes ``[start, stop)`` by one step, and observe; ``chunk`` lanes at a time, which stay in the cache."""
    rules, view, chunk = values_of(fixed)
    actions, obs, rewards, terminated, truncated = values_of(call)
    for first in range(start, stop, chunk):
        last = min(first + chunk, stop)
        act_lanes(first, last, rules, (actions, rewards, terminated, truncated))
        observe_lanes(first, last, view, (obs,))


@njit(nogil=True, cache=True)
def act_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Advance lanes ``[start, stop)`` by one step: choose targets, settle conflicts, act, deliver, count."""
    (
        rng, body, shelf_at, agent_at, code, action_map, steps, turned, inside, highway, goals, delivers, type_of,
        pad, width, agent_codes, dir_weight, reward_type, max_cycles, max_inactivity,
    ) = values_of(fixed)  # fmt: skip
    (
        agent_x, agent_y, agent_dir, carrying, has_delivered, shelf_x, shelf_y, shelf_color, request_queue, cur_steps,
        inactive_steps, message,
    ) = body  # fmt: skip
    actions, rewards, terminated, truncated = values_of(call)
    num_agents, num_goals = agent_x.shape[1], goals.shape[0]
    cell = np.empty(num_agents, np.int32)
    target = np.empty(num_agents, np.int32)
    content = np.empty(num_agents, np.int32)
    movers = np.empty(num_agents + 1, np.int32)
    togglers = np.empty(num_agents + 1, np.int32)
    # For the conflict rule: claim[c] is the best agent (+ 1) that wants to go to the free cell c.
    claim = np.zeros(inside.shape[0], np.int32)
    ahead = np.empty(num_agents, np.int32)
    behind = np.empty(num_agents, np.int32)
    length = np.empty(num_agents, np.int32)
    waiting = np.empty(num_agents, np.int32)
    stack = np.empty(num_agents, np.int32)
    goes = np.empty(num_agents, np.uint8)

    for b in range(start, stop):
        num_movers = 0
        num_togglers = 0
        for i in range(num_agents):
            action = actions[b, i]
            move = action_map[i, action]
            facing = agent_dir[b, i]
            here = (agent_y[b, i] + pad) * width + agent_x[b, i] + pad
            step = steps[move, facing]
            there = here + step * inside[here + step]
            cell[i] = here
            target[i] = there
            movers[num_movers] = i
            num_movers += there != here
            togglers[num_togglers] = i
            num_togglers += move == TOGGLE
            new_facing = turned[move, facing]
            agent_dir[b, i] = new_facing
            rewards[b, i] = 0.0
            if dir_weight:
                # A message is sent whatever becomes of the move.
                sent = action // 5
                code[b, here] += dir_weight * (new_facing - facing) + sent - message[b, i]
                message[b, i] = sent

        # A loaded agent never goes under a standing shelf; all cancellations look at the grid before the move.
        if num_movers > 0:
            kept = 0
            for m in range(num_movers):
                i = movers[m]
                there = target[i]
                goes[i] = 1
                if carrying[b, i] >= 0 and shelf_at[b, there] > 0:
                    j = agent_at[b, there] - 1
                    if j < 0 or carrying[b, j] < 0:
                        goes[i] = 0
                movers[kept] = i
                kept += goes[i]
                if goes[i] == 0:
                    target[i] = cell[i]
            num_movers = kept

        tangled = False
        for m in range(num_movers):
            i = movers[m]
            there = target[i]
            if agent_at[b, there] > 0 or claim[there] > 0:
                tangled = True
            claim[there] = i + 1
        for m in range(num_movers):
            claim[target[movers[m]]] = 0
        if tangled:
            settle(b, num_movers, movers, cell, target, agent_at, claim, ahead, behind, length, waiting, stack, goes)
            kept = 0
            for m in range(num_movers):
                i = movers[m]
                movers[kept] = i
                kept += goes[i]
            num_movers = kept

        # All leave before anybody arrives.
        for m in range(num_movers):
            i = movers[m]
            here = cell[i]
            agent_at[b, here] = 0
            whole = code[b, here]
            if carrying[b, i] >= 0:
                shelf_at[b, here] = 0
                content[i] = whole
                code[b, here] = 0
            else:
                left = whole // agent_codes * agent_codes
                content[i] = whole - left
                code[b, here] = left
        for m in range(num_movers):
            i = movers[m]
            there = target[i]
            agent_at[b, there] = i + 1
            code[b, there] += content[i]
            y = there // width
            x = there - y * width - pad
            y -= pad
            agent_x[b, i] = x
            agent_y[b, i] = y
            s = carrying[b, i]
            if s >= 0:
                shelf_at[b, there] = s + 1
                shelf_x[b, s] = x
                shelf_y[b, s] = y

        for m in range(num_togglers):
            i = togglers[m]
            here = cell[i]
            if carrying[b, i] < 0:
                carrying[b, i] = shelf_at[b, here] - 1
            elif not highway[here]:
                carrying[b, i] = -1
                if has_delivered[b, i] and reward_type == TWO_STAGE:
                    rewards[b, i] += 0.5
                has_delivered[b, i] = False

        delivered = False
        for g in range(num_goals):
            if shelf_at[b, goals[g]] > 0 and deliver(
                b, goals[g], rng, carrying, has_delivered, shelf_x, shelf_y, shelf_color, request_queue,
                shelf_at, agent_at, code, delivers, type_of, pad, width, agent_codes, reward_type, rewards,
            ):  # fmt: skip
                delivered = True

        inactive = 0 if delivered else inactive_steps[b] + 1
        inactive_steps[b] = inactive
        cur_steps[b] += 1
        over = max_inactivity > 0 and inactive >= max_inactivity
        terminated[b] = over
        truncated[b] = cur_steps[b] >= max_cycles and not over


@njit(nogil=True, cache=True)
def settle(  # type: ignore[no-untyped-def]
    b, num_movers, movers, cell, target, agent_at, claim, ahead, behind, length, waiting, stack, goes
):
    """Decide who moves: rings of three or more, and the longest chain into each free cell (ties: lowest index)."""
    for m in range(num_movers):
        i = movers[m]
        length[i] = 1
        behind[i] = -1
        waiting[i] = 0
    for m in range(num_movers):
        i = movers[m]
        j = agent_at[b, target[i]] - 1
        if j < 0:
            ahead[i] = FREE
        elif target[j] == cell[j]:
            ahead[i] = BLOCKED
        else:
            ahead[i] = j
            waiting[j] += 1
    top = 0
    for m in range(num_movers):
        i = movers[m]
        goes[i] = 0
        stack[top] = i
        top += waiting[i] == 0
    # From the tails of the queues forward: what remains unvisited runs in a circle.
    while top > 0:
        top -= 1
        i = stack[top]
        waiting[i] = -1
        j = ahead[i]
        if j >= 0:
            if behind[j] < 0 or better(i, behind[j], length):
                behind[j] = i
                length[j] = length[i] + 1
            waiting[j] -= 1
            if waiting[j] == 0:
                stack[top] = j
                top += 1
        elif j == FREE:
            rival = claim[target[i]] - 1
            if rival < 0 or better(i, rival, length):
                claim[target[i]] = i + 1
    for m in range(num_movers):
        i = movers[m]
        if waiting[i] >= 0:
            mark_ring(i, ahead, waiting, goes)
        elif ahead[i] == FREE and claim[target[i]] == i + 1:
            claim[target[i]] = 0
            k = i
            while k >= 0:
                goes[k] = 1
                k = behind[k]
    for m in range(num_movers):
        i = movers[m]
        if goes[i] == 0:
            target[i] = cell[i]


@njit(nogil=True, cache=True)
def better(i, rival, length):  # type: ignore[no-untyped-def]
    """Return whether agent ``i`` leads a longer chain than ``rival``, or an equally long one with a lower index."""
    return length[i] > length[rival] or (length[i] == length[rival] and i < rival)


@njit(nogil=True, cache=True)
def mark_ring(first, ahead, waiting, goes):  # type: ignore[no-untyped-def]
    """Let the ring through ``first`` turn, unless it is two agents face to face; mark it as seen."""
    size = 0
    k = first
    while waiting[k] >= 0:
        waiting[k] = -1
        size += 1
        k = ahead[k]
    if size > 2:
        goes[first] = 1
        k = ahead[first]
        while k != first:
            goes[k] = 1
            k = ahead[k]


@njit(nogil=True, cache=True)
def deliver(  # type: ignore[no-untyped-def]
    b, goal, rng, carrying, has_delivered, shelf_x, shelf_y, shelf_color, request_queue, shelf_at, agent_at, code,
    delivers, type_of, pad, width, agent_codes, reward_type, rewards,
):  # fmt: skip
    """Take in the shelf on ``goal`` if it is requested and its carrier may deliver its colour; request another."""
    shelf_code = code[b, goal] // agent_codes
    # Requested shelves have even codes, see tables.Codes.
    if shelf_code % 2 == 1:
        return False
    shelf, agent = shelf_at[b, goal] - 1, agent_at[b, goal] - 1
    if agent < 0 or not delivers[type_of[agent], shelf_color[b, shelf]]:
        return False
    num_shelves, num_requests = shelf_x.shape[1], request_queue.shape[1]
    rank = below(rng[b], num_shelves - num_requests)
    fresh = -1
    while rank >= 0:
        fresh += 1
        c = (shelf_y[b, fresh] + pad) * width + shelf_x[b, fresh] + pad
        rank -= (code[b, c] // agent_codes) % 2
    for q in range(num_requests):
        if request_queue[b, q] == shelf:
            request_queue[b, q] = fresh
            break
    code[b, goal] -= agent_codes
    code[b, (shelf_y[b, fresh] + pad) * width + shelf_x[b, fresh] + pad] += agent_codes
    if reward_type == GLOBAL:
        for i in range(rewards.shape[1]):
            rewards[b, i] += 1.0
    elif reward_type == INDIVIDUAL:
        rewards[b, agent] += 1.0
    else:
        rewards[b, agent] += 0.5
        has_delivered[b, agent] = True
    return True


@njit(nogil=True, cache=True)
def observe_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F]`` of lanes ``[start, stop)``."""
    (
        agent_x, agent_y, agent_dir, carrying, code, type_of, place, sight, own, low_words, high_words, offsets,
        coord_x, coord_y, entry, filled, cell_entries, highway, pad, width,
    ) = values_of(fixed)  # fmt: skip
    (obs,) = values_of(call)
    num_words, num_codes = own.shape[2], len(filled)
    num_cells = offsets.shape[0]
    size = obs.shape[2]
    # Unsigned indices spare the check for negative ones, which counts in the inner loops.
    one, step = np.uint64(1), np.uint64(num_codes)
    for b in range(start, stop):
        for i in range(agent_x.shape[1]):
            kind = type_of[i]
            x = agent_x[b, i]
            y = agent_y[b, i]
            here = (y + pad) * width + x + pad
            self_code = agent_dir[b, i] + 4 * (carrying[b, i] >= 0) + 8 * highway[here]
            row = np.uint64(kind * num_cells * num_codes)
            if num_words == 1:
                bits = own[kind, self_code, 0]
                for k in range(num_cells):
                    bits |= low_words[row + np.uint64(code[b, np.uint64(here + offsets[k])])]
                    row += step
                for j in range(size):
                    obs[b, i, j] = np.float32((bits >> np.uint64(j)) & one)
            elif num_words == 2:
                low = own[kind, self_code, 0]
                high = own[kind, self_code, 1]
                for k in range(num_cells):
                    at = row + np.uint64(code[b, np.uint64(here + offsets[k])])
                    low |= low_words[at]
                    high |= high_words[at]
                    row += step
                for j in range(64):
                    obs[b, i, j] = np.float32((low >> np.uint64(j)) & one)
                for j in range(64, size):
                    obs[b, i, j] = np.float32((high >> np.uint64(j - 64)) & one)
            else:
                for j in range(size):
                    obs[b, i, j] = 0.0
                obs[b, i, place[kind, 2]] = np.float32(carrying[b, i] >= 0)
                obs[b, i, place[kind, 3 + agent_dir[b, i]]] = 1.0
                obs[b, i, place[kind, 7]] = np.float32(highway[here])
                for k in range(num_cells):
                    found = code[b, here + offsets[k]]
                    for e in range(filled[found] * sight[kind, k]):
                        obs[b, i, place[kind, 8 + k * cell_entries + entry[found, e]]] = 1.0
            obs[b, i, place[kind, 0]] = coord_x[x]
            obs[b, i, place[kind, 1]] = coord_y[y]


@njit(nogil=True, cache=True)
def observe_image_lanes(start, stop, fixed, call):  # type: ignore[no-untyped-def]
    """Write observations as images, layer by layer, row by row; with ``features`` six numbers on the agent follow."""
    (
        agent_x, agent_y, agent_dir, carrying, shelf_at, agent_at, code, inside, is_goal, highway, layers,
        turned_offsets, features, pad, width, agent_codes,
    ) = values_of(fixed)  # fmt: skip
    (obs,) = values_of(call)
    num_cells = turned_offsets.shape[1]
    for b in range(start, stop):
        for i in range(agent_x.shape[1]):
            facing = agent_dir[b, i]
            here = (agent_y[b, i] + pad) * width + agent_x[b, i] + pad
            at = 0
            for layer in layers:
                for k in range(num_cells):
                    c = here + turned_offsets[facing, k]
                    agent = agent_at[b, c] - 1
                    value = 0
                    if layer == SHELVES:
                        value = shelf_at[b, c] > 0
                    elif layer == REQUESTS:
                        shelf_code = code[b, c] // agent_codes
                        value = shelf_code > 0 and shelf_code % 2 == 0
                    elif layer == AGENTS:
                        value = agent >= 0
                    elif layer == AGENT_DIRECTION:
                        value = agent_dir[b, agent] + 1 if agent >= 0 else 0
                    elif layer == AGENT_LOAD:
                        value = agent >= 0 and carrying[b, agent] >= 0
                    elif layer == GOALS:
                        value = is_goal[c]
                    else:
                        value = inside[c] and agent < 0
                    obs[b, i, at] = value
                    at += 1
            if features:
                for d in range(4):
                    obs[b, i, at + d] = np.float32(d == facing)
                obs[b, i, at + 4] = highway[here]
                obs[b, i, at + 5] = np.float32(carrying[b, i] >= 0)
