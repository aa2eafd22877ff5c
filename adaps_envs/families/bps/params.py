"""Parameters of blind-particle spread: who the agents are, and the few numbers of the game."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adaps_envs.core.batched import REWARD_MODES
from adaps_envs.core.roster import check_deal_seed, chosen_actions, is_int, is_list, is_order, listed_types
from adaps_envs.core.validation import MAX_STEPS, check_observation_size, refuses_oddities
from adaps_envs.errors import InvalidParameterError
from adaps_envs.types import AgentType

__all__ = [
    "ACTIONS",
    "DAMPING",
    "TIME_STEP",
    "BPSParams",
    "BPSType",
    "observation_size",
    "params_from_golden",
    "shuffled_indices",
]

ACTIONS = ("nothing", "push -x", "push +x", "push -y", "push +y")
TIME_STEP = 0.1
DAMPING = 0.25
MAX_AGENTS = 100_000


@dataclass(frozen=True, kw_only=True)
class BPSType(AgentType):
    """A hidden type of particle.

    Attributes:
        count: number of agents of this type.
        landmark: index of the landmark that pays this type; None takes the type's own index.
        acceleration: force of one action, length units per squared time unit (the original's is 5).
        max_speed: speed limit in length units per time unit; None for no limit, as in the original.
        obs_permutation: ``out[j] = vec[obs_permutation[j]]`` over the F observation entries; None leaves them in order.
        actions: names of the actions that it has, see :class:`~adaps_envs.types.AgentType`.
    """

    landmark: int | None = None
    acceleration: float = 5.0
    max_speed: float | None = None
    obs_permutation: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class BPSParams:
    """Everything that can be set in BPS.

    Attributes:
        groups: number of agents of each type, types in order; shorthand for ``roster``. Types own one landmark each.
        roster: the types with their capabilities; give either ``groups`` or ``roster``.
        num_landmarks: number of landmarks G; None takes the smallest number that serves the roster. With more
            landmarks than types, the number of types can be dialled from 1 to G at fixed spaces.
        max_cycles: episode length in steps; reaching it truncates.
        local_ratio: weight of the individual reward (the original's 0.5 halves the distance).
        cooperative: pay everyone ``(1 - local_ratio)`` times the sum of all agents' negative distances instead.
        shuffle_obs: give each type its own fixed order of observation entries (BPS-5 and BPS-6).
        deal_seed: deal the types to the agents in an order drawn from this seed, so that an agent's index does not tell
            its type; None leaves them in the roster's order, as the original has them.
        reward: ``individual``, ``team_sum`` or ``team_mean``.
    """

    groups: tuple[int, ...] | None = None
    roster: tuple[BPSType, ...] | None = None
    num_landmarks: int | None = None
    max_cycles: int = 50
    local_ratio: float = 0.5
    cooperative: bool = False
    shuffle_obs: bool = False
    deal_seed: int | None = None
    reward: str = "individual"

    @refuses_oddities
    def __post_init__(self) -> None:
        roster = _roster_from(self.groups, self.roster)
        needed = 1 + max(_landmark(index, kind) for index, kind in enumerate(roster))
        landmarks = needed if self.num_landmarks is None else self.num_landmarks
        if not is_int(landmarks) or landmarks < needed:
            raise InvalidParameterError(f"num_landmarks is {landmarks!r}; this roster needs an integer >= {needed}.")
        size = observation_size(landmarks)
        check_observation_size(sum(kind.count for kind in roster), size, "take fewer agents or landmarks")
        filled = tuple(_filled(index, kind, size, self.shuffle_obs) for index, kind in enumerate(roster))
        object.__setattr__(self, "num_landmarks", landmarks)
        object.__setattr__(self, "roster", filled)
        object.__setattr__(self, "groups", tuple(kind.count for kind in filled))
        self._check_scalars()

    def _check_scalars(self) -> None:
        if not is_int(self.max_cycles) or not 1 <= self.max_cycles <= MAX_STEPS:
            raise InvalidParameterError(
                f"max_cycles is {self.max_cycles!r}; it must be an integer from 1 to {MAX_STEPS}."
            )
        check_deal_seed(self.deal_seed)
        if not _is_number(self.local_ratio) or not 0 <= self.local_ratio <= 1:
            raise InvalidParameterError(f"local_ratio is {self.local_ratio!r}; it must lie in [0, 1].")
        for name in ("cooperative", "shuffle_obs"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; it must be True or False.")
        if self.reward not in REWARD_MODES:
            raise InvalidParameterError(f"reward is {self.reward!r}; choose one of {', '.join(REWARD_MODES)}.")


def observation_size(num_landmarks: int) -> int:
    """Return F for G landmarks: velocity, position, and one offset a landmark."""
    return 4 + 2 * num_landmarks


def shuffled_indices(type_index: int, size: int) -> tuple[int, ...]:
    """Return the fixed order of observation entries of a type, as the original draws it: CPython's shuffle, seeded by
    the type's index, so that every instance and run agrees."""
    order = list(range(size))
    random.Random(type_index).shuffle(order)
    return tuple(order)


def params_from_golden(config: Mapping[str, Any]) -> BPSParams:
    """Return the parameters of a recorded trajectory's ``config``.

    The original ends an episode two steps after its ``max_frames``; the recorded length is taken where it is given.
    """
    length = config.get("episode_length", config.get("max_frames", 100) + 2)
    groups = config["groups"]
    orders = config.get("obs_permutation", [None] * len(groups))
    if len(orders) != len(groups):
        raise InvalidParameterError(
            f"obs_permutation has {len(orders)} entries; give one for each of {len(groups)} groups."
        )
    return BPSParams(
        roster=tuple(BPSType(count=count, obs_permutation=order) for count, order in zip(groups, orders, strict=True)),
        max_cycles=length,
        local_ratio=config.get("local_ratio", 0.5),
        cooperative=config.get("cooperative", False),
        shuffle_obs=config.get("shuffle_obs", False),
    )


def _roster_from(groups: Any, roster: Any) -> tuple[BPSType, ...]:
    if groups is not None and not is_list(groups):
        raise InvalidParameterError(f"groups is {groups!r}; give a list of agents a type, for example [5, 5, 5].")
    if roster is None:
        roster = [BPSType(count=size) for size in ((5, 5, 5) if groups is None else groups)]
    kinds = listed_types(roster, BPSType)
    for index, kind in enumerate(kinds):
        _check_type(index, kind)
    if groups is not None and tuple(groups) != tuple(kind.count for kind in kinds):
        raise InvalidParameterError(f"groups {groups!r} and roster disagree; give one of the two.")
    total = sum(kind.count for kind in kinds)
    if total > MAX_AGENTS:
        raise InvalidParameterError(f"the roster has {total} agents; the limit is {MAX_AGENTS}.")
    return kinds


def _check_type(index: int, kind: BPSType) -> None:
    if kind.landmark is not None and (not is_int(kind.landmark) or kind.landmark < 0):
        raise InvalidParameterError(f"type {index} has landmark {kind.landmark!r}; give an index >= 0, or None.")
    if not _is_number(kind.acceleration) or not 0 < kind.acceleration <= 1e6:
        raise InvalidParameterError(f"type {index} has acceleration {kind.acceleration!r}; it must lie in (0, 1e6].")
    if kind.max_speed is not None and (not _is_number(kind.max_speed) or not 0 < kind.max_speed <= 1e6):
        raise InvalidParameterError(f"type {index} has max_speed {kind.max_speed!r}; it must lie in (0, 1e6], or None.")


def _landmark(index: int, kind: BPSType) -> int:
    return index if kind.landmark is None else kind.landmark


def _filled(index: int, kind: BPSType, size: int, shuffle: bool) -> BPSType:
    order = kind.obs_permutation
    if order is None:
        order = shuffled_indices(index, size) if shuffle else tuple(range(size))
    if not is_order(order, size):
        raise InvalidParameterError(
            f"type {index} has obs_permutation {order!r}; it must order the indices 0..{size - 1}, each once."
        )
    return replace(
        kind,
        landmark=_landmark(index, kind),
        obs_permutation=tuple(order),
        actions=chosen_actions(index, kind, ACTIONS),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
