"""The robots' hidden types in C-RWARE, and how a short description becomes a full roster."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adaps_envs.core.roster import chosen_actions, is_int, is_list, is_order, listed_types
from adaps_envs.core.validation import check_observation_size
from adaps_envs.errors import InvalidParameterError
from adaps_envs.types import AgentType

if TYPE_CHECKING:
    from adaps_envs.families.crware.params import CRWAREParams

__all__ = ["MOVES", "CRWAREType", "build_roster", "shuffled_indices", "split_evenly", "vector_size"]

MOVES = ("noop", "forward", "turn left", "turn right", "toggle load")
OWN_ENTRIES = 8
MAX_COLOURS = 64


@dataclass(frozen=True, kw_only=True)
class CRWAREType(AgentType):
    """A hidden type of robot.

    Attributes:
        count: number of agents of this type.
        colours: shelf colours that it can deliver; None takes the colour of the type's own index.
        sensor_range: how many cells it sees in each direction, at most the warehouse's ``sensor_range``; the entries of
            cells beyond it are 0. None takes the warehouse's.
        obs_permutation: ``out[j] = vec[obs_permutation[j]]`` over the F observation entries; None draws it from
            ``type_seed``, or leaves the entries in order if ``shuffle_obs`` is off.
        action_rotation: r; action a is executed as ``(a - r) mod 5``. None takes the type's index, or 0 if
            ``rotate_actions`` is off.
        actions: names of the moves that it has, see :class:`~adaps_envs.types.AgentType`; a rotation shifts them too.
    """

    colours: tuple[int, ...] | None = None
    sensor_range: int | None = None
    obs_permutation: tuple[int, ...] | None = None
    action_rotation: int | None = None


def vector_size(num_colours: int, sensor_range: int) -> int:
    """Return F of C-RWARE: 8 entries on the robot itself, and ``C + 2`` for each cell that it sees."""
    return OWN_ENTRIES + (2 * sensor_range + 1) ** 2 * (num_colours + 2)


def shuffled_indices(type_seed: int, type_index: int, size: int) -> tuple[int, ...]:
    """Return a type's order of observation entries; it depends on the arguments alone, so all copies agree."""
    order = list(range(size))
    random.Random(f"observation entries of type {type_index}, seed {type_seed}").shuffle(order)
    return tuple(order)


