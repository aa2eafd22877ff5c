"""The rules of the warehouses for one lane in short plain Python: the thing to read first.

The compiled kernel must agree with this to the last bit; a differential test ties the two. Cells are ``(x, y)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.rng import below
from adaps_envs.core.roster import deal_types
from adaps_envs.families.crware.params import IMAGE_LAYERS, CRWAREParams, RWAREParams, WarehouseParams

__all__ = ["execute", "observe", "step"]

NOOP, FORWARD, LEFT, RIGHT, TOGGLE = range(5)
# 0 up, 1 down, 2 left, 3 right
AHEAD = ((0, -1), (0, 1), (-1, 0), (1, 0))
CLOCKWISE = (0, 3, 1, 2)

Cell = tuple[int, int]
Pick = Callable[[Sequence[int]], int]


def step(
    params: WarehouseParams, state: dict[str, Any], actions: list[int]
) -> tuple[dict[str, Any], list[float], bool]:
    """Return the next state, the rewards and whether the episode is over.

    Args:
        params: the parameters.
        state: one lane of ``get_state()``, ``rng`` included: a delivery draws from it.
        actions: N integers.
    """
    after: dict[str, Any] = {name: np.array(value) for name, value in state.items()}
    if "message" in after:
        after["message"][:] = [action // 5 for action in actions]
    pay = execute(params, after, mapped_actions(params, actions))
    delivered = deliver(params, after, pay)
    after["inactive_steps"] = 0 if delivered else after["inactive_steps"] + 1
    after["cur_steps"] = after["cur_steps"] + 1
    limit = params.max_inactivity_steps
    over = limit is not None and after["inactive_steps"] >= limit
    return after, pay, bool(over or after["cur_steps"] >= params.max_cycles)


def places(x: NDArray[np.int16], y: NDArray[np.int16]) -> list[Cell]:
    """Return M cells, given by their columns and rows, ``[M] int16`` each."""
    return list(zip(x.tolist(), y.tolist(), strict=True))


def agent_kinds(params: WarehouseParams) -> list[int]:
    """Return the type of each agent."""
    if not isinstance(params, CRWAREParams):
        return [0] * params.agent_count
    in_order = [kind for kind, spec in enumerate(params.roster or ()) for _ in range(spec.count)]
    return [int(kind) for kind in deal_types(in_order, params.deal_seed)]


def mapped_actions(params: WarehouseParams, actions: list[int]) -> list[int]:
    """Return the moves that the agents' actions stand for."""
    if not isinstance(params, CRWAREParams):
        return [action % 5 for action in actions]
    assert params.roster is not None
    rotations = [params.roster[kind].action_rotation or 0 for kind in agent_kinds(params)]
    return [(action - rotation) % 5 for action, rotation in zip(actions, rotations, strict=True)]


def execute(params: WarehouseParams, state: dict[str, Any], moves: list[int], pick: Pick = min) -> list[float]:
    """Carry out the moves in ``state`` and return what putting shelves down pays.

    ``pick`` settles ties between chains of equal length among their leaders' indices.
    """
    cells = places(state["agent_x"], state["agent_y"])
    shelf_in = {cell: shelf for shelf, cell in enumerate(places(state["shelf_x"], state["shelf_y"]))}
    targets = [wanted_cell(params, state, i, cells, moves, shelf_in) for i in range(len(cells))]
    going = who_moves(cells, targets, pick)
    pay = [0.0] * len(cells)
    for i, move in enumerate(moves):
        if i in going:
            state["agent_x"][i], state["agent_y"][i] = targets[i]
            if state["carrying"][i] >= 0:
                shelf = state["carrying"][i]
                state["shelf_x"][shelf], state["shelf_y"][shelf] = targets[i]
        elif move in (LEFT, RIGHT):
            turn = 1 if move == RIGHT else -1
            state["agent_dir"][i] = CLOCKWISE[(CLOCKWISE.index(state["agent_dir"][i]) + turn) % 4]
        elif move == TOGGLE and state["carrying"][i] < 0:
            state["carrying"][i] = shelf_in.get(cells[i], -1)
        elif move == TOGGLE and params.plan.rows[cells[i][1]][cells[i][0]] == "x":
            state["carrying"][i] = -1
            if state["has_delivered"][i] and params.reward_type == "two_stage":
                pay[i] += 0.5
            state["has_delivered"][i] = False
    return pay


