"""Every recorded step of the original warehouses, bit for bit; their start states in distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crware_ties import PLACES, is_legal
from scipy import stats

from adaps_envs import InvalidStateError
from adaps_envs.families.crware import reference
from adaps_envs.testing import load_golden, make_env, replay

COMPARED = {
    "obs before", "agent_x", "agent_y", "agent_dir", "carrying", "has_delivered", "shelf_x", "shelf_y", "request_queue",
    "cur_steps", "inactive_steps", "rewards", "dones", "obs",
}  # fmt: skip
KEYS = {*COMPARED, "rng"} - {"obs before", "rewards", "dones", "obs"}


def _files(directory: Path, family: str) -> list[Path]:
    return [path for path in sorted(directory.glob(f"{family}__*.npz")) if "__resets" not in path.name]


@pytest.mark.parametrize("family", ["crware", "rware"])
def test_every_recorded_step_replays(golden_directory: Path, family: str) -> None:
    files = _files(golden_directory, family)
    assert files
    for path in files:
        report = replay(path)
        assert report.steps > report.ties
        assert set(report.compared) == (COMPARED | {"shelf_color"} if family == "crware" else COMPARED)
        assert report.mismatches == dict.fromkeys(report.compared, 0), path.name


@pytest.mark.parametrize("family", ["crware", "rware"])
def test_state_keys_are_the_recorded_names(golden_directory: Path, family: str) -> None:
    config, arrays = load_golden(_files(golden_directory, family)[0])
    keys = KEYS | {"shelf_color"} if family == "crware" else KEYS
    assert set(make_env(config, 2).get_state()) == keys
    assert keys - {"rng"} <= set(arrays)


def _lane(state: dict[str, Any], lane: int) -> dict[str, Any]:
    return {name: array[lane] for name, array in state.items()}


def _frames(env: Any, arrays: dict[str, np.ndarray], frames: np.ndarray) -> dict[str, np.ndarray]:
    episode = np.searchsorted(arrays["ep_first_frame"], frames, side="right") - 1
    names = [spec.name for spec in env.state_table]
    return {name: arrays[name][episode if name == "shelf_color" else frames] for name in names}


@pytest.mark.parametrize("family", ["crware", "rware"])
def test_ties_are_settled_legally_and_replay_when_settled_as_recorded(golden_directory: Path, family: str) -> None:
    seen = 0
    for path in _files(golden_directory, family):
        config, arrays = load_golden(path)
        env = make_env(config, len(arrays["tie"]))
        steps = arrays["step_frame"].astype(np.int64)
        before, recorded = _frames(env, arrays, steps), _frames(env, arrays, steps + 1)
        env.set_state(before)
        env.step(arrays["actions"].astype(np.int64))
        ours = env.get_state()
        for lane in np.flatnonzero(arrays["tie"]):
            moves = reference.mapped_actions(env.params, arrays["actions"][lane].tolist())
            assert moves == arrays["mapped_action"][lane].tolist()
            start = _lane(before, lane)
            assert is_legal(env.params, start, moves, _lane(ours, lane))
            assert is_legal(env.params, start, moves, _lane(recorded, lane))
            seen += 1
        # The recorded winners' moves alone leave no conflict to settle: even ties replay in full.
        streams = env.recorded_streams(before, arrays)
        assert streams is not None
        env.set_state({**before, "rng": streams})
        obs, rewards, _, _ = env.step(_raw(env, arrays["resolved_action"]))
        after = env.get_state()
        assert all(np.array_equal(after[name], recorded[name]) for name in recorded), path.name
        assert np.array_equal(obs, arrays["obs"][steps + 1])
        assert np.array_equal(rewards, arrays["rewards"].astype(np.float32))
    assert seen > 40


def _raw(env: Any, moves: np.ndarray) -> np.ndarray:
    """Return the actions that stand for ``moves [T, N]``."""
    return np.take_along_axis(env.action_map.argsort(axis=1)[None], moves[..., None].astype(np.int64), axis=2)[..., 0]


@pytest.mark.parametrize(
    ("array", "index"), [("agent_x", (50, 3)), ("rewards", (20, 2)), ("obs", (7, 0, 0)), ("request_queue", (100, 1))]
)
def test_one_wrong_number_is_found(golden_directory: Path, tmp_path: Path, array: str, index: tuple[int, ...]) -> None:
    with np.load(golden_directory / "crware__2color-tiny-4ag-INDIVIDUAL__s101.npz") as data:
        arrays = {name: data[name] for name in data.files}
    tie = arrays["tie"]
    assert not tie[[49, 50, 20, 6, 7, 99, 100]].any()
    taken = arrays["request_queue"][100]
    fresh = next(shelf for shelf in range(32) if shelf not in taken)
    arrays[array][index] = fresh if array == "request_queue" else arrays[array][index] + 1
    np.savez(tmp_path / "bad.npz", **arrays)
    try:
        total = replay(tmp_path / "bad.npz").total
    except InvalidStateError:
        # An agent moved off its load, or onto another one, is refused outright.
        total = int(array == "agent_x")
    assert total >= 1


def _starts(golden_directory: Path, family: str, num_lanes: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    name = "crware__resets-2color-tiny-4ag__s171.npz" if family == "crware" else "rware__resets-tiny-4ag__s171.npz"
    config, recorded = load_golden(golden_directory / name)
    if family == "crware":
        config["colors"] = 2
    env = make_env(config, num_lanes)
    env.reset(seed=4321)
    state = env.get_state()
    ours = {
        "cell": state["agent_y"].astype(int) * 10 + state["agent_x"],
        "dir": state["agent_dir"],
        "request_queue": state["request_queue"],
        "shelf_color": state.get("shelf_color", np.zeros((num_lanes, 1), int)),
    }
    theirs = {
        "cell": recorded["agent_xy"][..., 1].astype(int) * 10 + recorded["agent_xy"][..., 0],
        "dir": recorded["agent_dir"],
        "request_queue": recorded["request_queue"],
        "shelf_color": recorded.get("shelf_color", np.zeros((4000, 1), int)),
    }
    assert (state["carrying"] == -1).all()
    assert not state["has_delivered"].any()
    assert not state["cur_steps"].any()
    assert not state["inactive_steps"].any()
    return ours, theirs


def _p_uniform(values: np.ndarray, size: int) -> float:
    return float(stats.chisquare(np.bincount(values.ravel(), minlength=size)).pvalue)


def _p_same(left: np.ndarray, right: np.ndarray, size: int) -> float:
    table = np.stack([np.bincount(part.ravel(), minlength=size) for part in (left, right)])
    return float(stats.chi2_contingency(table[:, table.any(axis=0)]).pvalue)


@pytest.mark.parametrize("family", ["crware", "rware"])
def test_starts_match_the_recorded_sample(golden_directory: Path, family: str) -> None:
    ours, theirs = _starts(golden_directory, family, 4000)
    sizes = {"cell": 110, "dir": 4, "request_queue": 32}
    if family == "crware":
        sizes["shelf_color"] = 2
    for name, size in sizes.items():
        assert _p_uniform(ours[name], size) > 0.001, name
        assert _p_same(ours[name], theirs[name], size) > 0.001, name
        # Each agent, slot or shelf by itself, with Bonferroni's correction.
        columns = ours[name].shape[1]
        assert min(_p_uniform(ours[name][:, k], size) for k in range(columns)) > 0.001 / columns, name
    for name in ("cell", "request_queue"):
        assert (np.diff(np.sort(ours[name], axis=1), axis=1) > 0).all()
    # Whole lanes, not single entries: how far apart robots stand, how many shelves have colour 1.
    assert stats.ks_2samp(*(part["cell"].std(axis=1) for part in (ours, theirs))).pvalue > 0.001
    if family == "crware":
        assert stats.ks_2samp(*(part["shelf_color"].sum(axis=1) for part in (ours, theirs))).pvalue > 0.001


def test_replacements_are_uniform_over_the_shelves_that_are_not_requested() -> None:
    """The only draw that a step makes: 4,000 lanes deliver shelf 0, which robot 0 carries to the first goal."""
    env = make_env(
        {"family": "rware", "n_agents": 1, "request_queue_size": 3, "layout": ".xxx.\n.xxx.\n..g.."}, 4000
    )  # fmt: skip
    env.reset(seed=9)
    shelf_x, shelf_y = env.get_state()["shelf_x"], env.get_state()["shelf_y"]
    shelf_x[:, 0], shelf_y[:, 0] = 1, 2
    here = {"agent_x": 1, "agent_y": 2, "agent_dir": 3, "carrying": 0}
    env.set_state({name: np.full((4000, 1), value) for name, value in here.items()} | {
        "shelf_x": shelf_x, "shelf_y": shelf_y, "request_queue": np.tile([4, 0, 2], (4000, 1)),
    })  # fmt: skip
    rewards = env.step(np.ones((4000, 1), int))[1]
    queue = env.get_state()["request_queue"]
    assert (rewards == 1).all()
    assert (queue[:, [0, 2]] == [4, 2]).all()
    counts = np.bincount(queue[:, 1], minlength=6)
    assert not counts[[0, 2, 4]].any()
    assert stats.chisquare(counts[[1, 3, 5]]).pvalue > 0.001


def test_places_cover_what_a_move_can_change() -> None:
    assert set(PLACES) <= KEYS
