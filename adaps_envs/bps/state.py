"""The state table of BPS: the single source of allocation, ``get_state``/``set_state`` checks and documentation;
and the records that the kernels take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaps_envs.bps.params import DAMPING, TIME_STEP, BPSParams
from adaps_envs.types import ArraySpec, ObsField

__all__ = [
    "AGENT_RANGE",
    "LANDMARK_RANGE",
    "Rules",
    "State",
    "obs_fields",
    "position_limit",
    "speed_limit",
    "state_table",
]

AGENT_RANGE = 1.0
LANDMARK_RANGE = 3.0


class State(NamedTuple):
    """The state arrays of all lanes, as :func:`state_table` declares them, and the random streams."""

    pos: NDArray[np.float64]
    vel: NDArray[np.float64]
    landmark_pos: NDArray[np.float64]
    cur_steps: NDArray[np.int32]
    rng: NDArray[np.uint64]


class Rules(NamedTuple):
    """What is the same in all lanes and episodes.

    Attributes:
        landmark_of: ``[N] int64``, index of the landmark that pays each agent.
        acceleration, max_speed: ``[N] float64``; no limit is infinity.
        order: ``[N, F] int64``, entry j of agent i's observation is entry ``order[i, j]`` of the unpermuted one.
        shuffled: whether anybody's entries are permuted.
        local_ratio, cooperative, max_cycles: as in the parameters.
    """

    landmark_of: NDArray[np.int64]
    acceleration: NDArray[np.float64]
    max_speed: NDArray[np.float64]
    order: NDArray[np.int64]
    shuffled: bool
    local_ratio: float
    cooperative: bool
    max_cycles: int


def speed_limit(params: BPSParams) -> float:
    """Return the highest speed along one axis: force and damping balance at ``acceleration * dt / damping``."""
    assert params.roster is not None
    limits = []
    for kind in params.roster:
        terminal = kind.acceleration * TIME_STEP / DAMPING
        limits.append(terminal if kind.max_speed is None else min(terminal, kind.max_speed))
    return max(limits)


def position_limit(params: BPSParams) -> float:
    """Return how far from the origin, along one axis, an agent can be at the end of an episode."""
    return AGENT_RANGE + speed_limit(params) * TIME_STEP * params.max_cycles


def state_table(params: BPSParams) -> tuple[ArraySpec, ...]:
    """Return the state arrays; axis sizes are N agents and G landmarks."""
    speed, reach = speed_limit(params), position_limit(params)
    return (
        ArraySpec("pos", ("N", 2), "float64", -reach, reach, "length", "agents' positions (x, y)"),
        ArraySpec("vel", ("N", 2), "float64", -speed, speed, "length per time", "agents' velocities (x, y)"),
        ArraySpec(
            "landmark_pos",
            ("G", 2),
            "float64",
            -LANDMARK_RANGE,
            LANDMARK_RANGE,
            "length",
            "positions of landmarks (x, y)",
        ),
        ArraySpec("cur_steps", (), "int32", 0, params.max_cycles, "steps", "steps since the reset"),
    )


def obs_fields(params: BPSParams) -> tuple[ObsField, ...]:
    """Return the observation entries in their unpermuted order.

    Where a type permutes its entries, every entry gets the widest bounds: tighter ones would tell the type.
    """
    assert params.num_landmarks is not None
    assert params.roster is not None
    speed, reach = speed_limit(params), position_limit(params)
    entries = [(f"velocity_{axis}", speed, "length per time") for axis in "xy"]
    entries += [(f"position_{axis}", reach, "length") for axis in "xy"]
    entries += [
        (f"landmark_{index}_{axis}", reach + LANDMARK_RANGE, "length")
        for index in range(params.num_landmarks)
        for axis in "xy"
    ]
    permuted = any(kind.obs_permutation != tuple(range(len(entries))) for kind in params.roster)
    widest = max(bound for _, bound, _ in entries)
    return tuple(
        ObsField(index, name, -(widest if permuted else bound), widest if permuted else bound, unit)
        for index, (name, bound, unit) in enumerate(entries)
    )
