"""What a run produces, and its exact bytes on disk: arrays in ``.npz``, weights in ``.safetensors``, points as JSON.

The same values always give the same bytes, and nothing that is read back can execute code: arrays are loaded without
pickle, weights with safetensors, and shapes and types are checked against the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from baselines.leaderboard.bounds import MAX_RETURN
from baselines.leaderboard.files import canonical_json, check_values, finite_or_null, parse_json
from baselines.leaderboard.records.npz import decode_npz, encode_npz
from baselines.leaderboard.spec.config import TaskConfig

__all__ = [
    "ActionLog",
    "Evaluation",
    "FinalActions",
    "WeightsFile",
    "decode_actions",
    "decode_evaluation",
    "decode_final_actions",
    "decode_metrics",
    "decode_weights",
    "decode_weights_metadata",
    "decode_weights_names",
    "encode_arrays",
    "encode_metrics",
    "encode_weights",
]

Weights = dict[str, NDArray[Any]]

_MAX_HEADER_BYTES = 1 << 24
_MAX_ARRAY_HEADER = 256


@dataclass(frozen=True)
class Evaluation:
    """Team returns of every evaluation episode of a run. Letters: P points, E episodes a point, Q absolute episodes.

    Attributes:
        marks: ``[P] int64`` environment steps at which evaluation was due.
        steps: ``[P] int64`` environment steps really spent then, identity steps included; never below the mark.
        greedy: ``[P, E] float64`` returns with the most likely actions.
        sampled: ``[P, E] float64`` returns with sampled actions, the same episodes.
        seeds: ``[E] int64`` environment seeds of the episodes, the same at every point.
        absolute: ``[Q] float64`` returns of the best point's policy in fresh episodes, played as the task is scored.
        absolute_seeds: ``[Q] int64``.
        best_point: ``[] int64`` index into P of the point with the highest mean, the earliest of equals.
    """

    marks: NDArray[np.int64]
    steps: NDArray[np.int64]
    greedy: NDArray[np.float64]
    sampled: NDArray[np.float64]
    seeds: NDArray[np.int64]
    absolute: NDArray[np.float64]
    absolute_seeds: NDArray[np.int64]
    best_point: NDArray[np.int64]

    def scored(self, task: TaskConfig) -> NDArray[np.float64]:
        """Return those of the returns ``[P, E]`` that count for the score of a task."""
        return self.sampled if task.scored == "sampled" else self.greedy


@dataclass(frozen=True)
class WeightsFile:
    """Weights by parameter name, and what the file says of them (see :mod:`adaps_agents.export.weights`)."""

    arrays: Weights
    metadata: dict[str, str]


@dataclass(frozen=True)
class FinalActions:
    """Actions of the episodes that give the score, so that it can be replayed without weights.

    Attributes:
        final: ``[T, E, N] uint8`` actions of the last evaluation point, played as the task is scored. T is the longest
            episode.
        final_lengths: ``[E] int64`` steps of each episode; later entries of ``final`` are 0.
    """

    final: NDArray[np.uint8]
    final_lengths: NDArray[np.int64]


@dataclass(frozen=True)
class ActionLog(FinalActions):
    """Actions of all held-out episodes whose policies are stored.

    Attributes:
        absolute: ``[T, Q, N] uint8`` actions of the absolute episodes.
        absolute_lengths: ``[Q] int64``.
    """

    absolute: NDArray[np.uint8]
    absolute_lengths: NDArray[np.int64]


def encode_arrays(arrays: Evaluation | FinalActions) -> bytes:
    """Return ``evaluation.npz``, ``actions.npz`` or, of the final actions alone, ``actions_final.npz``."""
    return encode_npz({field.name: getattr(arrays, field.name) for field in fields(arrays)})


def decode_evaluation(data: bytes, task: TaskConfig) -> Evaluation:
    """Read ``evaluation.npz`` and hold it to its task.

    Raises:
        ValueError: wrong members, shapes, dtypes or values.
    """
    points, episodes, held_out = task.eval_points, task.eval_episodes, task.absolute_episodes
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "marks": ((points,), "int64"),
        "steps": ((points,), "int64"),
        "greedy": ((points, episodes), "float64"),
        "sampled": ((points, episodes), "float64"),
        "seeds": ((episodes,), "int64"),
        "absolute": ((held_out,), "float64"),
        "absolute_seeds": ((held_out,), "int64"),
        "best_point": ((), "int64"),
    }
    arrays = decode_npz(data, sum(8 * math.prod(shape) + _MAX_ARRAY_HEADER for shape, _ in expected.values()))
    _check_members(arrays, expected)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a value that is not finite")
        beyond = array[np.abs(array) > MAX_RETURN]
        if array.dtype.kind == "f" and beyond.size:
            raise ValueError(f"{name} holds the return {beyond[0]:g}; at most {MAX_RETURN:g} can be scored")
    if (arrays["steps"] < 0).any() or (np.diff(arrays["steps"]) < 0).any():
        raise ValueError("steps must not decrease")
    if not 0 <= int(arrays["best_point"]) < points:
        raise ValueError(f"best_point {int(arrays['best_point'])} is not one of the {points} points")
    return Evaluation(**arrays)


def decode_actions(data: bytes, task: TaskConfig) -> ActionLog:
    """Read ``actions.npz`` and hold it to its task.

    Raises:
        ValueError: wrong members, shapes or dtypes.
    """
    return ActionLog(**_decode_logs(data, final=task.eval_episodes, absolute=task.absolute_episodes))


def decode_final_actions(data: bytes, task: TaskConfig) -> FinalActions:
    """Read ``actions_final.npz`` and hold it to its task; raises ValueError as :func:`decode_actions` does."""
    return FinalActions(**_decode_logs(data, final=task.eval_episodes))


def _decode_logs(data: bytes, **logs: int) -> dict[str, NDArray[Any]]:
    """Read action logs, given by name with their numbers of episodes."""
    arrays = decode_npz(data)
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, episodes in logs.items():
        shape = arrays[name].shape if name in arrays and arrays[name].ndim == 3 else (1, 1, 1)
        expected[name] = ((shape[0], episodes, shape[2]), "uint8")
        expected[f"{name}_lengths"] = ((episodes,), "int64")
    _check_members(arrays, expected)
    for name in logs:
        lengths = arrays[f"{name}_lengths"]
        if (lengths < 1).any() or (lengths > len(arrays[name])).any():
            raise ValueError(f"{name}_lengths must lie in 1..{len(arrays[name])}")
    return arrays


def encode_weights(weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a safetensors file.

    Args:
        weights: arrays by name, of any shapes and dtypes.
        metadata: one entry at most, because the order of several is not fixed.
    """
    assert metadata is None or len(metadata) <= 1
    arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    return save_safetensors(arrays, None if metadata is None else dict(metadata))


