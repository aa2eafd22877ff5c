"""Every recorded step of lbforaging 2.0 and of its fixed-level branch; their start states in distribution."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from adaps_envs.families.lbf import reference
from adaps_envs.testing import load_golden, make_env, replay

TASKS = {
    "lbf": [
        "10x10-3p-3f", "10x10-3p-3f-2s", "10x10-4p-3f-2s-hiddenlevels-penalty", "15x15-4p-5f", "20x20-12p-8f-3levels",
        "8x8-2p-2f-coop", "8x8-2p-3f", "8x8-3p-2f-grid-3s", "8x8-3p-3f-penalty", "8x8-3p-3f-unnormalized",
        "crafted-two-food-9x9-4p",
    ],
    "lbfseps": ["fixed-10x10-6p-5f", "fixed-15x15-12p-6f-coop"],
}  # fmt: skip
COMPARED = {
    "obs before", "obs", "rewards", "dones", "player_row", "player_col", "player_level", "player_score", "field",
    "current_step", "game_over", "valid_actions", "food_spawned",
}  # fmt: skip
RESETS = [
    "lbf__resets-10x10-3p-3f", "lbf__resets-15x15-4p-5f", "lbf__resets-20x20-12p-8f-3levels",
    "lbf__resets-5x5-3p-6f-crowded", "lbf__resets-8x8-2p-2f-coop", "lbf__resets-8x8-2p-3f",
    "lbf__resets-8x8-4p-3f-perplayer-perfood", "lbfseps__resets-fixed-10x10-6p-5f",
    "lbfseps__resets-fixed-8x8-2p-2f-coop",
]  # fmt: skip
SAMPLES = 4000


@pytest.mark.parametrize(("family", "task"), [(family, task) for family, tasks in TASKS.items() for task in tasks])
def test_every_recorded_step_replays(golden_directory: Path, family: str, task: str) -> None:
    files = sorted(golden_directory.glob(f"{family}__{task}__s*.npz"))
    assert files
    for path in files:
        report = replay(path)
        assert report.steps > 100
        assert set(report.compared) == COMPARED
        assert all(report.compared.values())
        assert report.mismatches == dict.fromkeys(report.compared, 0), path.name
        assert (report.ties > 0) == task.startswith("crafted")


def test_no_trajectory_is_left_out(golden_directory: Path) -> None:
    found = {tuple(path.name.split("__")[:2]) for path in golden_directory.glob("lbf*__*.npz")}
    trajectories = {pair for pair in found if not pair[1].startswith("resets")}
    assert trajectories == {(family, task) for family, tasks in TASKS.items() for task in tasks}


def test_rollouts_stay_on_the_recorded_track(golden_directory: Path) -> None:
    """Without injection after the start: errors would pile up."""
    _, arrays = load_golden(golden_directory / "lbf__15x15-4p-5f__s131.npz")
    config, _ = load_golden(golden_directory / "lbf__15x15-4p-5f__s131.npz")
    for first in arrays["ep_first_frame"].tolist():
        env = make_env(config, 1)
        env.set_state(_frame(env, arrays, first))
        for step in np.flatnonzero(_episode_of(arrays, arrays["step_frame"]) == _episode_of(arrays, first)):
            obs, rewards, terminated, truncated = env.step(arrays["actions"][step][None].astype(int))
            assert np.array_equal(obs[0], arrays["obs"][arrays["step_frame"][step] + 1])
            assert np.array_equal(rewards[0], arrays["rewards"][step].astype(np.float32))
            assert bool(terminated[0] | truncated[0]) == arrays["dones"][step, 0]
            assert not (terminated[0] and truncated[0])


def test_ties_are_resolved_legally(golden_directory: Path) -> None:
    """Where a player stands beside two foods, the outcome is that of some order of serving the loading players."""
    config, arrays = load_golden(golden_directory / "lbf__crafted-two-food-9x9-4p__s131.npz")
    steps = np.flatnonzero(arrays["tie"])
    assert len(steps) > 50
    differing = 0
    for step in steps.tolist():
        env = make_env(config, 1)
        frame = _frame(env, arrays, int(arrays["step_frame"][step]))
        env.set_state(frame)
        actions = arrays["actions"][step].astype(int)
        rewards = env.step(actions[None])[1][0]
        field = env.get_state()["field"][0]
        legal = set()
        for order in permutations(range(4)):
            lane = {name: array[0] for name, array in frame.items()}
            after, pay, _ = reference.step(env.params, lane, actions.tolist(), order)
            legal.add((tuple(np.float32(pay)), after["field"].astype(int).tobytes()))
        assert (tuple(rewards), field.astype(int).tobytes()) in legal
        differing += len(legal) > 1
    assert differing == len(steps)


def _episode_of(arrays: dict[str, np.ndarray], frame: Any) -> Any:
    return np.searchsorted(arrays["ep_first_frame"], frame, side="right") - 1


def _frame(env: Any, arrays: dict[str, np.ndarray], frame: int) -> dict[str, np.ndarray]:
    state = {name: arrays[name][frame : frame + 1] for name in COMPARED if name in arrays and name in env.get_state()}
    episode = int(_episode_of(arrays, frame))
    return {**state, "food_spawned": arrays["food_spawned"][episode : episode + 1]}


# -- start states ------------------------------------------------------------------------------------------------------


def _same_frequencies(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the p-value of the chi-square test that two samples of small integers have one distribution."""
    values = np.union1d(ours, theirs)
    table = np.array([[(sample == value).sum() for value in values] for sample in (ours, theirs)])
    rare = table.sum(axis=0) < 10
    table = np.concatenate([table[:, ~rare], table[:, rare].sum(axis=1, keepdims=True)], axis=1)
    table = table[:, table.sum(axis=0) > 0]
    return 1.0 if table.shape[1] < 2 else float(stats.chi2_contingency(table, correction=False).pvalue)