def wanted_cell(
    params: WarehouseParams,
    state: dict[str, Any],
    i: int,
    cells: list[Cell],
    moves: list[int],
    shelf_in: dict[Cell, int],
) -> Cell:
    """Return where agent ``i`` wants to be; its own cell if it cannot go at all."""
    if moves[i] != FORWARD:
        return cells[i]
    dx, dy = AHEAD[state["agent_dir"][i]]
    x = min(max(cells[i][0] + dx, 0), params.plan.width - 1)
    y = min(max(cells[i][1] + dy, 0), params.plan.height - 1)
    if state["carrying"][i] >= 0 and (x, y) != cells[i] and (x, y) in shelf_in:
        carried_away = (x, y) in cells and state["carrying"][cells.index((x, y))] >= 0
        if not carried_away:
            return cells[i]
    return x, y


def who_moves(cells: list[Cell], targets: list[Cell], pick: Pick = min) -> set[int]:
    """Return the agents that move: rings of three or more, and the longest chain into each free cell."""
    wishing = [i for i in range(len(cells)) if targets[i] != cells[i]]
    standing = {cell: i for i, cell in enumerate(cells)}

    def longest(candidates: list[int]) -> list[int]:
        """Return the longest chain that one of ``candidates`` leads, leader first."""
        chains = {i: [i, *longest([j for j in wishing if targets[j] == cells[i]])] for i in candidates}
        if not chains:
            return []
        length = max(map(len, chains.values()))
        return chains[pick([i for i in candidates if len(chains[i]) == length])]

    going: set[int] = set()
    for free in {targets[i] for i in wishing} - set(cells):
        going |= set(longest([i for i in wishing if targets[i] == free]))
    for i in wishing:
        ring, k = [i], standing.get(targets[i])
        while k is not None and k in wishing and k not in ring:
            ring.append(k)
            k = standing.get(targets[k])
        if k == i and len(ring) > 2:
            going |= set(ring)
    return going


def deliver(params: WarehouseParams, state: dict[str, Any], pay: list[float]) -> bool:
    """Take in requested shelves goal by goal, request others, pay; return whether there was any delivery."""
    kinds, delivered = agent_kinds(params), False
    for goal in params.plan.goals:
        agents = [i for i, cell in enumerate(places(state["agent_x"], state["agent_y"])) if cell == goal]
        shelves = [s for s, cell in enumerate(places(state["shelf_x"], state["shelf_y"])) if cell == goal]
        if not agents or not shelves or shelves[0] not in state["request_queue"]:
            continue
        agent, shelf = agents[0], shelves[0]
        if isinstance(params, CRWAREParams):
            assert params.roster is not None
            if state["shelf_color"][shelf] not in (params.roster[kinds[agent]].colours or ()):
                continue
        others = [s for s in range(len(state["shelf_x"])) if s not in state["request_queue"]]
        slot = state["request_queue"].tolist().index(shelf)
        state["request_queue"][slot] = others[below(state["rng"], len(others))]
        delivered = True
        if params.reward_type == "global":
            pay[:] = [amount + 1.0 for amount in pay]
        elif params.reward_type == "individual":
            pay[agent] += 1.0
        else:
            pay[agent] += 0.5
            state["has_delivered"][agent] = True
    return delivered


def observe(params: WarehouseParams, state: dict[str, Any]) -> NDArray[np.float32]:
    """Return the observations ``[N, F] float32`` of one lane's state."""
    rows = []
    for i, kind in enumerate(agent_kinds(params)):
        if isinstance(params, RWAREParams) and params.observation_type.startswith("image"):
            rows.append(image(params, state, i))
            continue
        vector = own_entries(params, state, i)
        sight = params.sensor_range
        if isinstance(params, CRWAREParams):
            assert params.roster is not None
            sight = params.roster[kind].sensor_range or 0
        for dx, dy, x, y in window(params, state, i):
            seen = max(abs(dx), abs(dy)) <= sight
            entries = cell_entries(params, state, x, y)
            vector += entries if seen else [0.0] * len(entries)
        if isinstance(params, CRWAREParams):
            order = (params.roster or ())[kind].obs_permutation or ()
            vector = [vector[entry] for entry in order]
        rows.append(vector)
    return np.array(rows, dtype=np.float32)