def split_evenly(total: int, parts: int) -> tuple[int, ...]:
    """Return ``total`` in ``parts`` equal shares; the first gets the whole remainder."""
    return (total - total // parts * (parts - 1), *[total // parts] * (parts - 1))


def build_roster(params: CRWAREParams) -> tuple[int, tuple[CRWAREType, ...]]:
    """Return the number of colours and the full roster that ``params`` describes.

    Raises:
        InvalidParameterError: an illegal count, colour, permutation, rotation or sensor range.
    """
    kinds = _given(params)
    colours = _num_colours(params, kinds)
    owned = tuple(_own_colours(index, kind, len(kinds), colours, params) for index, kind in enumerate(kinds))
    orphans = sorted(set(range(colours)) - {colour for part in owned for colour in part})
    if orphans:
        raise InvalidParameterError(
            f"no type delivers colour {orphans[0]}, so its shelves would block the queue for ever; "
            f"give it to a type, or set num_colours lower."
        )
    size = vector_size(colours, params.sensor_range)
    check_observation_size(sum(kind.count for kind in kinds), size, "lower sensor_range, num_agents or num_colours")
    filled = (_filled(index, kind, owned[index], size, params) for index, kind in enumerate(kinds))
    return colours, tuple(filled)


def _given(params: CRWAREParams) -> tuple[CRWAREType, ...]:
    groups = params.groups
    if groups is not None and not is_list(groups):
        raise InvalidParameterError(f"groups is {groups!r}; give a list of agents a type, such as [2, 2].")
    if params.roster is not None:
        kinds = listed_types(params.roster, CRWAREType)
        if groups is not None and tuple(groups) != tuple(kind.count for kind in kinds):
            raise InvalidParameterError(f"groups {groups!r} and roster disagree; give one of the two.")
    else:
        kinds = listed_types([CRWAREType(count=count) for count in _counts(params)], CRWAREType)
    if params.num_types is not None and params.num_types != len(kinds):
        raise InvalidParameterError(f"num_types is {params.num_types!r}, the roster has {len(kinds)} types; give one.")
    total = sum(kind.count for kind in kinds)
    if params.num_agents is not None and params.num_agents != total:
        raise InvalidParameterError(
            f"num_agents is {params.num_agents}, the types have {total} agents together; give one of the two."
        )
    return kinds


def _counts(params: CRWAREParams) -> Sequence[Any]:
    if params.groups is not None:
        return params.groups
    types = next(value for value in (params.num_types, params.num_colours, 2) if value is not None)
    if not is_int(types) or not 1 <= types <= MAX_COLOURS:
        name = "num_colours" if params.num_types is None else "num_types"
        raise InvalidParameterError(f"{name} is {types!r}; it must be an integer from 1 to {MAX_COLOURS}.")
    agents = max(4, types) if params.num_agents is None else params.num_agents
    if agents < types:
        raise InvalidParameterError(
            f"{agents} agents cannot have {types} types, one each at least; "
            f"give at least {types} agents, or set num_types lower."
        )
    return split_evenly(agents, types)


def _num_colours(params: CRWAREParams, kinds: Sequence[CRWAREType]) -> int:
    lists = [kind.colours for kind in kinds if kind.colours is not None and is_list(kind.colours)]
    named = [colour for colours in lists for colour in colours if is_int(colour)]
    own = max((index for index, kind in enumerate(kinds) if kind.colours is None), default=0)
    dealt = 2 if params.roster is None and params.groups is None else 1
    least = max([dealt, 1 + own, *(1 + colour for colour in named)])
    colours = least if params.num_colours is None else params.num_colours
    if not is_int(colours) or not 1 <= colours <= MAX_COLOURS:
        raise InvalidParameterError(f"num_colours is {colours!r}; it must be an integer from 1 to {MAX_COLOURS}.")
    return colours


def _own_colours(
    index: int, kind: CRWAREType, num_types: int, num_colours: int, params: CRWAREParams
) -> tuple[int, ...]:
    colours = kind.colours
    if colours is None:
        if params.roster is not None:
            colours = (index,)
        elif num_types > num_colours:
            raise InvalidParameterError(f"{num_types} types for {num_colours} colours; set num_colours to {num_types}.")
        else:
            colours = tuple(range(index * num_colours // num_types, (index + 1) * num_colours // num_types))
    if (
        not is_list(colours)
        or not colours
        or any(not is_int(colour) or not 0 <= colour < num_colours for colour in colours)
    ):
        raise InvalidParameterError(
            f"type {index} delivers colours {colours!r}; give a list of colours below num_colours = {num_colours}, "
            f"or set num_colours higher."
        )
    return tuple(sorted(set(colours)))


def _filled(index: int, kind: CRWAREType, colours: tuple[int, ...], size: int, params: CRWAREParams) -> CRWAREType:
    order = kind.obs_permutation
    if order is None:
        order = shuffled_indices(params.type_seed, index, size) if params.shuffle_obs else tuple(range(size))
    if not is_order(order, size):
        raise InvalidParameterError(
            f"type {index} has obs_permutation {order!r}; it must order the {size} indices 0..{size - 1}, each once."
        )
    rotation = kind.action_rotation
    if rotation is None:
        rotation = index % len(MOVES) if params.rotate_actions else 0
    if not is_int(rotation) or not 0 <= rotation < len(MOVES):
        raise InvalidParameterError(f"type {index} has action_rotation {rotation!r}; it must be 0..{len(MOVES) - 1}.")
    sight = params.sensor_range if kind.sensor_range is None else kind.sensor_range
    if not is_int(sight) or not 0 <= sight <= params.sensor_range:
        raise InvalidParameterError(
            f"type {index} has sensor_range {sight!r}; it must be 0 to the warehouse's sensor_range "
            f"{params.sensor_range}, which you may raise."
        )
    return replace(
        kind,
        colours=colours,
        sensor_range=sight,
        obs_permutation=tuple(order),
        action_rotation=rotation,
        actions=chosen_actions(index, kind, MOVES),
    )
