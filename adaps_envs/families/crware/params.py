"""Parameters of the warehouses: the floor, the rules of pay, and who the robots are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaps_envs.core.batched import REWARD_MODES
from adaps_envs.core.roster import check_deal_seed, is_int, is_list
from adaps_envs.core.validation import MAX_STEPS, check_observation_size, refuses_oddities
from adaps_envs.errors import InvalidParameterError
from adaps_envs.families.crware.layout import Layout, grid_layout, text_layout
from adaps_envs.families.crware.roster import MOVES, OWN_ENTRIES, CRWAREType, build_roster, split_evenly
from adaps_envs.families.crware.roster import vector_size as colour_vector_size

__all__ = [
    "DIFFICULTIES",
    "IMAGE_LAYERS",
    "MOVES",
    "OBSERVATION_TYPES",
    "REWARD_TYPES",
    "CRWAREParams",
    "CRWAREType",
    "RWAREParams",
    "WarehouseParams",
    "params_from_golden",
]

REWARD_TYPES = ("individual", "global", "two_stage")
OBSERVATION_TYPES = ("flattened", "dict", "image", "image_dict")
IMAGE_LAYERS = ("shelves", "requests", "agents", "agent_direction", "agent_load", "goals", "accessible")
# Requested shelves per robot.
DIFFICULTIES: Mapping[str, float] = {"easy": 2.0, "normal": 1.0, "hard": 0.5}
MAX_AGENTS = 32_000
MAX_SENSOR_RANGE = 64
MAX_MESSAGE_BITS = 8
# Beside an image: direction (one-hot, 4), on a highway, carrying.
IMAGE_FEATURES = 6


@dataclass(frozen=True, kw_only=True)
class WarehouseParams:
    """What both warehouses share.

    Attributes:
        shelf_rows, shelf_columns, column_height: the regular plan; ``shelf_columns`` must be odd. Tiny is (1, 3, 8),
            small (2, 3, 8), medium (2, 5, 8), large (3, 5, 8).
        layout: a plan as text instead (``x`` shelf, ``.`` corridor, ``g`` goal); it overrides the three sizes.
        num_agents: N; None takes 4, or in C-RWARE what ``groups`` or ``roster`` says.
        sensor_range: s; a robot sees the ``2 s + 1`` by ``2 s + 1`` cells around it; with 0 its own cell only.
        difficulty: ``easy``, ``normal`` or ``hard``: 2, 1 or 0.5 requested shelves per robot.
        request_queue_size: Q, the number of requested shelves; None takes it from ``difficulty``.
        reward_type: ``individual`` (1 for the deliverer), ``global`` (1 for everybody) or ``two_stage`` (0.5 at the
            goal, 0.5 when the shelf is put back).
        normalised_coordinates: observe x and y divided by the last column's and row's index.
        max_cycles: episode length in steps; reaching it truncates.
        max_inactivity_steps: steps without any delivery after which the episode terminates; None for no such limit.
        reward: ``individual``, ``team_sum`` or ``team_mean`` of what ``reward_type`` pays.
    """

    shelf_rows: int = 1
    shelf_columns: int = 3
    column_height: int = 8
    layout: str | None = None
    num_agents: int | None = None
    sensor_range: int = 1
    difficulty: str = "normal"
    request_queue_size: int | None = None
    reward_type: str = "individual"
    normalised_coordinates: bool = False
    max_cycles: int = 500
    max_inactivity_steps: int | None = None
    reward: str = "individual"

    @refuses_oddities
    def __post_init__(self) -> None:
        self._set("reward_type", _choice("reward_type", self.reward_type, REWARD_TYPES))
        self._set("difficulty", _choice("difficulty", self.difficulty, DIFFICULTIES))
        _choice("reward", self.reward, REWARD_MODES)
        self._check_scalars()
        self._build()
        self._check_fit()
        self._set_queue()

    @cached_property
    def plan(self) -> Layout:
        """The floor plan."""
        if self.layout is not None:
            return text_layout(self.layout)
        return grid_layout(self.shelf_rows, self.shelf_columns, self.column_height)

    @property
    def vector_size(self) -> int:
        """F, the length of an observation."""
        raise NotImplementedError

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _build(self) -> None:
        """Fill in what a family adds; after the plan is known, before the robots are counted."""

    def _check_scalars(self) -> None:
        limits = {"max_cycles": (1, MAX_STEPS), "sensor_range": (0, MAX_SENSOR_RANGE), "num_agents": (1, MAX_AGENTS)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if name == "num_agents" and value is None:
                continue
            if not is_int(value) or not least <= value <= most:
                raise InvalidParameterError(f"{name} is {value!r}; it must be an integer from {least} to {most}.")
        limit_steps = self.max_inactivity_steps
        if limit_steps is not None and (not is_int(limit_steps) or not 1 <= limit_steps <= MAX_STEPS):
            raise InvalidParameterError(
                f"max_inactivity_steps is {limit_steps!r}; it must be an integer from 1 to {MAX_STEPS}, or None."
            )
        _check_bool("normalised_coordinates", self.normalised_coordinates)

    def _check_fit(self) -> None:
        cells = self.plan.width * self.plan.height
        limit = min(cells, MAX_AGENTS)
        if self.agent_count > limit:
            raise InvalidParameterError(
                f"{self.agent_count} agents on {cells} cells; at most {limit} fit: give a larger warehouse or fewer."
            )

    def _set_queue(self) -> None:
        shelves = len(self.plan.shelves)
        size = self.request_queue_size
        if size is None:
            size = int(self.agent_count * DIFFICULTIES[self.difficulty])
            origin = f"difficulty {self.difficulty!r} asks for {size} shelves for {self.agent_count} agents"
        else:
            origin = "request_queue_size"
        if not is_int(size) or not 1 <= size < shelves:
            raise InvalidParameterError(
                f"the request queue holds {size!r} shelves ({origin}); it must hold 1 to {shelves - 1}, "
                f"fewer than there are shelves: set request_queue_size."
            )
        self._set("request_queue_size", size)

    @property
    def agent_count(self) -> int:
        """N as an integer."""
        assert self.num_agents is not None
        return self.num_agents

    @property
    def queue_size(self) -> int:
        """Q as an integer."""
        assert self.request_queue_size is not None
        return self.request_queue_size


@dataclass(frozen=True, kw_only=True)
class CRWAREParams(WarehouseParams):
    """Everything that can be set in C-RWARE, see also :class:`WarehouseParams`.

    Attributes:
        num_colours: C, the number of shelf colours; None takes the smallest number that serves the roster (2 without).
        num_types: number of types K among which colours and agents are dealt, 1 to C; None takes C. A dial at fixed
            spaces: with 1 every robot delivers every colour, the homogeneous control.
        groups: number of agents of each type, types in order.
        roster: the types with their capabilities; give ``num_agents``, ``groups`` or ``roster``.
        type_seed: seed of the types' observation permutations; copies with the same seed have the same types.
        shuffle_obs: give each type its own fixed order of observation entries.
        rotate_actions: shift the actions of type k by k: it executes ``(action - k) mod 5``.
        unequal_spaces: cut the entries beyond a type's own ``sensor_range`` out of its observations in PettingZoo's
            adapters, so that spaces tell types apart; otherwise they are 0 and all spaces are equal.
        deal_seed: deal the types to the agents in an order drawn from this seed, so that an agent's index does not tell
            its type; None leaves them in the roster's order, as the original has them.
    """

    num_colours: int | None = None
    num_types: int | None = None
    groups: tuple[int, ...] | None = None
    roster: tuple[CRWAREType, ...] | None = None
    type_seed: int = 0
    shuffle_obs: bool = True
    rotate_actions: bool = True
    unequal_spaces: bool = False
    deal_seed: int | None = None

    def _build(self) -> None:
        for name in ("shuffle_obs", "rotate_actions", "unequal_spaces"):
            _check_bool(name, getattr(self, name))
        if not is_int(self.type_seed) or self.type_seed < 0:
            raise InvalidParameterError(f"type_seed is {self.type_seed!r}; it must be an integer >= 0.")
        check_deal_seed(self.deal_seed)
        num_colours, roster = build_roster(self)
        self._set("num_colours", num_colours)
        self._set("num_types", len(roster))
        self._set("roster", roster)
        self._set("groups", tuple(kind.count for kind in roster))
        self._set("num_agents", sum(kind.count for kind in roster))

    @property
    def vector_size(self) -> int:
        """F, the length of an observation."""
        assert self.num_colours is not None
        return colour_vector_size(self.num_colours, self.sensor_range)


@dataclass(frozen=True, kw_only=True)
class RWAREParams(WarehouseParams):
    """Everything that can be set in RWARE, see also :class:`WarehouseParams`.

    Attributes:
        msg_bits: m message bits per robot; with messages an action is ``move + 5 * message`` with a message below 2^m.
        observation_type: ``flattened``, ``dict`` (the same numbers as named parts), ``image`` (layers of the window) or
            ``image_dict`` (the image and six numbers). PettingZoo's and Gymnasium's adapters show them in that form;
            the batched and stable-baselines3 adapters carry them flat, and ``structure`` shapes them.
        image_observation_layers: layers of an image, a selection of ``IMAGE_LAYERS`` in any order.
        image_observation_directional: turn images so that up is where the robot faces.
    """

    msg_bits: int = 0
    observation_type: str = "flattened"
    image_observation_layers: tuple[str, ...] = ("shelves", "requests", "agents", "goals", "accessible")
    image_observation_directional: bool = True

    def _build(self) -> None:
        self._set("num_agents", 4 if self.num_agents is None else self.num_agents)
        if not is_int(self.msg_bits) or not 0 <= self.msg_bits <= MAX_MESSAGE_BITS:
            raise InvalidParameterError(f"msg_bits is {self.msg_bits!r}; it must be 0 to {MAX_MESSAGE_BITS}.")
        _check_bool("image_observation_directional", self.image_observation_directional)
        self._set("observation_type", _choice("observation_type", self.observation_type, OBSERVATION_TYPES))
        layers = self.image_observation_layers
        if not is_list(layers) or not layers:
            raise InvalidParameterError(
                f"image_observation_layers is {layers!r}; list some of {', '.join(IMAGE_LAYERS)}."
            )
        chosen = tuple(_choice("image_observation_layers", layer, IMAGE_LAYERS) for layer in layers)
        if len(set(chosen)) < len(chosen):
            raise InvalidParameterError(f"image_observation_layers is {chosen!r}; name each layer once.")
        self._set("image_observation_layers", chosen)
        check_observation_size(self.agent_count, self.vector_size, "lower sensor_range or num_agents")

    @property
    def vector_size(self) -> int:
        """F, the length of an observation; images count all their numbers."""
        cells = (2 * self.sensor_range + 1) ** 2
        image = cells * len(self.image_observation_layers)
        sizes = {"image": image, "image_dict": image + IMAGE_FEATURES}
        return sizes.get(self.observation_type, OWN_ENTRIES + cells * self.cell_entries)

    @property
    def cell_entries(self) -> int:
        """How many entries tell of one window cell: robot, its direction (4) and message, shelf, request."""
        return 7 + self.msg_bits


def params_from_golden(config: Mapping[str, Any]) -> WarehouseParams:
    """Return the parameters of a recorded trajectory's ``config``, of C-RWARE or RWARE."""
    common = {
        "layout": config.get("layout"),
        "request_queue_size": config["request_queue_size"],
        "sensor_range": config.get("sensor_range", 1),
        "reward_type": config.get("reward_type", "INDIVIDUAL"),
        "normalised_coordinates": config.get("normalised_coordinates", False),
        # A recorded time limit may be none; the longest stands for it.
        "max_cycles": config.get("max_steps") or MAX_STEPS,
        "max_inactivity_steps": config.get("max_inactivity_steps") or None,
    }
    if not common["layout"]:
        common |= {name: config[name] for name in ("shelf_rows", "shelf_columns", "column_height")}
        common["layout"] = None
    if config["family"] == "rware":
        kind = config.get("observation_type", "FLATTENED")
        names = ("image_observation_layers", "image_observation_directional")
        images = {name: config[name] for name in names if name in config}
        return RWAREParams(
            num_agents=config["n_agents"], msg_bits=config.get("msg_bits", 0), observation_type=kind, **images, **common
        )
    return CRWAREParams(num_colours=config["colors"], roster=_golden_roster(config), **common)


