"""The warehouses: C-RWARE and RWARE."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.core.observation_form import Form, Part
from adaps_envs.core.roster import action_mask, deal_types
from adaps_envs.families.crware import kernel, tables
from adaps_envs.families.crware.params import (
    IMAGE_FEATURES,
    IMAGE_LAYERS,
    MOVES,
    REWARD_TYPES,
    CRWAREParams,
    RWAREParams,
    WarehouseParams,
)
from adaps_envs.families.crware.replay import streams_for
from adaps_envs.families.crware.roster import OWN_ENTRIES
from adaps_envs.families.crware.state import State as KernelState
from adaps_envs.families.crware.state import check_consistency, obs_fields, state_table
from adaps_envs.types import State

if TYPE_CHECKING:
    from adaps_envs.core.drawing import Scene

__all__ = ["CRWARE", "RWARE", "Warehouse"]


class Warehouse(BatchedEnv):
    """What both warehouses share: the floor, the rules, deliveries and pay."""

    action_names: tuple[str, ...] = MOVES

    params: WarehouseParams

    def _declare(self) -> None:
        params = self.params
        self._declare_agents()
        self.max_cycles = params.max_cycles
        self.plan = params.plan
        self.sizes = {"N": self.num_agents, "M": len(self.plan.shelves), "Q": params.queue_size}
        self.state_table = state_table(params)
        self.obs_fields = obs_fields(params)
        self.obs_space_low = np.array([item.low for item in self.obs_fields], np.float32)
        self.obs_space_high = np.array([item.high for item in self.obs_fields], np.float32)
        self._codes = tables.make_codes(params)
        # Steps look one cell ahead, even where nothing is seen.
        self.floor = tables.make_floor(self.plan, max(1, params.sensor_range))
        self._words = tables.make_words(params, self._codes, self.floor)
        self.action_map = tables.action_map(params, self.agent_types)
        self._declare_global_state()

    def _declare_agents(self) -> None:
        """Set ``num_agents``, ``agent_types``, ``_num_colours`` and ``delivers`` [types, colours]."""
        self.num_agents = self.params.agent_count
        self.agent_types = np.zeros(self.num_agents, np.int64)
        self._num_colours = 1
        self.delivers = np.ones((1, 1), bool)

    def _declare_global_state(self) -> None:
        """Bound the global state: 8 entries an agent, then a plane for each shelf colour and one of requests."""
        words, planes = self._words, (self._num_colours + 1) * self.plan.width * self.plan.height
        # x, y, carrying, direction (one-hot), on a highway: as an agent observes itself, unpermuted.
        own = [words.coord_x[-1], words.coord_y[-1], *[1.0] * 6]
        self.state_low = np.zeros(len(own) * self.num_agents + planes, np.float32)
        self.state_high = np.concatenate([np.tile(own, self.num_agents), np.ones(planes)]).astype(np.float32)

    def shelf_colours(self) -> NDArray[np.int8]:
        """Return the shelves' colours ``[B, M] int8``, a view; all 0 where there are none."""
        return self._state.shelf_color

    @cached_property
    def _state(self) -> KernelState:
        shelves = (self.num_envs, len(self.plan.shelves))
        cells = (self.num_envs, len(self.floor.inside))
        stand_ins: State = {
            "shelf_color": np.zeros(shelves, np.int8),
            "message": np.zeros((self.num_envs, self.num_agents), np.int16),
        }
        return KernelState(
            **{**stand_ins, **self._arrays},
            shelf_at=np.zeros(cells, np.int16),
            agent_at=np.zeros(cells, np.int16),
            code=np.zeros(cells, np.uint16),
        )

    @cached_property
    def _rules(self) -> tables.Rules:
        params = self.params
        return tables.Rules(
            floor=self.floor,
            codes=self._codes,
            words=self._words,
            action_map=self.action_map,
            type_of=self.agent_types,
            delivers=self.delivers,
            layers=np.array([IMAGE_LAYERS.index(layer) for layer in self._image_layers()], np.int64),
            num_colours=self._num_colours,
            columns=self.plan.width,
            rows=self.plan.height,
            reward_type=REWARD_TYPES.index(params.reward_type),
            max_cycles=params.max_cycles,
            max_inactivity=params.max_inactivity_steps or 0,
        )

    def _image_layers(self) -> tuple[str, ...]:
        """Return the layers of an image, if observations are images."""
        return ()

    def _reset_lanes(self, start: int, stop: int, mask: NDArray[np.bool_]) -> None:
        self._threads.run(kernel.reset_lanes, start, stop, self._state, self._rules, mask)

    def _adopt_state(self, mask: NDArray[np.bool_]) -> None:
        self._threads.run(kernel.rebuild_lanes, 0, self.num_envs, self._state, self._rules, mask)

    def _check_state(self, state: State, mask: NDArray[np.bool_]) -> None:
        check_consistency(self.plan, {**self._arrays, **state}, mask)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        self._threads.run(kernel.observe_lanes, start, stop, self._state, self._rules, obs)

    def _step_lanes(self, start: int, stop: int, *call: Any) -> None:
        self._threads.run(kernel.step_lanes, start, stop, self._state, self._rules, *call)

    def _write_global_state(self, out: NDArray[np.float32]) -> None:
        a, floor = self._arrays, self.floor
        lanes = np.arange(self.num_envs)[:, None]
        own = out[:, : 8 * self.num_agents].reshape(self.num_envs, self.num_agents, 8)
        own[:] = 0.0
        own[..., 0], own[..., 1] = self._words.coord_x[a["agent_x"]], self._words.coord_y[a["agent_y"]]
        own[..., 2] = a["carrying"] >= 0
        own[lanes, np.arange(self.num_agents), 3 + a["agent_dir"]] = 1.0
        own[..., 7] = floor.highway[(a["agent_y"] + floor.pad) * floor.width + a["agent_x"] + floor.pad]
        shape = (self.num_envs, self._num_colours + 1, self.plan.height, self.plan.width)
        planes = out[:, 8 * self.num_agents :].reshape(shape)
        planes[:] = 0.0
        planes[lanes, self.shelf_colours(), a["shelf_y"], a["shelf_x"]] = 1.0
        queue = a["request_queue"]
        planes[lanes, self._num_colours, a["shelf_y"][lanes, queue], a["shelf_x"][lanes, queue]] = 1.0

    def recorded_streams(
        self, state: Mapping[str, NDArray[Any]], recorded: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.uint64]:
        """Return random streams ``[B, 4]`` under which the next step requests the recorded new shelves."""
        return streams_for(state["request_queue"], len(self.plan.shelves), recorded)

    def _draw_lane(self, lane: int) -> NDArray[np.uint8]:
        """Return a picture of one lane, ``[height, width, 3] uint8``: the floor, shelves, requests, robots, loads."""
        from adaps_envs.core.drawing import raster

        return raster(self._scene(lane))

    def _scene(self, lane: int) -> Scene:
        from adaps_envs.families.crware.render import scene

        state = {name: array[lane] for name, array in self._arrays.items()}
        return scene(self.plan, state, self.agent_types, state.get("shelf_color"))

    def agent_pixels(self, lane: int = 0) -> NDArray[np.float64]:
        """Return where the robots are in the picture, ``[N, 2]`` pixels."""
        from adaps_envs.families.crware.render import cell_size

        cells = np.stack([self._arrays["agent_x"][lane], self._arrays["agent_y"][lane]], axis=1)
        return (cells + 0.5) * cell_size(self.plan)


