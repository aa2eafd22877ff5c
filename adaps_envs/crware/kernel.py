"""Compiled rules of the warehouses. ``reference.py`` says the same in plain Python; read that first.

Next to the state, each lane keeps what stands in each cell of the bordered floor: ``shelf_at``, ``agent_at`` and
``code`` (see ``state.State``). They follow the state step by step and are rebuilt when a state is injected. Lanes are
independent; each range ``[start, stop)`` can run on its own thread. Arrays are indexed with the lane rather than
sliced: a slice costs more than the access.

Steps of a kernel are compiled into it (``forceinline``): a call that hands over records costs more than the step.
They stay in this file, for numba's cache does not notice an edit in another. In such steps ``&`` and conditional
expressions stand for ``and``, ``or`` and ``else`` branches: numba counts references to a record's arrays, and its
optimiser removes the counting only where a function has few exits. For the same reason division is NumPy's, which does
not raise (no divisor is ever 0).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from adaps_envs.core.rng import below

__all__ = ["act_lanes", "observe_image_lanes", "observe_lanes", "rebuild_lanes", "reset_lanes", "step_lanes"]

FORWARD = 1
TOGGLE = 4
# reward_type, in the order of params.REWARD_TYPES
INDIVIDUAL = 0
GLOBAL = 1
TWO_STAGE = 2
# Agents that are stepped and then observed before the next ones: few enough to stay in the processor's cache.
AGENTS_AT_A_TIME = 4096
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


class Scratch(NamedTuple):
    """What a step notes of one lane; ``[N]`` or, where a candidate is written before it counts, ``[N + 1]``.

    Attributes:
        cell, target: each agent's flat cell, and the one it wants to be in.
        movers, togglers: ``[N + 1]``, the agents that want to move, and those that pick up or put down.
        content: the part of a cell's code that a mover takes along.
        claim: ``[P] int32`` over the floor's cells, the best agent (+ 1) that wants a free cell; zero between lanes.
        ahead: whom an agent waits for, or FREE or BLOCKED.
        behind: the leader of the longest queue behind an agent, -1 for none.
        length: agents in the longest queue that an agent leads, itself included.
        waiting: how many queues behind an agent are not measured yet; -1 once it was measured itself.
        stack: ``[N + 1]``, agents whose queues are all measured.
        goes: 1 for the movers that move.
    """

    cell: NDArray[np.int32]
    target: NDArray[np.int32]
    movers: NDArray[np.int32]
    togglers: NDArray[np.int32]
    content: NDArray[np.int32]
    claim: NDArray[np.int32]
    ahead: NDArray[np.int32]
    behind: NDArray[np.int32]
    length: NDArray[np.int32]
    waiting: NDArray[np.int32]
    stack: NDArray[np.int32]
    goes: NDArray[np.uint8]


# -- start -------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, error_model="numpy")
def reset_lanes(start, stop, state, rules, mask):  # type: ignore[no-untyped-def]
    """Draw a start for the lanes of ``[start, stop)`` where ``mask [B] bool`` holds.

    Colours, cells, directions, requests: seeds and digests depend on this order of draws.
    """
    num_cells, num_shelves = rules.columns * rules.rows, state.shelf_x.shape[1]
    pool = np.empty(max(num_cells, num_shelves), np.int32)
    for b in range(start, stop):
        if not mask[b]:
            continue
        bring_shelves_home(b, state, rules)
        place_agents(b, state, rules, pool[:num_cells])
        draw_requests(b, state, pool[:num_shelves])
        state.cur_steps[b] = 0
        state.inactive_steps[b] = 0
    rebuild_lanes(start, stop, state, rules, mask)


@njit(forceinline=True, error_model="numpy")
def bring_shelves_home(b, state, rules):  # type: ignore[no-untyped-def]
    """Put one lane's shelves on their homes and draw their colours."""
    for s in range(state.shelf_x.shape[1]):
        state.shelf_x[b, s] = rules.floor.home_x[s]
        state.shelf_y[b, s] = rules.floor.home_y[s]
        # With one colour nothing is drawn: RWARE's streams know no colours.
        state.shelf_color[b, s] = below(state.rng[b], rules.num_colours) if rules.num_colours > 1 else 0