def decode_weights(data: bytes) -> Weights:
    """Read a safetensors file.

    Raises:
        ValueError: it is not one.
    """
    try:
        return load_safetensors(data)
    except Exception as error:  # SafetensorError for most damage, others for types that numpy does not have
        raise ValueError(f"not a safetensors file ({error})") from None


def decode_weights_metadata(data: bytes) -> dict[str, str]:
    """Read what a safetensors file says next to its arrays.

    Raises:
        ValueError: it is none, or its header is too large.
    """
    metadata = _weights_header(data).get("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise ValueError("its header is no object with texts as metadata")
    return metadata


def decode_weights_names(data: bytes) -> list[str]:
    """Read the names of a safetensors file's arrays, and none of the arrays.

    Raises:
        ValueError: it is none, or its header is too large.
    """
    return sorted(name for name in _weights_header(data) if name != "__metadata__")


def encode_metrics(points: list[dict[str, Any]]) -> bytes:
    """Return ``metrics.jsonl``: one line a point; a scalar that is not finite becomes null."""
    return b"".join(canonical_json(finite_or_null(point)) + b"\n" for point in points)


def decode_metrics(data: bytes) -> list[dict[str, Any]]:
    """Read ``metrics.jsonl``.

    Raises:
        ValueError: a line is no JSON object, or the last one is cut off; the message gives the line number.
    """
    if data and not data.endswith(b"\n"):
        raise ValueError("the last line is cut off")
    check_values(data)
    points = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            point = parse_json(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(point, dict):
            raise ValueError(f"line {number}: not an object")
        points.append(point)
    return points


def _weights_header(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(
            f"not a safetensors file: its header claims {size:,} bytes; at most {_MAX_HEADER_BYTES:,} and not beyond it"
        )
    header = parse_json(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("its header is no object with texts as metadata")
    return header


def _check_members(arrays: dict[str, NDArray[Any]], expected: dict[str, tuple[tuple[int, ...], str]]) -> None:
    if set(arrays) != set(expected):
        raise ValueError(f"holds {sorted(arrays)}, not {sorted(expected)}")
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.dtype(dtype):
            raise ValueError(f"{name} is {list(array.shape)} {array.dtype}, not {list(shape)} {dtype}")