class CRWARE(Warehouse):
    """Robots carry coloured shelves to the goals; only a robot of the right hidden type is paid for a shelf.

    N robots of K types drive on a grid of H x W cells, where Q of the shelves are requested at any time. Types differ
    in the colours that they deliver, and also in the order of their observation entries and of their actions. A robot
    sees the cells around it, and no entry names its own type or that of others; but the order of the entries betrays
    it, so that one policy for all can learn to tell types apart.

    Rules: a delivered shelf's request goes to another shelf, drawn uniformly; the robot then has to put the shelf
    down, on any free cell that is not a highway, before it can take another. Loaded robots cannot pass under standing
    shelves. Of robots that compete, the longest chain into a free cell moves (ties: lowest agent index); rings of four
    or more turn; robots face to face both stay, and so does everybody behind them.

    Actions: shifted by type: type k executes ``(action - k) mod 5``.

    Observations: the robot itself, then for each cell of the window, row by row from the top left, whether a robot is
    there, the shelf's colour and whether it is requested. ``cell_dx_dy`` is dx columns to the right and dy rows down.

    Rewards: 1 to the robot that brings a requested shelf of a colour of its type to a goal; ``reward_type`` pays
    everybody, or in two stages.

    Start: robots on cells drawn uniformly without replacement, facing anywhere; shelves at home, in uniform colours;
    requests drawn uniformly without replacement.

    End: the time limit truncates; ``max_inactivity_steps``, if set, terminates.

    Versions: v0, the first.

    Source: the colour variant of the multi-robot warehouse used by Christianos et al., "Scaling multi-agent
    reinforcement learning with selective parameter sharing", ICML 2021 (arXiv 2102.07475).
    """

    family: ClassVar[str] = "crware"
    default_id: ClassVar[str] = "CRWARE-tiny-4a-2c-v0"

    params: CRWAREParams

    def _declare_agents(self) -> None:
        roster, colours = self.params.roster, self.params.num_colours
        assert roster is not None
        assert colours is not None
        counts = [kind.count for kind in roster]
        self.num_agents = sum(counts)
        self.agent_types = deal_types(np.repeat(np.arange(len(counts)), counts), self.params.deal_seed)
        self._num_colours = colours
        self.delivers = np.zeros((len(counts), colours), bool)
        for index, kind in enumerate(roster):
            self.delivers[index, list(kind.colours or ())] = True

    def _declare(self) -> None:
        super()._declare()
        roster = self.params.roster or ()
        moves = [
            [MOVES[(action - (kind.action_rotation or 0)) % len(MOVES)] for action in range(len(MOVES))]
            for kind in roster
        ]
        allowed = action_mask(roster, self.agent_types, moves)
        if allowed is not None:
            self.action_mask = allowed
        if self.params.unequal_spaces:
            orders = tables.type_orders(self.params)
            seen = tables.seen_entries(self.params, self._words)
            self.obs_mask = np.take_along_axis(seen, orders, axis=1)[self.agent_types]


