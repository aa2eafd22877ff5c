"""Replay of recorded trajectories of the original environments, transition by transition.

A golden file holds frames (states and observations) and steps; step ``t`` leads from frame ``k = step_frame[t]`` to
frame ``k + 1``. Every step is replayed as one lane: inject frame ``k``, apply the recorded actions, compare.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest
from adaps_envs.registry import families, load

__all__ = ["ReplayReport", "load_golden", "make_env", "replay"]


@dataclass(frozen=True)
class ReplayReport:
    """What a replay found.

    Attributes:
        path: the golden file.
        steps: T, the steps replayed.
        ties: steps whose outcome is arbitrary in the original; they are not compared.
        mismatches: number of compared entries that differ, by array: each state array, ``rewards``, ``dones``, ``obs``
            (before the step and after it).
        compared: number of compared entries, by array.
    """

    path: str
    steps: int
    ties: int
    mismatches: dict[str, int] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All mismatches together."""
        return sum(self.mismatches.values())


def make_env(config: Mapping[str, Any], num_envs: int) -> BatchedEnv:
    """Build the environment that a golden file's ``config`` describes.

    Args:
        config: the parsed JSON of the file's ``config`` array; ``config["family"]`` names the family. Arrays, tuples
            and whole floats stand for JSON's lists and integers, None for a key that is not there, and keys that say
            nothing about the game are passed over.
        num_envs: B.

    Raises:
        UnknownNameError: the family is unknown or has no recorded trajectories.
        InvalidParameterError: a key is missing that no default stands for, or a value breaks its rule.
    """
    config = _Config({key: _as_json(value) for key, value in config.items() if value is not None})
    replayable = {
        name: (family.env, function) for family in families().values() for name, function in family.golden.items()
    }
    name = config.get("family")
    if name not in replayable:
        raise UnknownNameError(f"no family {name!r} with golden trajectories. {suggest(name, replayable)}")
    env_class, function = replayable[name]
    env: BatchedEnv = load(env_class)(num_envs, load(function)(config))
    return env


class _Config(dict[str, Any]):
    """A configuration that says which key it lacks."""

    def __missing__(self, key: str) -> Any:
        raise InvalidParameterError(
            f"the config has no {key!r}, which a recorded trajectory of family {self.get('family')!r} must name; "
            f"it has {', '.join(sorted(self))}."
        )


def _as_json(value: Any) -> Any:
    """Return ``value`` as a parser of JSON would have built it, with whole numbers as integers."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_as_json(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def load_golden(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the configuration and the arrays, of any shapes and dtypes, of a golden file; nothing is unpickled.

    Raises:
        InvalidParameterError: the file has no ``config``.
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    if "config" not in arrays:
        raise InvalidParameterError(f"{path} has no 'config' array; it is not a golden trajectory.")
    return json.loads(str(arrays.pop("config"))), arrays


def replay(path: str | Path, *, atol: float = 0.0) -> ReplayReport:
    """Replay every step of a golden file and count the entries that differ.

    Args:
        path: an ``.npz`` of recorded frames and steps.
        atol: largest absolute difference of floats that counts as equal; 0 compares bit for bit.

    Raises:
        InvalidParameterError: the file is not a golden trajectory.
        UnknownNameError: its family is not known.
    """
    config, arrays = load_golden(path)
    missing = sorted({"step_frame", "ep_first_frame", "actions", "rewards", "dones", "obs"} - arrays.keys())
    if missing:
        raise InvalidParameterError(f"{path} has no arrays {missing}; it holds no trajectory that can be replayed.")
    before = arrays["step_frame"].astype(np.int64)
    # Images are recorded in their own shape; the batched interface flattens them.
    arrays["obs"] = arrays["obs"].reshape(*arrays["obs"].shape[:2], -1)
    env = make_env(config, len(before))
    tie = arrays.get("tie", np.zeros(len(before), bool))
    state = _state_at(env, arrays, before)
    streams = env.recorded_streams(state, arrays)
    env.set_state(state if streams is None else {**state, "rng": streams})
    results = {"obs before": (env.observe(), arrays["obs"][before])}
    obs, rewards, terminated, truncated = env.step(arrays["actions"].astype(np.int64))
    after = env.get_state()
    for name, recorded in _state_at(env, arrays, before + 1).items():
        results[name] = (after[name], recorded)
    results["rewards"] = (rewards, arrays["rewards"].astype(np.float32))
    results["dones"] = (np.repeat((terminated | truncated)[:, None], env.num_agents, axis=1), arrays["dones"])
    results["obs"] = (obs, arrays["obs"][before + 1])
    counts = {name: _differing(ours[~tie], theirs[~tie], atol) for name, (ours, theirs) in results.items()}
    sizes = {name: int(theirs[~tie].size) for name, (_, theirs) in results.items()}
    return ReplayReport(str(path), len(before), int(tie.sum()), counts, sizes)


def _state_at(
    env: BatchedEnv, arrays: Mapping[str, NDArray[Any]], frames: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return the recorded state arrays at ``frames [T]``, lane axis first, and the step counter."""
    episode = np.searchsorted(arrays["ep_first_frame"], frames, side="right") - 1
    num_frames = len(arrays["obs"])
    state = {"cur_steps": (frames - arrays["ep_first_frame"][episode]).astype(np.int32)}
    for spec in env.state_table:
        if spec.name in arrays:
            array = arrays[spec.name]
            state[spec.name] = array[frames] if len(array) == num_frames else array[episode]
    return {name: array for name, array in state.items() if name in {spec.name for spec in env.state_table}}


def _differing(ours: NDArray[Any], theirs: NDArray[Any], atol: float) -> int:
    if ours.shape != theirs.shape:
        return int(max(ours.size, theirs.size))
    if atol == 0.0 or theirs.dtype.kind != "f":
        return int((ours != theirs).sum())
    return int((~np.isclose(ours, theirs, rtol=0.0, atol=atol)).sum())
