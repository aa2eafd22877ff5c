"""RWARE beside the installed rware 2.0 package, step by step, by state injection over random configurations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from crware_ties import is_legal
from gymnasium import spaces

from adaps_envs import make, make_batched
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.families.crware import reference
from adaps_envs.families.crware.replay import stream_with_draws

rware = pytest.importorskip("rware.warehouse", reason="the original package is not installed")

LAYOUT = """
    .xx.xx.
    .xx.xx.
    ...g...
    xx.g.xx
    .......
"""
SIZES = [
    {"shelf_rows": 1, "shelf_columns": 3, "column_height": 2},
    {"shelf_rows": 2, "shelf_columns": 3, "column_height": 8},
]
# agents, message bits, sensor range, reward type, observation type, options
CASES: list[tuple[Any, ...]] = [
    (4, 0, 1, "INDIVIDUAL", "FLATTENED", {}),
    (7, 2, 1, "GLOBAL", "FLATTENED", {}),
    (6, 0, 2, "TWO_STAGE", "FLATTENED", {"normalised_coordinates": True}),
    (9, 1, 2, "TWO_STAGE", "DICT", {}),
    (7, 1, 0, "INDIVIDUAL", "FLATTENED", {}),
    (7, 0, 0, "GLOBAL", "IMAGE_DICT", {}),
    (8, 0, 1, "INDIVIDUAL", "IMAGE", {"image_observation_directional": True}),
    (5, 0, 2, "GLOBAL", "IMAGE_DICT", {"image_observation_directional": False}),
    (5, 0, 2, "GLOBAL", "IMAGE_DICT", {"image_observation_directional": True}),
]
FLOORS = [*SIZES, {"layout": LAYOUT}]
STEPS = 120


class Recorder:
    """Stands in for the original's random generator and notes which candidate it draws for the queue."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.ranks: list[int] = []

    def choice(self, candidates: list[Any]) -> Any:
        """Draw one of ``candidates``, which the original lists in the order of their ids."""
        self.ranks.append(int(self.generator.integers(len(candidates))))
        return candidates[self.ranks[-1]]


def _original(floor: dict[str, Any], case: tuple[Any, ...], queue: int) -> Any:
    agents, bits, sight, pay, view, options = case
    sizes = {"shelf_rows": 1, "shelf_columns": 3, "column_height": 2, **floor}
    return rware.Warehouse(
        n_agents=agents, msg_bits=bits, sensor_range=sight, request_queue_size=queue, max_inactivity_steps=30,
        max_steps=100, reward_type=rware.RewardType[pay], observation_type=rware.ObservationType[view],
        **sizes, **options,
    )  # fmt: skip


def _ours(floor: dict[str, Any], case: tuple[Any, ...], queue: int) -> ParallelFace:
    agents, bits, sight, pay, view, options = case
    return make(
        "RWARE-tiny-4a", num_agents=agents, msg_bits=bits, sensor_range=sight, request_queue_size=queue,
        max_inactivity_steps=30, max_cycles=100, reward_type=pay, observation_type=view, **floor, **options,
    )  # fmt: skip


def _state(env: Any) -> dict[str, np.ndarray]:
    """Return the original's state under our names, lane axis of 1 first."""
    agents, shelves = env.agents, env.shelfs
    state = {
        "agent_x": [agent.x for agent in agents],
        "agent_y": [agent.y for agent in agents],
        "agent_dir": [agent.dir.value for agent in agents],
        "carrying": [agent.carrying_shelf.id - 1 if agent.carrying_shelf else -1 for agent in agents],
        "has_delivered": [agent.has_delivered for agent in agents],
        "shelf_x": [shelf.x for shelf in shelves],
        "shelf_y": [shelf.y for shelf in shelves],
        "request_queue": [shelf.id - 1 for shelf in env.request_queue],
        "cur_steps": env._cur_steps,
        "inactive_steps": env._cur_inactive_steps,
    }
    if env.msg_bits:
        state["message"] = [int(agent.message @ 2.0 ** np.arange(env.msg_bits)) for agent in agents]
    return {name: np.array([value]) for name, value in state.items()}


def _same_view(theirs: Any, ours: Any) -> bool:
    """Compare two observations of the same form; the original also names messages where there are none."""
    if isinstance(theirs, dict):
        told = {name: value for name, value in theirs.items() if value is not None}
        return told.keys() == ours.keys() and all(_same_view(told[name], ours[name]) for name in told)
    if isinstance(theirs, tuple):
        return len(theirs) == len(ours) and all(map(_same_view, theirs, ours))
    return np.array_equal(theirs, ours)


def _check_views(theirs: Any, ours: dict[str, Any]) -> None:
    assert len(theirs) == len(ours)
    assert all(map(_same_view, theirs, ours.values()))


