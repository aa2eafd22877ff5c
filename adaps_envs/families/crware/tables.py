"""What the kernels look up, as records: the floor with a border, actions by agent, and observation entries as bits.

Every observation entry but x and y is 0 or 1. What stands in one cell is one small number, its *code*; a table gives,
for each type, window cell and code, the bits that it sets in the permuted observation. An observation is then the
union of a few words, spread out to floats at the end.

``code = shelf_code * agent_codes + agent_code`` with ``shelf_code`` 0 for none, else ``1 + 2 * colour + requested``,
and ``agent_code`` 0 for none, else 1, or in RWARE ``1 + direction * 2^m + message``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaps_envs.families.crware.layout import Layout
from adaps_envs.families.crware.params import MOVES, CRWAREParams, RWAREParams, WarehouseParams
from adaps_envs.families.crware.roster import OWN_ENTRIES

__all__ = [
    "Codes",
    "Floor",
    "Rules",
    "Words",
    "action_map",
    "has_image",
    "make_codes",
    "make_floor",
    "make_words",
    "seen_entries",
    "type_orders",
]

WORD_BITS = 64
# Beyond this many words an observation is cheaper to write entry by entry.
MAX_WORDS = 2

# Direction codes: 0 up, 1 down, 2 left, 3 right.
STEP_X = (0, 0, -1, 1)
STEP_Y = (-1, 1, 0, 0)
TURN_LEFT = (2, 3, 1, 0)
TURN_RIGHT = (3, 2, 0, 1)


class Floor(NamedTuple):
    """The plan with a border ``pad`` cells wide, so that windows and steps never leave the arrays.

    Attributes:
        pad: width of the border.
        width: W' = W + 2 pad, the row length of flat cell indices ``(y + pad) * W' + x + pad``.
        inside: ``[P] uint8`` over the P cells, border included: 1 inside the warehouse.
        highway: ``[P] uint8``, 1 where no shelf can be put down.
        goals: ``[K] int64`` flat cells of the goals, in order.
        is_goal: ``[P] uint8``, 1 on a goal.
        home_x, home_y: ``[M] int16`` homes of the shelves.
        steps: ``[5, 4] int64`` change of the flat cell by move and direction (not 0 for forward only).
        turned: ``[5, 4] int8`` direction after a move.
    """

    pad: int
    width: int
    inside: NDArray[np.uint8]
    highway: NDArray[np.uint8]
    goals: NDArray[np.int64]
    is_goal: NDArray[np.uint8]
    home_x: NDArray[np.int16]
    home_y: NDArray[np.int16]
    steps: NDArray[np.int64]
    turned: NDArray[np.int8]


class Codes(NamedTuple):
    """How a cell's content is numbered.

    Attributes:
        agents: number of agent codes.
        direction: by how much the agent code grows with the direction code; 0 where directions are not observed.
        entries: number of observation entries of a window cell.
        entry, filled: ``[codes, 16] int16`` and ``[codes] int16``: the entries that a code sets to 1, and how many.
    """

    agents: int
    direction: int
    entries: int
    entry: NDArray[np.int16]
    filled: NDArray[np.int16]


class Words(NamedTuple):
    """Observation entries as bits, by type.

    Attributes:
        place: ``[K, F] int64``, where each entry of the unpermuted vector stands in a type's observation.
        sight: ``[K, cells] uint8``, 1 for the window cells that a type sees.
        own: ``[K, 16, W] uint64``, bits of what an agent observes of itself, by ``direction + 4 * carrying + 8 *
            on_highway``.
        low, high: ``[K * cells * codes] uint64``, bits of a cell's code, the first word and the second. They and
            ``own`` are empty where there is no such word, or W would exceed ``MAX_WORDS``.
        offsets: ``[cells] int64``, flat cell offsets of the window, row by row.
        turned: ``[4, cells] int64``, the same by direction, so that up is where the agent faces.
        coord_x, coord_y: ``[W] float32`` and ``[H] float32``, what is observed of a column and a row.
    """

    place: NDArray[np.int64]
    sight: NDArray[np.uint8]
    own: NDArray[np.uint64]
    low: NDArray[np.uint64]
    high: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    turned: NDArray[np.int64]
    coord_x: NDArray[np.float32]
    coord_y: NDArray[np.float32]


class Rules(NamedTuple):
    """All that is the same in all lanes and episodes.

    Attributes:
        floor, codes, words: see there.
        action_map: ``[N, A] uint8``, the move that each agent's action stands for.
        type_of: ``[N] int64``, the type of each agent.
        delivers: ``[K, C] bool``, which colours a type delivers.
        layers: ``[L] int64``, the layers of an image as indices into ``IMAGE_LAYERS``; empty without images.
        num_colours: C.
        columns, rows: W and H, the size of the plan without its border.
        reward_type: index into ``REWARD_TYPES``.
        max_cycles: time limit.
        max_inactivity: steps without a delivery that end an episode; 0 for no such limit.
    """

    floor: Floor
    codes: Codes
    words: Words
    action_map: NDArray[np.uint8]
    type_of: NDArray[np.int64]
    delivers: NDArray[np.bool_]
    layers: NDArray[np.int64]
    num_colours: int
    columns: int
    rows: int
    reward_type: int
    max_cycles: int
    max_inactivity: int


def make_floor(plan: Layout, pad: int) -> Floor:
    """Return the bordered floor of ``plan``."""
    width, height = plan.width + 2 * pad, plan.height + 2 * pad
    inside = np.zeros((height, width), np.uint8)
    inside[pad:-pad, pad:-pad] = 1
    highway = np.ones((height, width), np.uint8)
    highway[pad:-pad, pad:-pad] = plan.highway
    homes = np.array(plan.shelves, np.int16)
    steps = np.zeros((len(MOVES), 4), np.int64)
    steps[1] = [dy * width + dx for dx, dy in zip(STEP_X, STEP_Y, strict=True)]
    turned = np.tile(np.arange(4, dtype=np.int8), (len(MOVES), 1))
    turned[2], turned[3] = TURN_LEFT, TURN_RIGHT
    goals = np.array([(y + pad) * width + x + pad for x, y in plan.goals], np.int64)
    is_goal = np.zeros(height * width, np.uint8)
    is_goal[goals] = 1
    return Floor(
        pad=pad,
        width=width,
        inside=inside.ravel(),
        highway=highway.ravel(),
        goals=goals,
        is_goal=is_goal,
        home_x=homes[:, 0].copy(),
        home_y=homes[:, 1].copy(),
        steps=steps,
        turned=turned,
    )


def action_map(params: WarehouseParams, types: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return ``[N, 5 * 2^m] uint8``, the move that each agent's action stands for."""
    if isinstance(params, RWAREParams):
        moves = np.arange(len(MOVES) * 2**params.msg_bits) % len(MOVES)
        return np.tile(moves.astype(np.uint8), (len(types), 1))
    assert isinstance(params, CRWAREParams)
    assert params.roster is not None
    rotations = np.array([kind.action_rotation for kind in params.roster])
    return ((np.arange(len(MOVES)) - rotations[types][:, None]) % len(MOVES)).astype(np.uint8)