def _golden_roster(config: Mapping[str, Any]) -> tuple[CRWAREType, ...]:
    colours, agents = config["colors"], config["n_agents"]
    owners = config.get(
        "agent_color", [kind for kind, share in enumerate(split_evenly(agents, colours)) for _ in range(share)]
    )
    if owners != sorted(owners) or len(owners) != agents:
        raise InvalidParameterError(
            f"agent_color is {owners!r}; it must number {agents} robots colour after colour, as the original does."
        )
    size = colour_vector_size(colours, config.get("sensor_range", 1))
    orders = config.get("obs_permutation", [list(range(size))] * colours)
    if len(orders) != colours:
        raise InvalidParameterError(
            f"obs_permutation has {len(orders)} entries; give one for each of {colours} colours."
        )
    return tuple(
        CRWAREType(count=owners.count(kind), obs_permutation=tuple(orders[kind]), action_rotation=kind % len(MOVES))
        for kind in range(colours)
    )


def _choice(name: str, value: Any, known: Any) -> str:
    # The originals' enumeration members and upper-case names are understood.
    text = str(getattr(value, "name", value)).lower()
    if text not in known:
        raise InvalidParameterError(f"{name} is {value!r}; choose one of {', '.join(known)}.")
    return text


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{name} is {value!r}; it must be True or False.")