def _shown(face: ParallelFace) -> dict[str, Any]:
    rows = face.batched.observe()[0]
    return {agent: face.batched.structure(row) for agent, row in zip(face.possible_agents, rows, strict=True)}


@pytest.mark.parametrize(("floor", "case"), itertools.product(FLOORS, CASES))
def test_every_step_equals_the_original(floor: dict[str, Any], case: tuple[Any, ...]) -> None:
    generator = np.random.default_rng(3)
    queue = 3
    theirs, ours = _original(floor, case, queue), _ours(floor, case, queue)
    views, _ = theirs.reset(seed=int(generator.integers(1000)))
    num_agents, bits, num_shelves = case[0], case[1], len(theirs.shelfs)
    ties = 0
    for step in range(STEPS):
        if step % 60 == 0:
            views, _ = theirs.reset(seed=step)
            theirs._np_random = recorder = Recorder(theirs.np_random)
        before = _state(theirs)
        moves = generator.choice(5, size=num_agents, p=[0.05, 0.6, 0.1, 0.1, 0.15])
        messages = generator.integers(0, 2**bits, num_agents)
        ours.set_state(before)
        _check_views(views, _shown(ours))
        sent = [[move, *(message >> np.arange(bits) & 1)] for move, message in zip(moves, messages, strict=True)]
        recorder.ranks.clear()
        views, rewards, done, _, _ = theirs.step(sent if bits else moves.tolist())
        after = _state(theirs)
        if recorder.ranks:
            ours.set_state({"rng": stream_with_draws(recorder.ranks, num_shelves - queue, generator)[None]})
        obs, pay, terminated, truncated, _ = ours.step(dict(zip(ours.agents, moves + 5 * messages, strict=True)))
        state = ours.get_state()
        if any(not np.array_equal(state[name], after[name]) for name in ("agent_x", "agent_y")):
            lanes = [{name: array[0] for name, array in one.items()} for one in (before, after, state)]
            assert is_legal(ours.batched.params, lanes[0], moves.tolist(), lanes[1])
            assert is_legal(ours.batched.params, lanes[0], moves.tolist(), lanes[2])
            ties += 1
            continue
        assert all(np.array_equal(state[name], after[name]) for name in after)
        assert list(pay.values()) == list(rewards)
        assert (any(terminated.values()) or any(truncated.values())) == done
        _check_views(views, obs)
    assert ties < STEPS / 4


def _same_space(theirs: Any, ours: Any) -> bool:
    """Compare kinds, shapes and types; our bounds are tighter."""
    if isinstance(theirs, spaces.Dict):
        return list(theirs) == list(ours) and all(_same_space(theirs[name], ours[name]) for name in theirs)
    if isinstance(theirs, spaces.Tuple):
        return len(theirs) == len(ours) and all(map(_same_space, theirs, ours))
    if isinstance(theirs, spaces.Box):
        return isinstance(ours, spaces.Box) and (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    return theirs == ours


@pytest.mark.parametrize("case", CASES)
def test_spaces_are_the_originals(case: tuple[Any, ...]) -> None:
    theirs, ours = _original(SIZES[0], case, 3), _ours(SIZES[0], case, 3)
    for index, agent in enumerate(ours.possible_agents):
        assert _same_space(theirs.observation_space[index], ours.observation_space(agent))


def test_mapping_of_moves_is_the_originals() -> None:
    assert [action.value for action in rware.Action] == [
        reference.NOOP, reference.FORWARD, reference.LEFT, reference.RIGHT, reference.TOGGLE
    ]  # fmt: skip
    assert [direction.name for direction in rware.Direction] == ["UP", "DOWN", "LEFT", "RIGHT"]


@pytest.mark.parametrize(("rows", "columns", "height"), [(1, 3, 8), (2, 5, 8), (3, 5, 3), (1, 7, 1), (4, 3, 2)])
def test_floors_are_the_originals(rows: int, columns: int, height: int) -> None:
    floor = {"shelf_rows": rows, "shelf_columns": columns, "column_height": height}
    theirs = _original(floor, CASES[0], 3)
    plan = _ours(floor, CASES[0], 3).batched.plan
    assert np.array_equal(plan.highway, theirs.highways.astype(bool))
    assert list(plan.goals) == theirs.goals
    theirs.reset(seed=0)
    assert list(plan.shelves) == [(shelf.x, shelf.y) for shelf in theirs.shelfs]


@pytest.mark.parametrize("pay", ["INDIVIDUAL", "GLOBAL", "TWO_STAGE"])
def test_the_originals_enumerations_are_understood(pay: str) -> None:
    by_member = make_batched("RWARE-tiny-4a", 1, reward_type=rware.RewardType[pay])
    assert by_member.params == make_batched("RWARE-tiny-4a", 1, reward_type=pay.lower()).params