def type_orders(params: WarehouseParams) -> NDArray[np.int64]:
    """Return ``[K, F] int64``: entry j of type k's observation is entry ``orders[k, j]`` of the plain vector."""
    if isinstance(params, CRWAREParams):
        assert params.roster is not None
        return np.array([kind.obs_permutation for kind in params.roster], np.int64)
    return np.arange(params.vector_size, dtype=np.int64)[None]


def make_codes(params: WarehouseParams) -> Codes:
    """Return the numbering of cell contents and the entries that each one sets."""
    if isinstance(params, CRWAREParams):
        assert params.num_colours is not None
        colours, direction, agents = params.num_colours, 0, 2
        # Agent present, one shelf colour each, requested.
        entries = colours + 2
    else:
        assert isinstance(params, RWAREParams)
        messages = 2**params.msg_bits
        colours, direction, agents = 1, messages, 1 + 4 * messages
        entries = params.cell_entries
    lists = [
        _agent_entries(params, code % agents) + _shelf_entries(params, code // agents, entries)
        for code in range(agents * (1 + 2 * colours))
    ]
    entry = np.zeros((len(lists), max(map(len, lists))), np.int16)
    for code, found in enumerate(lists):
        entry[code, : len(found)] = found
    filled = np.array([len(found) for found in lists], np.int16)
    return Codes(agents=agents, direction=direction, entries=entries, entry=entry, filled=filled)


def _agent_entries(params: WarehouseParams, agent_code: int) -> list[int]:
    if isinstance(params, CRWAREParams):
        return [0] * agent_code
    assert isinstance(params, RWAREParams)
    if agent_code == 0:
        # As the original: a cell without an agent, or outside, has the direction "up".
        return [1]
    direction, message = divmod(agent_code - 1, 2**params.msg_bits)
    return [0, 1 + direction, *(5 + bit for bit in range(params.msg_bits) if message >> bit & 1)]


def _shelf_entries(params: WarehouseParams, shelf_code: int, entries: int) -> list[int]:
    if shelf_code == 0:
        return []
    colour, requested = divmod(shelf_code - 1, 2)
    shelf = 1 + colour if isinstance(params, CRWAREParams) else entries - 2
    return [shelf, *[entries - 1] * requested]


def make_words(params: WarehouseParams, codes: Codes, floor: Floor) -> Words:
    """Return the observation's lookup tables."""
    orders = type_orders(params)
    place = np.argsort(orders, axis=1)
    sight = _sight(params, len(orders))
    reach = np.arange(-params.sensor_range, params.sensor_range + 1)
    window = (reach[:, None] * floor.width + reach[None]).astype(np.int64)
    quarters = (0, 2, 3, 1) if _directional(params) else (0, 0, 0, 0)
    turned = np.stack([np.rot90(window, count).ravel() for count in quarters])
    offsets = window.ravel()
    plan = params.plan
    columns, rows = np.arange(plan.width, dtype=float), np.arange(plan.height, dtype=float)
    if params.normalised_coordinates:
        columns, rows = columns / max(1, plan.width - 1), rows / max(1, plan.height - 1)
    num_words = -(-orders.shape[1] // WORD_BITS)
    if num_words > MAX_WORDS or has_image(params):
        num_words = 0
    own = np.zeros((len(orders), 16, num_words), np.uint64)
    cell = np.zeros((len(orders), len(offsets), len(codes.filled), num_words), np.uint64)
    if num_words:
        for kind in range(len(orders)):
            _fill_words(own[kind], cell[kind], place[kind], sight[kind], codes)
    low, high = (cell[..., word].ravel() if word < num_words else cell[:0].ravel() for word in range(MAX_WORDS))
    return Words(
        place=place,
        sight=sight,
        own=own,
        low=low,
        high=high,
        offsets=offsets,
        turned=turned,
        coord_x=columns.astype(np.float32),
        coord_y=rows.astype(np.float32),
    )


def has_image(params: WarehouseParams) -> bool:
    """Return whether observations are images."""
    return isinstance(params, RWAREParams) and params.observation_type.startswith("image")


def _directional(params: WarehouseParams) -> bool:
    return isinstance(params, RWAREParams) and params.image_observation_directional


def seen_entries(params: WarehouseParams, words: Words) -> NDArray[np.bool_]:
    """Return ``[K, F] bool``, the entries of the plain vector that each type has within its sensor range."""
    entries = (params.vector_size - OWN_ENTRIES) // len(words.offsets)
    own = np.ones((len(words.sight), OWN_ENTRIES), bool)
    return np.concatenate([own, np.repeat(words.sight.astype(bool), entries, axis=1)], axis=1)


def _sight(params: WarehouseParams, num_types: int) -> NDArray[np.uint8]:
    side = 2 * params.sensor_range + 1
    sight = np.ones((num_types, side, side), np.uint8)
    if isinstance(params, CRWAREParams):
        for index, kind in enumerate(params.roster or ()):
            assert kind.sensor_range is not None
            hidden = params.sensor_range - kind.sensor_range
            if hidden:
                sight[index] = 0
                sight[index, hidden:-hidden, hidden:-hidden] = 1
    return sight.reshape(num_types, side * side)


def _fill_words(
    own: NDArray[np.uint64],
    cell: NDArray[np.uint64],
    place: NDArray[np.int64],
    sight: NDArray[np.uint8],
    codes: Codes,
) -> None:
    """Set one type's bits."""

    def set_bit(words: NDArray[np.uint64], entry: int) -> None:
        """Set the bit of an entry in ``words [W] uint64``."""
        words[place[entry] // WORD_BITS] |= np.uint64(1 << int(place[entry] % WORD_BITS))

    for code in range(16):
        set_bit(own[code], 3 + code % 4)
        if code & 4:
            set_bit(own[code], 2)
        if code & 8:
            set_bit(own[code], 7)
    for window in np.flatnonzero(sight):
        for code, filled in enumerate(codes.filled):
            for entry in codes.entry[code, :filled]:
                set_bit(cell[window, code], OWN_ENTRIES + int(window) * codes.entries + int(entry))