@njit(forceinline=True, error_model="numpy")
def place_agents(b, state, rules, pool):  # type: ignore[no-untyped-def]
    """Draw different cells for one lane's agents (the front of a shuffled ``pool``), then where they face."""
    for k in range(pool.shape[0]):
        pool[k] = k
    for i in range(state.agent_x.shape[1]):
        k = i + below(state.rng[b], pool.shape[0] - i)
        cell = pool[k]
        pool[k] = pool[i]
        state.agent_y[b, i] = cell // rules.columns
        state.agent_x[b, i] = cell % rules.columns
    for i in range(state.agent_x.shape[1]):
        state.agent_dir[b, i] = below(state.rng[b], 4)
        state.carrying[b, i] = -1
        state.has_delivered[b, i] = False
        state.message[b, i] = 0


@njit(forceinline=True, error_model="numpy")
def draw_requests(b, state, pool):  # type: ignore[no-untyped-def]
    """Draw different shelves to request in one lane: the front of a shuffled ``pool``."""
    for s in range(pool.shape[0]):
        pool[s] = s
    for q in range(state.request_queue.shape[1]):
        k = q + below(state.rng[b], pool.shape[0] - q)
        state.request_queue[b, q] = pool[k]
        pool[k] = pool[q]


@njit(nogil=True, cache=True, error_model="numpy")
def rebuild_lanes(start, stop, state, rules, mask):  # type: ignore[no-untyped-def]
    """Derive ``shelf_at``, ``agent_at`` and ``code`` from the rest of the state, where ``mask [B] bool`` holds."""
    codes = rules.codes
    for b in range(start, stop):
        if not mask[b]:
            continue
        for c in range(state.code.shape[1]):
            state.shelf_at[b, c] = 0
            state.agent_at[b, c] = 0
            state.code[b, c] = 0
        for s in range(state.shelf_x.shape[1]):
            c = flat_cell(state.shelf_x[b, s], state.shelf_y[b, s], rules)
            state.shelf_at[b, c] = s + 1
            state.code[b, c] = (1 + 2 * state.shelf_color[b, s]) * codes.agents
        for q in range(state.request_queue.shape[1]):
            s = state.request_queue[b, q]
            state.code[b, flat_cell(state.shelf_x[b, s], state.shelf_y[b, s], rules)] += codes.agents
        for i in range(state.agent_x.shape[1]):
            c = flat_cell(state.agent_x[b, i], state.agent_y[b, i], rules)
            state.agent_at[b, c] = i + 1
            state.code[b, c] += 1 + codes.direction * state.agent_dir[b, i] + state.message[b, i]


@njit(forceinline=True, error_model="numpy")
def flat_cell(x, y, rules):  # type: ignore[no-untyped-def]
    """Return the index of a cell in the arrays over the bordered floor."""
    return (y + rules.floor.pad) * rules.floor.width + x + rules.floor.pad


