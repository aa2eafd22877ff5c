"""The state table and the observation entries of the warehouses: the single source of allocation, checks and docs; and
the record of state arrays that the kernels take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaps_envs.crware.layout import Layout
from adaps_envs.crware.params import IMAGE_LAYERS, CRWAREParams, RWAREParams, WarehouseParams
from adaps_envs.crware.tables import has_image
from adaps_envs.errors import InvalidStateError
from adaps_envs.types import ArraySpec, ObsField

__all__ = ["DIRECTIONS", "State", "check_consistency", "obs_fields", "state_table"]

DIRECTIONS = ("up", "down", "left", "right")


class State(NamedTuple):
    """The arrays of all lanes that the kernels keep: those of :func:`state_table` and three more.

    ``shelf_color`` and ``message`` are zeros where the warehouse has none.

    Attributes:
        shelf_at, agent_at: ``[B, P] int16`` over the cells of the bordered floor (``tables.Floor``): who is there,
            as an index + 1, 0 for nobody. A carried shelf counts.
        code: ``[B, P] uint16``, the number from which observations are looked up, see :mod:`.tables`.
        rng: the random streams.
    """

    agent_x: NDArray[np.int16]
    agent_y: NDArray[np.int16]
    agent_dir: NDArray[np.int8]
    carrying: NDArray[np.int16]
    has_delivered: NDArray[np.bool_]
    shelf_x: NDArray[np.int16]
    shelf_y: NDArray[np.int16]
    shelf_color: NDArray[np.int8]
    request_queue: NDArray[np.int16]
    cur_steps: NDArray[np.int32]
    inactive_steps: NDArray[np.int32]
    message: NDArray[np.int16]
    rng: NDArray[np.uint64]
    shelf_at: NDArray[np.int16]
    agent_at: NDArray[np.int16]
    code: NDArray[np.uint16]


def state_table(params: WarehouseParams) -> tuple[ArraySpec, ...]:
    """Return the state arrays; axis sizes are N agents, M shelves and Q requests. Indices start at 0."""
    right, bottom = params.plan.width - 1, params.plan.height - 1
    last = len(params.plan.shelves) - 1
    steps = 2**31 - 1
    table = [
        ArraySpec("agent_x", ("N",), "int16", 0, right, "column", "agents' columns, 0 at the left"),
        ArraySpec("agent_y", ("N",), "int16", 0, bottom, "row", "agents' rows, 0 at the top"),
        ArraySpec("agent_dir", ("N",), "int8", 0, 3, "direction", "where agents face: 0 up, 1 down, 2 left, 3 right"),
        ArraySpec("carrying", ("N",), "int16", -1, last, "shelf", "shelf that an agent carries, -1 for none"),
        ArraySpec("has_delivered", ("N",), "bool", 0, 1, "flag", "delivered since the last drop (two_stage only)"),
        ArraySpec("shelf_x", ("M",), "int16", 0, right, "column", "shelves' columns; a carried one has its carrier's"),
        ArraySpec("shelf_y", ("M",), "int16", 0, bottom, "row", "shelves' rows"),
        ArraySpec("request_queue", ("Q",), "int16", 0, last, "shelf", "requested shelves in slot order"),
        ArraySpec("cur_steps", (), "int32", 0, steps, "steps", "steps since the reset"),
        ArraySpec("inactive_steps", (), "int32", 0, steps, "steps", "steps since the last delivery"),
    ]
    if isinstance(params, CRWAREParams):
        assert params.num_colours is not None
        most = params.num_colours - 1
        table.append(ArraySpec("shelf_color", ("M",), "int8", 0, most, "colour", "shelves' colours in this episode"))
    if isinstance(params, RWAREParams) and params.msg_bits:
        most = 2**params.msg_bits - 1
        table.append(ArraySpec("message", ("N",), "int16", 0, most, "bits", "message that an agent sends"))
    return tuple(table)


def obs_fields(params: WarehouseParams) -> tuple[ObsField, ...]:
    """Return the observation entries in their unpermuted order.

    Where a type permutes its entries, every entry gets the widest bounds: tighter ones would tell the type.
    """
    entries = _image_entries(params) if has_image(params) else _own_entries(params) + _cell_entries(params)
    widest = max(high for _, high, _ in entries)
    permuted = isinstance(params, CRWAREParams) and any(
        kind.obs_permutation != tuple(range(len(entries))) for kind in params.roster or ()
    )
    return tuple(
        ObsField(index, name, 0.0, widest if permuted else high, unit)
        for index, (name, high, unit) in enumerate(entries)
    )


Entry = tuple[str, float, str]


def _own_entries(params: WarehouseParams) -> list[Entry]:
    flat = params.normalised_coordinates
    unit = "share" if flat else "cells"
    right, bottom = (1.0, 1.0) if flat else (params.plan.width - 1.0, params.plan.height - 1.0)
    return [
        ("x", right, unit),
        ("y", bottom, unit),
        ("carrying", 1.0, "flag"),
        *((f"faces_{name}", 1.0, "flag") for name in DIRECTIONS),
        ("on_highway", 1.0, "flag"),
    ]


def _window(params: WarehouseParams) -> list[str]:
    sight = range(-params.sensor_range, params.sensor_range + 1)
    return [f"cell_{dx:+d}_{dy:+d}" for dy in sight for dx in sight]


def _cell_entries(params: WarehouseParams) -> list[Entry]:
    if isinstance(params, CRWAREParams):
        assert params.num_colours is not None
        parts = ["agent", *(f"shelf_of_colour_{colour}" for colour in range(params.num_colours)), "requested"]
    else:
        assert isinstance(params, RWAREParams)
        bits = [f"message_bit_{bit}" for bit in range(params.msg_bits)]
        parts = ["agent", *(f"agent_faces_{name}" for name in DIRECTIONS), *bits, "shelf", "requested"]
    return [(f"{cell}_{part}", 1.0, "flag") for cell in _window(params) for part in parts]


def _image_entries(params: WarehouseParams) -> list[Entry]:
    assert isinstance(params, RWAREParams)
    kinds = {
        layer: (4.0, "direction code + 1") if layer == "agent_direction" else (1.0, "flag") for layer in IMAGE_LAYERS
    }
    entries = [
        (f"{layer}_{cell}", *kinds[layer]) for layer in params.image_observation_layers for cell in _window(params)
    ]
    if params.observation_type == "image_dict":
        entries += [(f"faces_{name}", 1.0, "flag") for name in DIRECTIONS]
        entries += [("on_highway", 1.0, "flag"), ("carrying", 1.0, "flag")]
    return entries


def check_consistency(plan: Layout, arrays: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_]) -> None:
    """Check the rules between state arrays ``[B, ...]`` in the lanes of ``mask``.

    Raises:
        InvalidStateError: two agents or two shelves share a cell, a shelf is requested or carried twice, a carried
            shelf is not where its carrier is, or a shelf stands on a highway without a carrier.
    """
    state = {name: arrays[name][mask].astype(np.int64) for name in _CHECKED}
    agents = state["agent_y"] * plan.width + state["agent_x"]
    shelves = state["shelf_y"] * plan.width + state["shelf_x"]
    _refuse(mask, _repeats(agents), "two agents stand in one cell")
    _refuse(mask, _repeats(shelves), "two shelves stand in one cell")
    _refuse(mask, _repeats(state["request_queue"]), "request_queue holds a shelf twice")
    carrying = state["carrying"]
    loaded = carrying >= 0
    free = np.where(loaded, carrying, -1 - np.arange(carrying.shape[1]))
    _refuse(mask, _repeats(free), "two agents carry one shelf")
    load_cell = np.take_along_axis(shelves, np.maximum(carrying, 0), axis=1)
    _refuse(mask, (loaded & (load_cell != agents)).any(axis=1), "a carried shelf is not in its carrier's cell")
    carried = np.zeros(shelves.shape, bool)
    lanes, who = np.nonzero(loaded)
    carried[lanes, carrying[lanes, who]] = True
    parked = plan.highway.ravel()[shelves] & ~carried
    _refuse(mask, parked.any(axis=1), "a shelf that nobody carries stands on a highway cell")


_CHECKED = ("agent_x", "agent_y", "carrying", "shelf_x", "shelf_y", "request_queue")


def _repeats(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    ordered = np.sort(values, axis=1)
    found: NDArray[np.bool_] = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return found


def _refuse(mask: NDArray[np.bool_], bad: NDArray[np.bool_], what: str) -> None:
    if bad.any():
        lane = int(np.flatnonzero(mask)[np.flatnonzero(bad)[0]])
        raise InvalidStateError(
            f"lane {lane}: {what}. Give arrays that fit together, for example a whole get_state(); arrays that are "
            f"not given keep their values."
        )