class RWARE(Warehouse):
    """The homogeneous control: robots are alike, every robot delivers every shelf, and sees where others face.

    The rules are those of :class:`CRWARE` without colours and types; observations are those of the rware package, 2.0.
    Robots may send messages of ``msg_bits`` bits to those who see them.

    Observations: the robot itself, then for each cell of the window whether a robot is there, where it faces (up, where
    there is none), its message, whether a shelf is there and whether it is requested.

    Rewards: 1 to the robot that brings a requested shelf to a goal; ``reward_type`` pays everybody, or in two stages.

    Start: robots on cells drawn uniformly without replacement, facing anywhere; shelves at home; requests drawn
    uniformly without replacement.

    End: the time limit truncates; ``max_inactivity_steps``, if set, terminates.

    Versions: v0, the first.

    Source: Papoudakis et al., "Benchmarking multi-agent deep reinforcement learning algorithms in cooperative tasks",
    NeurIPS datasets and benchmarks 2021 (arXiv 2006.07869).
    """

    family: ClassVar[str] = "rware"
    default_id: ClassVar[str] = "RWARE-tiny-4a-v0"

    params: RWAREParams

    def _declare(self) -> None:
        super()._declare()
        params = self.params
        self.action_names = _names_with_messages(params.msg_bits)
        self._image = tables.has_image(params)

    def _image_layers(self) -> tuple[str, ...]:
        return self.params.image_observation_layers

    @property
    def obs_shape(self) -> tuple[int, ...]:
        """``[layers, rows, columns]`` of an image, else ``(F,)``."""
        return self._image_shape if self.params.observation_type == "image" else (self.obs_dim,)

    @property
    def _image_shape(self) -> tuple[int, int, int]:
        side = 2 * self.params.sensor_range + 1
        return (len(self._image_layers()), side, side)

    def _observe_lanes(self, start: int, stop: int, obs: NDArray[np.float32]) -> None:
        if not self._image:
            super()._observe_lanes(start, stop, obs)
            return
        features = self.params.observation_type == "image_dict"
        self._threads.run(kernel.observe_image_lanes, start, stop, self._state, self._rules, obs, features)

    def _step_lanes(self, start: int, stop: int, *call: Any) -> None:
        if not self._image:
            super()._step_lanes(start, stop, *call)
            return
        actions, obs, *pay_and_ends = call
        self._threads.run(kernel.act_lanes, start, stop, self._state, self._rules, actions, *pay_and_ends)
        self._observe_lanes(start, stop, obs)

    @property
    def obs_form(self) -> Form:
        """The form that ``observation_type`` names; parts are called as in the rware package."""
        kind, image = self.params.observation_type, Part(0, self._image_shape)
        if kind == "image_dict":
            return {"features": Part(int(np.prod(image.shape)), (IMAGE_FEATURES,)), "image": image}
        if kind == "dict":
            return _named_parts(self.params)
        return super().obs_form


def _named_parts(params: RWAREParams) -> Form:
    """Return RWARE's vector as nested dictionaries: the robot itself, and one for each window cell."""
    size = params.cell_entries
    window = range(OWN_ENTRIES, params.vector_size, size)
    return {
        "self": {
            "location": Part(0, (2,), dtype="float32" if params.normalised_coordinates else "int32"),
            "carrying_shelf": Part(2, (1,), "flags"),
            "direction": Part(3, (4,), "choice"),
            "on_highway": Part(7, (1,), "flags"),
        },
        "sensors": tuple(_named_cell(first, params.msg_bits, size) for first in window),
    }


def _named_cell(first: int, msg_bits: int, size: int) -> Form:
    message = {"local_message": Part(first + 5, (msg_bits,), "flags")} if msg_bits else {}
    return {
        "has_agent": Part(first, (1,), "flags"),
        "direction": Part(first + 1, (4,), "choice"),
        **message,
        "has_shelf": Part(first + size - 2, (1,), "flags"),
        "shelf_requested": Part(first + size - 1, (1,), "flags"),
    }


def _names_with_messages(msg_bits: int) -> tuple[str, ...]:
    if not msg_bits:
        return MOVES
    return tuple(f"{move}, message {message:0{msg_bits}b}" for message in range(2**msg_bits) for move in MOVES)