def _smallest_gap(cells: np.ndarray) -> int:
    distances = np.abs(cells[:, None] - cells[None]).sum(axis=-1)
    return int(distances[np.triu_indices(len(cells), 1)].min())


def _summaries(rows: np.ndarray, cols: np.ndarray, levels: np.ndarray, field: np.ndarray) -> dict[str, np.ndarray]:
    """Return numbers that tell start states apart: places, levels, and how they hang together."""
    lanes, food_rows, food_cols = np.nonzero(field)
    counts = (field > 0).sum(axis=(1, 2))
    gaps = [
        int(
            np.abs(np.argwhere(board)[:, None] - np.argwhere(board)[None]).sum(axis=-1)[np.triu_indices(count, 1)].min()
        )
        for board, count in zip(field, counts, strict=True)
        if count > 1
    ]
    last = rows.shape[1] - 1
    spread = np.abs(rows[:, 0] - rows[:, last]) + np.abs(cols[:, 0] - cols[:, last])
    return {
        "row of the first player": rows[:, 0],
        "column of the last player": cols[:, last],
        "distance of the first and the last player": spread,
        "level of the first player": levels[:, 0],
        "level of the last player": levels[:, last],
        "sum of levels": levels.sum(axis=1),
        "lowest and highest level": levels.min(axis=1) * 100 + levels.max(axis=1),
        "number of foods": counts,
        "rows of foods": food_rows,
        "columns of foods": food_cols,
        # One food a lane: the levels of a lane hang together through its weakest players.
        "level of the first food": field[lanes, food_rows, food_cols][np.unique(lanes, return_index=True)[1]],
        "sum of food levels": field.sum(axis=(1, 2)),
        "food against the weakest": field.max(axis=(1, 2)) * 100 + np.sort(levels, axis=1)[:, :3].sum(axis=1),
        "smallest distance of two foods": np.array(gaps),
        "food in the middle": (field[:, field.shape[1] // 2, field.shape[2] // 2] > 0).astype(int),
    }


@pytest.mark.parametrize("task", RESETS)
def test_starts_match_the_recorded_sample(golden_directory: Path, task: str) -> None:
    (path,) = golden_directory.glob(f"{task}__s*.npz")
    config, recorded = load_golden(path)
    env = make_env(config, SAMPLES)
    env.reset(seed=777)
    state = env.get_state()
    names = ("player_row", "player_col", "player_level", "field")
    ours = _summaries(*(state[name].astype(int) for name in names))
    place = recorded["fresh_player_rc"].astype(int)
    levels, field = recorded["fresh_player_level"].astype(int), recorded["fresh_field"].astype(int)
    theirs = _summaries(place[..., 0], place[..., 1], levels, field)
    for name, sample in ours.items():
        assert _same_frequencies(sample, theirs[name]) > 0.001, name
    assert np.array_equal(state["food_spawned"], state["field"].sum(axis=(1, 2)))


@pytest.mark.parametrize("task", ["lbf__resets-8x8-2p-3f", "lbf__resets-5x5-3p-6f-crowded"])
def test_starts_keep_the_spawn_rules(golden_directory: Path, task: str) -> None:
    (path,) = golden_directory.glob(f"{task}__s*.npz")
    env = make_env(load_golden(path)[0], 2000)
    env.reset(seed=3)
    state = env.get_state()
    for row, col, field in zip(state["player_row"], state["player_col"], state["field"], strict=True):
        places = set(zip(row.tolist(), col.tolist(), strict=True))
        assert len(places) == len(row)
        foods = np.argwhere(field)
        assert not any(field[place] for place in places)
        assert field[1:-1, 1:-1].sum() == field.sum()
        for index, food in enumerate(foods):
            for other in foods[:index]:
                dy, dx = np.abs(food - other).tolist()
                assert max(dy, dx) > 1
                assert not (min(dy, dx) == 0 and max(dy, dx) <= 2)


def test_players_start_uniformly_over_pairs_of_cells(golden_directory: Path) -> None:
    config, _ = load_golden(next(iter(golden_directory.glob("lbf__resets-8x8-2p-3f__s*.npz"))))
    env = make_env(config, 20_000)
    env.reset(seed=11)
    state = env.get_state()
    cells = state["player_row"].astype(int) * 8 + state["player_col"]
    for player in range(2):
        assert stats.chisquare(np.bincount(cells[:, player], minlength=64)).pvalue > 0.001
    # Given the first player's cell, the second is uniform over the other 63.
    rank = cells[:, 1] - (cells[:, 1] > cells[:, 0])
    assert stats.chisquare(np.bincount(rank, minlength=63)).pvalue > 0.001