# -- step --------------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, error_model="numpy")
def step_lanes(  # type: ignore[no-untyped-def]
    start, stop, state, rules, actions, obs, rewards, terminated, truncated
):
    """Advance lanes ``[start, stop)`` by one step, and observe, as many lanes at a time as stay in the cache.

    ``actions [B, N] int64`` are read; ``obs [B, N, F] float32``, ``rewards [B, N] float32``, ``terminated [B] bool``
    and ``truncated [B] bool`` are written.
    """
    chunk = max(1, AGENTS_AT_A_TIME // actions.shape[1])
    for first in range(start, stop, chunk):
        last = min(first + chunk, stop)
        act_lanes(first, last, state, rules, actions, rewards, terminated, truncated)
        observe_lanes(first, last, state, rules, obs)


@njit(nogil=True, cache=True, error_model="numpy")
def act_lanes(start, stop, state, rules, actions, rewards, terminated, truncated):  # type: ignore[no-untyped-def]
    """Advance lanes ``[start, stop)`` by one step without observing them; arrays as in :func:`step_lanes`.

    The order is that of the original: all choose from the cells before the step, conflicts are settled, all movers
    leave before anybody arrives, shelves are picked up and put down, and goals look at what stands on them then.
    """
    scratch = new_scratch(actions.shape[1], rules.floor.inside.shape[0])
    for b in range(start, stop):
        num_movers, num_togglers = choose_targets(b, actions, state, rules, scratch, rewards)
        if num_movers > 0:
            num_movers = cancel_blocked(b, num_movers, state, scratch)
        if is_tangled(b, num_movers, state, scratch):
            num_movers = settle(b, num_movers, state.agent_at, scratch)
        leave(b, num_movers, state, rules, scratch)
        arrive(b, num_movers, state, rules, scratch)
        for t in range(num_togglers):
            toggle(b, scratch.togglers[t], scratch.cell, state, rules, rewards)
        inactive = state.inactive_steps[b] + 1
        if is_shelf_on_goal(b, state, rules) and deliver(b, state, rules, rewards):
            inactive = 0
        state.inactive_steps[b] = inactive
        state.cur_steps[b] += 1
        over = (rules.max_inactivity > 0) & (inactive >= rules.max_inactivity)
        terminated[b] = over
        truncated[b] = (state.cur_steps[b] >= rules.max_cycles) & (not over)


@njit(forceinline=True, error_model="numpy")
def new_scratch(num_agents, num_cells):  # type: ignore[no-untyped-def]
    """Return scratch arrays for one lane of N agents on P cells."""
    return Scratch(
        np.empty(num_agents, np.int32),
        np.empty(num_agents, np.int32),
        np.empty(num_agents + 1, np.int32),
        np.empty(num_agents + 1, np.int32),
        np.empty(num_agents, np.int32),
        np.zeros(num_cells, np.int32),
        np.empty(num_agents, np.int32),
        np.empty(num_agents, np.int32),
        np.empty(num_agents, np.int32),
        np.empty(num_agents, np.int32),
        np.empty(num_agents + 1, np.int32),
        np.empty(num_agents, np.uint8),
    )


@njit(forceinline=True, error_model="numpy")
def choose_targets(b, actions, state, rules, scratch, rewards):  # type: ignore[no-untyped-def]
    """Turn one lane's agents and note who wants to go where, and who toggles; return how many movers and togglers.

    Rewards are set to zero, for others may be paid before an agent's own turn.
    """
    floor = rules.floor
    num_movers = 0
    num_togglers = 0
    for i in range(actions.shape[1]):
        action = actions[b, i]
        move = rules.action_map[i, action]
        facing = state.agent_dir[b, i]
        here = flat_cell(state.agent_x[b, i], state.agent_y[b, i], rules)
        step = floor.steps[move, facing]
        # A step off the floor leads nowhere.
        there = here + step * floor.inside[here + step]
        scratch.cell[i] = here
        scratch.target[i] = there
        # Written in any case, counted only if it applies: a branch on random actions costs more.
        scratch.movers[num_movers] = i
        num_movers += there != here
        scratch.togglers[num_togglers] = i
        num_togglers += move == TOGGLE
        new_facing = floor.turned[move, facing]
        state.agent_dir[b, i] = new_facing
        rewards[b, i] = 0.0
        if rules.codes.direction:
            # A message is sent whatever becomes of the move.
            sent = action // 5
            change = rules.codes.direction * (new_facing - facing) + sent - state.message[b, i]
            state.code[b, here] += change
            state.message[b, i] = sent
    return num_movers, num_togglers


@njit(forceinline=True, error_model="numpy")
def cancel_blocked(b, num_movers, state, scratch):  # type: ignore[no-untyped-def]
    """Cancel moves of loaded agents under standing shelves; return how many movers are left.

    A shelf that somebody carries away counts as gone whether its carrier gets away or not: all cancellations look at
    the cells before the step.
    """
    left = 0
    for m in range(num_movers):
        i = scratch.movers[m]
        there = scratch.target[i]
        scratch.goes[i] = 1
        if state.carrying[b, i] >= 0 and state.shelf_at[b, there] > 0:
            j = state.agent_at[b, there] - 1
            if j < 0 or state.carrying[b, j] < 0:
                scratch.goes[i] = 0
                scratch.target[i] = scratch.cell[i]
        scratch.movers[left] = i
        left += scratch.goes[i]
    return left


@njit(forceinline=True, error_model="numpy")
def is_tangled(b, num_movers, state, scratch):  # type: ignore[no-untyped-def]
    """Return whether a mover wants an occupied cell, or two want the same: else all move, and most steps end here."""
    tangled = False
    for m in range(num_movers):
        i = scratch.movers[m]
        there = scratch.target[i]
        if state.agent_at[b, there] > 0 or scratch.claim[there] > 0:
            tangled = True
        scratch.claim[there] = i + 1
    for m in range(num_movers):
        scratch.claim[scratch.target[scratch.movers[m]]] = 0
    return tangled


@njit(forceinline=True, error_model="numpy")
def leave(b, num_movers, state, rules, scratch):  # type: ignore[no-untyped-def]
    """Take one lane's movers, and what they carry, out of their cells."""
    for m in range(num_movers):
        i = scratch.movers[m]
        here = scratch.cell[i]
        state.agent_at[b, here] = 0
        is_loaded = state.carrying[b, i] >= 0
        whole = state.code[b, here]
        # A standing shelf stays behind.
        left = 0 if is_loaded else whole // rules.codes.agents * rules.codes.agents
        scratch.content[i] = whole - left
        state.code[b, here] = left
        state.shelf_at[b, here] = 0 if is_loaded else state.shelf_at[b, here]


@njit(forceinline=True, error_model="numpy")
def arrive(b, num_movers, state, rules, scratch):  # type: ignore[no-untyped-def]
    """Put one lane's movers, and what they carry, into their targets; only after all have left."""
    floor = rules.floor
    for m in range(num_movers):
        i = scratch.movers[m]
        there = scratch.target[i]
        state.agent_at[b, there] = i + 1
        state.code[b, there] += scratch.content[i]
        row = there // floor.width
        x = there - row * floor.width - floor.pad
        y = row - floor.pad
        state.agent_x[b, i] = x
        state.agent_y[b, i] = y
        s = state.carrying[b, i]
        if s >= 0:
            state.shelf_at[b, there] = s + 1
            state.shelf_x[b, s] = x
            state.shelf_y[b, s] = y


@njit(forceinline=True, error_model="numpy")
def toggle(b, i, cell, state, rules, rewards):  # type: ignore[no-untyped-def]
    """Let agent ``i`` pick up the shelf in its cell, or put down its own, which is not possible on a highway."""
    here = cell[i]
    held = state.carrying[b, i]
    puts_down = (held >= 0) & (rules.floor.highway[here] == 0)
    after = -1 if puts_down else held
    state.carrying[b, i] = state.shelf_at[b, here] - 1 if held < 0 else after
    pays = puts_down & state.has_delivered[b, i] & (rules.reward_type == TWO_STAGE)
    rewards[b, i] += 0.5 if pays else 0.0
    state.has_delivered[b, i] &= not puts_down


# -- conflicts ---------------------------------------------------------------------------------------------------------


@njit(forceinline=True, error_model="numpy")
def settle(b, num_movers, agent_at, scratch):  # type: ignore[no-untyped-def]
    """Decide who moves: rings of three or more, and the longest chain into each free cell (ties: lowest index).

    Returns how many movers are left; the targets of the others are their own cells.
    """
    queue_up(b, num_movers, agent_at, scratch)
    measure_queues(num_movers, scratch)
    pick_winners(num_movers, scratch)
    left = 0
    for m in range(num_movers):
        i = scratch.movers[m]
        scratch.target[i] = scratch.target[i] if scratch.goes[i] else scratch.cell[i]
        scratch.movers[left] = i
        left += scratch.goes[i]
    return left


@njit(forceinline=True, error_model="numpy")
def queue_up(b, num_movers, agent_at, scratch):  # type: ignore[no-untyped-def]
    """Note for each mover whom it waits for, and how many wait for it."""
    for m in range(num_movers):
        i = scratch.movers[m]
        scratch.length[i] = 1
        scratch.behind[i] = -1
        scratch.waiting[i] = 0
    for m in range(num_movers):
        i = scratch.movers[m]
        ahead = agent_at[b, scratch.target[i]] - 1
        if ahead < 0:
            ahead = FREE
        elif scratch.target[ahead] == scratch.cell[ahead]:
            ahead = BLOCKED
        scratch.ahead[i] = ahead
        if ahead >= 0:
            scratch.waiting[ahead] += 1


@njit(forceinline=True, error_model="numpy")
def measure_queues(num_movers, scratch):  # type: ignore[no-untyped-def]
    """Measure queues from their tails forward, and let the best leader claim each free cell.

    An agent is looked at only when all queues behind it are known. What is never looked at runs in a circle.
    """
    top = 0
    for m in range(num_movers):
        i = scratch.movers[m]
        scratch.goes[i] = 0
        scratch.stack[top] = i
        top += scratch.waiting[i] == 0
    while top > 0:
        top -= 1
        i = scratch.stack[top]
        scratch.waiting[i] = -1
        j = scratch.ahead[i]
        if j >= 0:
            rival = scratch.behind[j]
            if (rival < 0) | is_better(i, scratch.length[i], rival, scratch.length[rival]):
                scratch.behind[j] = i
                scratch.length[j] = scratch.length[i] + 1
            scratch.waiting[j] -= 1
            scratch.stack[top] = j
            top += scratch.waiting[j] == 0
        if j == FREE:
            rival = scratch.claim[scratch.target[i]] - 1
            if (rival < 0) | is_better(i, scratch.length[i], rival, scratch.length[rival]):
                scratch.claim[scratch.target[i]] = i + 1


@njit(forceinline=True, error_model="numpy")
def is_better(i, length, rival, rival_length):  # type: ignore[no-untyped-def]
    """Return whether agent ``i`` leads a longer chain than ``rival``, or an equally long one with a lower index."""
    return (length > rival_length) | ((length == rival_length) & (i < rival))


@njit(forceinline=True, error_model="numpy")
def pick_winners(num_movers, scratch):  # type: ignore[no-untyped-def]
    """Mark in ``goes`` the rings, and the chain behind the agent that claims each free cell; take claims back."""
    for m in range(num_movers):
        i = scratch.movers[m]
        if scratch.waiting[i] >= 0:
            mark_ring(i, scratch)
        elif scratch.ahead[i] == FREE and scratch.claim[scratch.target[i]] == i + 1:
            scratch.claim[scratch.target[i]] = 0
            k = i
            while k >= 0:
                scratch.goes[k] = 1
                k = scratch.behind[k]


@njit(forceinline=True, error_model="numpy")
def mark_ring(first, scratch):  # type: ignore[no-untyped-def]
    """Let the ring through ``first`` turn, unless it is two agents face to face; mark it as seen."""
    size = 0
    k = first
    while scratch.waiting[k] >= 0:
        scratch.waiting[k] = -1
        size += 1
        k = scratch.ahead[k]
    if size > 2:
        scratch.goes[first] = 1
        k = scratch.ahead[first]
        while k != first:
            scratch.goes[k] = 1
            k = scratch.ahead[k]


# -- deliveries --------------------------------------------------------------------------------------------------------


@njit(forceinline=True, error_model="numpy")
def is_shelf_on_goal(b, state, rules):  # type: ignore[no-untyped-def]
    """Return whether any shelf is on a goal of one lane: else there is nothing to deliver, and most steps end here."""
    found = False
    for g in range(rules.floor.goals.shape[0]):
        found |= state.shelf_at[b, rules.floor.goals[g]] > 0
    return found


@njit(error_model="numpy")
def deliver(b, state, rules, rewards):  # type: ignore[no-untyped-def]
    """Take in the requested shelves on one lane's goals, goal by goal; return whether there was any.

    The order of goals matters: what one delivery requests next may stand on a later goal.
    """
    delivered = False
    for goal in rules.floor.goals:
        shelf, agent = state.shelf_at[b, goal] - 1, state.agent_at[b, goal] - 1
        # Requested shelves have even codes, see tables. Where nobody is, -1 reads a last entry that does not count.
        is_requested = (shelf >= 0) & (state.code[b, goal] // rules.codes.agents % 2 == 0)
        may_deliver = (agent >= 0) & rules.delivers[rules.type_of[agent], state.shelf_color[b, shelf]]
        if is_requested & may_deliver:
            request_another(b, goal, state, rules)
            pay(b, agent, state, rules, rewards)
            delivered = True
    return delivered


@njit(error_model="numpy")
def request_another(b, goal, state, rules):  # type: ignore[no-untyped-def]
    """Give the request for the shelf on ``goal`` to another shelf, drawn from those without a request."""
    agent_codes, num_requests = rules.codes.agents, state.request_queue.shape[1]
    shelf = state.shelf_at[b, goal] - 1
    rank = below(state.rng[b], state.shelf_x.shape[1] - num_requests)
    fresh, cell = -1, 0
    while rank >= 0:
        fresh += 1
        cell = flat_cell(state.shelf_x[b, fresh], state.shelf_y[b, fresh], rules)
        rank -= state.code[b, cell] // agent_codes % 2
    for q in range(num_requests):
        if state.request_queue[b, q] == shelf:
            state.request_queue[b, q] = fresh
            break
    # Only now: the delivered shelf itself must not be drawn.
    state.code[b, goal] -= agent_codes
    state.code[b, cell] += agent_codes


@njit(forceinline=True, error_model="numpy")
def pay(b, agent, state, rules, rewards):  # type: ignore[no-untyped-def]
    """Pay for one delivery of ``agent``: everybody, or the agent, or half now and half when it puts the shelf down."""
    first = 0 if rules.reward_type == GLOBAL else agent
    last = rewards.shape[1] if rules.reward_type == GLOBAL else agent + 1
    for i in range(first, last):
        rewards[b, i] += 0.5 if rules.reward_type == TWO_STAGE else 1.0
    state.has_delivered[b, agent] |= rules.reward_type == TWO_STAGE


# -- observation -------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, error_model="numpy")
def observe_lanes(start, stop, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the observations ``[B, N, F] float32`` of lanes ``[start, stop)``."""
    words = rules.words
    num_words = words.own.shape[2]
    for b in range(start, stop):
        for i in range(obs.shape[1]):
            kind = rules.type_of[i]
            x, y = state.agent_x[b, i], state.agent_y[b, i]
            here = flat_cell(x, y, rules)
            if num_words == 1:
                write_one_word(b, i, here, state, rules, obs)
            elif num_words == 2:
                write_two_words(b, i, here, state, rules, obs)
            else:
                write_entries(b, i, here, state, rules, obs)
            # Coordinates are no flags; their bits are 0 in the words.
            obs[b, i, words.place[kind, 0]] = words.coord_x[x]
            obs[b, i, words.place[kind, 1]] = words.coord_y[y]


@njit(forceinline=True, error_model="numpy")
def own_code(b, i, here, state, rules):  # type: ignore[no-untyped-def]
    """Return the number under which ``words.own`` has what agent ``i`` observes of itself."""
    return state.agent_dir[b, i] + 4 * (state.carrying[b, i] >= 0) + 8 * rules.floor.highway[here]


@njit(forceinline=True, error_model="numpy")
def write_one_word(b, i, here, state, rules, obs):  # type: ignore[no-untyped-def]
    """Write the flags of an observation of up to 64 entries: the union of what each window cell sets, spread out."""
    words, num_codes = rules.words, len(rules.codes.filled)
    kind, num_cells = rules.type_of[i], words.offsets.shape[0]
    # Unsigned indices spare the check for negative ones, which counts in the inner loops.
    one, step = np.uint64(1), np.uint64(num_codes)
    row = np.uint64(kind * num_cells * num_codes)
    bits = words.own[kind, own_code(b, i, here, state, rules), 0]
    for k in range(num_cells):
        bits |= words.low[row + np.uint64(state.code[b, np.uint64(here + words.offsets[k])])]
        row += step
    for j in range(obs.shape[2]):
        obs[b, i, j] = np.float32((bits >> np.uint64(j)) & one)


@njit(forceinline=True, error_model="numpy")
def write_two_words(b, i, here, state, rules, obs):  # type: ignore[no-untyped-def]
    """The same for 65 to 128 entries."""
    words, num_codes = rules.words, len(rules.codes.filled)
    kind, num_cells = rules.type_of[i], words.offsets.shape[0]
    one, step = np.uint64(1), np.uint64(num_codes)
    row = np.uint64(kind * num_cells * num_codes)
    self_code = own_code(b, i, here, state, rules)
    low = words.own[kind, self_code, 0]
    high = words.own[kind, self_code, 1]
    for k in range(num_cells):
        at = row + np.uint64(state.code[b, np.uint64(here + words.offsets[k])])
        low |= words.low[at]
        high |= words.high[at]
        row += step
    for j in range(64):
        obs[b, i, j] = np.float32((low >> np.uint64(j)) & one)
    for j in range(64, obs.shape[2]):
        obs[b, i, j] = np.float32((high >> np.uint64(j - 64)) & one)


@njit(forceinline=True, error_model="numpy")
def write_entries(b, i, here, state, rules, obs):  # type: ignore[no-untyped-def]
    """The same for longer observations, of which few entries are set: entry by entry."""
    words, codes = rules.words, rules.codes
    kind = rules.type_of[i]
    for j in range(obs.shape[2]):
        obs[b, i, j] = 0.0
    obs[b, i, words.place[kind, 2]] = np.float32(state.carrying[b, i] >= 0)
    obs[b, i, words.place[kind, 3 + state.agent_dir[b, i]]] = 1.0
    obs[b, i, words.place[kind, 7]] = np.float32(rules.floor.highway[here])
    for k in range(words.offsets.shape[0]):
        found = state.code[b, here + words.offsets[k]]
        # A cell out of sight has a factor of 0: none of its entries is written.
        for e in range(codes.filled[found] * words.sight[kind, k]):
            obs[b, i, words.place[kind, 8 + k * codes.entries + codes.entry[found, e]]] = 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def observe_image_lanes(start, stop, state, rules, obs, features):  # type: ignore[no-untyped-def]
    """Write observations ``[B, N, F] float32`` as images, layer by layer, row by row.

    With ``features`` six numbers on the agent follow: direction (one-hot), on a highway, carrying.
    """
    offsets = rules.words.turned
    for b in range(start, stop):
        for i in range(obs.shape[1]):
            facing = state.agent_dir[b, i]
            here = flat_cell(state.agent_x[b, i], state.agent_y[b, i], rules)
            at = 0
            for layer in rules.layers:
                for k in range(offsets.shape[1]):
                    obs[b, i, at] = pixel(b, layer, here + offsets[facing, k], state, rules)
                    at += 1
            if features:
                for d in range(4):
                    obs[b, i, at + d] = np.float32(d == facing)
                obs[b, i, at + 4] = rules.floor.highway[here]
                obs[b, i, at + 5] = np.float32(state.carrying[b, i] >= 0)


@njit(forceinline=True, error_model="numpy")
def pixel(b, layer, c, state, rules):  # type: ignore[no-untyped-def]
    """Return what one layer of an image shows of the flat cell ``c``."""
    agent = state.agent_at[b, c] - 1
    if layer == SHELVES:
        return np.int64(state.shelf_at[b, c] > 0)
    if layer == REQUESTS:
        shelf_code = state.code[b, c] // rules.codes.agents
        return np.int64(shelf_code > 0 and shelf_code % 2 == 0)
    if layer == AGENTS:
        return np.int64(agent >= 0)
    if layer == AGENT_DIRECTION:
        return np.int64(state.agent_dir[b, agent] + 1 if agent >= 0 else 0)
    if layer == AGENT_LOAD:
        return np.int64(agent >= 0 and state.carrying[b, agent] >= 0)
    if layer == GOALS:
        return np.int64(rules.floor.is_goal[c])
    return np.int64(rules.floor.inside[c] and agent < 0)
