"""Every recorded step of the original BPS, bit for bit; its start states in distribution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from adaps_envs import InvalidParameterError, UnknownNameError
from adaps_envs.testing import load_golden, make_env, replay

TASKS = ["v1", "v2", "v3", "v4", "v5", "v6", "v1-cooperative"]


@pytest.mark.parametrize("task", TASKS)
def test_every_recorded_step_replays(golden_directory: Path, task: str) -> None:
    files = sorted(golden_directory.glob(f"bps__{task}__s*.npz"))
    assert files
    for path in files:
        report = replay(path)
        assert report.steps > 0
        assert report.ties == 0
        assert set(report.compared) == {
            "obs before",
            "pos",
            "vel",
            "landmark_pos",
            "cur_steps",
            "rewards",
            "dones",
            "obs",
        }
        assert all(report.compared.values())
        assert report.mismatches == dict.fromkeys(report.compared, 0), path.name
        assert report.total == 0


@pytest.mark.parametrize(
    ("array", "index"), [("pos", (50, 3, 1)), ("rewards", (20, 2)), ("obs", (7, 0, 0)), ("dones", (3, 1))]
)
def test_one_wrong_number_is_found(golden_directory: Path, tmp_path: Path, array: str, index: tuple[int, ...]) -> None:
    path = sorted(golden_directory.glob("bps__v1__s*.npz"))[0]
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    entry = arrays[array][index]
    arrays[array][index] = ~entry if entry.dtype == bool else np.nextafter(entry, entry.dtype.type(99)) * (1 + 1e-6)
    np.savez(tmp_path / "bad.npz", **arrays)
    assert replay(tmp_path / "bad.npz").total >= 1
    assert replay(path).total == 0


def test_file_without_a_trajectory_is_refused(golden_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="holds no trajectory"):
        replay(golden_directory / "bps__resets-v1__s174.npz")
    np.savez(tmp_path / "empty.npz", pos=np.zeros(3))
    with pytest.raises(InvalidParameterError, match="has no 'config'"):
        replay(tmp_path / "empty.npz")


def test_unknown_family_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no family 'bsp' with golden trajectories"):
        make_env({"family": "bsp"}, 1)


def _starts(num_lanes: int) -> dict[str, np.ndarray]:
    env = make_env({"family": "bps", "groups": [5, 5, 5]}, num_lanes)
    env.reset(seed=1234)
    return env.get_state()


def test_starts_are_uniform() -> None:
    state = _starts(2000)
    assert not state["vel"].any()
    assert not state["cur_steps"].any()
    for axis in range(2):
        agents, landmarks = state["pos"][..., axis].ravel(), state["landmark_pos"][..., axis].ravel()
        assert stats.kstest(agents, stats.uniform(-1, 2).cdf).pvalue > 0.001
        assert stats.kstest(landmarks, stats.uniform(-3, 6).cdf).pvalue > 0.001


def test_starts_are_independent() -> None:
    state = _starts(2000)
    columns = np.concatenate([state["pos"].reshape(2000, -1), state["landmark_pos"].reshape(2000, -1)], axis=1)
    correlation = np.corrcoef(columns, rowvar=False)
    off = np.abs(correlation[~np.eye(len(correlation), dtype=bool)])
    # Fisher's bound at p = 0.001 for the largest of all pairs.
    pairs = len(off) / 2
    bound = np.tanh(stats.norm.ppf(1 - 0.0005 / pairs) / np.sqrt(2000 - 3))
    assert off.max() < bound


def test_starts_match_the_recorded_sample(golden_directory: Path) -> None:
    _, recorded = load_golden(golden_directory / "bps__resets-v1__s174.npz")
    state = _starts(2000)
    for name in ("pos", "landmark_pos"):
        for axis in range(2):
            ours, theirs = state[name][..., axis].ravel(), recorded[name][..., axis].ravel()
            assert stats.ks_2samp(ours, theirs).pvalue > 0.001
        # A quantity of whole lanes, not of single coordinates: the spread within each.
        ours, theirs = state[name].std(axis=1).sum(axis=1), recorded[name].std(axis=1).sum(axis=1)
        assert stats.ks_2samp(ours, theirs).pvalue > 0.001