def own_entries(params: WarehouseParams, state: dict[str, Any], i: int) -> list[float]:
    """Return what an agent observes of itself."""
    x, y = int(state["agent_x"][i]), int(state["agent_y"][i])
    place: list[float] = [x, y]
    if params.normalised_coordinates:
        place = [x / max(1, params.plan.width - 1), y / max(1, params.plan.height - 1)]
    faces = [float(state["agent_dir"][i] == code) for code in range(4)]
    return [*place, float(state["carrying"][i] >= 0), *faces, float(params.plan.rows[y][x] != "x")]


def window(params: WarehouseParams, state: dict[str, Any], i: int) -> list[tuple[int, int, int, int]]:
    """Return ``(dx, dy, x, y)`` of the cells around an agent, row by row."""
    reach = range(-params.sensor_range, params.sensor_range + 1)
    x, y = int(state["agent_x"][i]), int(state["agent_y"][i])
    return [(dx, dy, x + dx, y + dy) for dy in reach for dx in reach]


def agent_in(state: dict[str, Any], x: int, y: int) -> int | None:
    """Return who stands in a cell."""
    found = np.flatnonzero((state["agent_x"] == x) & (state["agent_y"] == y))
    return int(found[0]) if len(found) else None


def shelf_in_cell(state: dict[str, Any], x: int, y: int) -> int | None:
    """Return the shelf in a cell, carried or not."""
    found = np.flatnonzero((state["shelf_x"] == x) & (state["shelf_y"] == y))
    return int(found[0]) if len(found) else None


def cell_entries(params: WarehouseParams, state: dict[str, Any], x: int, y: int) -> list[float]:
    """Return what is observed of one cell; outside the warehouse there is nobody and nothing."""
    agent, shelf = agent_in(state, x, y), shelf_in_cell(state, x, y)
    requested = float(shelf is not None and shelf in state["request_queue"])
    if isinstance(params, CRWAREParams):
        assert params.num_colours is not None
        colours = [float(shelf is not None and state["shelf_color"][shelf] == c) for c in range(params.num_colours)]
        return [float(agent is not None), *colours, requested]
    assert isinstance(params, RWAREParams)
    faces = 0 if agent is None else state["agent_dir"][agent]
    message = 0 if agent is None or not params.msg_bits else int(state["message"][agent])
    bits = [float(message >> bit & 1) for bit in range(params.msg_bits)]
    return [
        float(agent is not None), *(float(faces == code) for code in range(4)), *bits,
        float(shelf is not None), requested,
    ]  # fmt: skip


def image(params: RWAREParams, state: dict[str, Any], i: int) -> list[float]:
    """Return an agent's image, layer by layer and row by row, and its six features if there are any."""
    side = 2 * params.sensor_range + 1
    layers = []
    for layer in params.image_observation_layers:
        assert layer in IMAGE_LAYERS
        values = [layer_value(params, state, layer, x, y) for _, _, x, y in window(params, state, i)]
        picture = np.array(values, float).reshape(side, side)
        # Up in the picture is where the agent faces: up, down, left, right.
        quarters = (0, 2, 3, 1)[state["agent_dir"][i]] if params.image_observation_directional else 0
        layers += np.rot90(picture, quarters).ravel().tolist()
    if params.observation_type == "image":
        return layers
    own = own_entries(params, state, i)
    return [*layers, *own[3:8], own[2]]


def layer_value(params: RWAREParams, state: dict[str, Any], layer: str, x: int, y: int) -> float:
    """Return one pixel."""
    agent, shelf = agent_in(state, x, y), shelf_in_cell(state, x, y)
    inside = 0 <= x < params.plan.width and 0 <= y < params.plan.height
    values = {
        "shelves": shelf is not None,
        "requests": shelf is not None and shelf in state["request_queue"],
        "agents": agent is not None,
        "agent_direction": 0 if agent is None else state["agent_dir"][agent] + 1,
        "agent_load": agent is not None and state["carrying"][agent] >= 0,
        "goals": (x, y) in params.plan.goals,
        "accessible": inside and agent is None,
    }
    return float(values[layer])
