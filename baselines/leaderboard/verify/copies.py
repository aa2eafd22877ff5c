"""Telling whether one run was handed in as another one: by its weights, by its neurons, and by what it does.

Two seeds of one scheme learn to act alike, but never by the same numbers. A copy may have its neurons in another order,
scaled and noisy; what it computes, and the directions of its neurons, stay those of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.leaderboard.files import sha256_hex

__all__ = ["CLOSE", "SAME_ANSWERS", "SAME_NEURONS", "WeightsPrint", "answers_of", "answers_apart", "neurons_apart",
           "print_of", "same_weights"]  # fmt: skip

CLOSE = 5e-2
"""Two arrays are the same but for noise if they differ by at most this share of their size."""

SAME_NEURONS = 0.4
"""Below it, the neurons of two runs are the same but for noise; see :func:`neurons_apart`.

248 pairs of honest seeds lay above 0.8; a copy with noise of a fifth of its weights below 0.4.
"""

SAME_ANSWERS = 4e-2
"""Below it, two runs act by the same function but for noise; see :func:`answers_apart`.

248 pairs of honest seeds lay above 0.12, after 8,000 to 300,000 steps. Where all agents want the same and exploring is
rewarded, others came as near as 0.03.
"""

_FEWEST_WEIGHTS = 32
_FEWEST_NEURONS = 32
_MOST_VALUES = 4_096
_MOST_NEURONS, _COMPARED_NEURONS = 65_536, 256
_FIRST_LAYER = "scheme.actor_net.weights.0"
# Scores that differ by less are equal but for rounding.
_ROUNDING = 1e-6

Values = NDArray[np.float32]


@dataclass(frozen=True)
class WeightsPrint:
    """What is kept of a run's weights, so that thousands of runs can be compared.

    Attributes:
        layout: hash of the names and shapes of the arrays of floats.
        values: some of each array, one after the other.
        starts: where those of an array begin.
        neurons: ``[R, F]``, the directions of the neurons in the actor's first layer; R is 0 without such a layer.
        spacing: how far they usually are from the nearest one of their own.
    """

    layout: str
    values: Values
    starts: NDArray[np.int64]
    neurons: Values
    spacing: float


def print_of(weights: Mapping[str, NDArray[Any]]) -> WeightsPrint:
    """Return the print of a run's weights, given by name, of any shapes; only arrays of floats count."""
    floats = {name: array for name, array in weights.items() if array.dtype.kind == "f"}
    layout = repr([(name, array.shape) for name, array in sorted(floats.items())])
    some = [_some(array.reshape(-1), _MOST_VALUES) for _, array in sorted(floats.items()) if array.size]
    starts = np.cumsum([0, *map(len, some[:-1])])
    first = floats.get(_FIRST_LAYER, np.zeros((0, 1), np.float32))
    neurons = _directions(first.reshape(-1, first.shape[-1] if first.ndim else 1))
    values = np.concatenate(some) if some else np.zeros(0, np.float32)
    return WeightsPrint(sha256_hex(layout.encode()), values, starts, neurons, _spacing(neurons))


def same_weights(own: WeightsPrint, theirs: WeightsPrint) -> bool:
    """Whether all arrays of two runs are the same but for noise; one that hardly varies says nothing by itself."""
    if own.layout != theirs.layout or not own.values.size:
        return own.layout == theirs.layout
    close = 0.0 if len(own.values) < _FEWEST_WEIGHTS else CLOSE
    # All arrays at once: a file may have thousands of them.
    wide = theirs.values.astype(np.float64)
    apart, size = (np.sqrt(np.add.reduceat(values**2, own.starts)) for values in (own.values - wide, wide))
    return bool((apart <= close * size).all())


def neurons_apart(own: WeightsPrint, theirs: WeightsPrint) -> float:
    """Return how far neurons are from the nearest ones of another run, in units of their distance from each other.

    1 is what chance gives, 0 is the same neurons in whatever order and scale. Too few of them give 1.
    """
    mine, others = own.neurons, theirs.neurons
    few = min(len(mine), len(others)) < _FEWEST_NEURONS
    if few or mine.shape[1] != others.shape[1] or own.spacing == 0.0:
        return 1.0
    return _typical_distance(_some(mine, _COMPARED_NEURONS) @ others.T) / own.spacing


def answers_of(scores: NDArray[Any], lacking: NDArray[np.bool_] | None = None) -> Values:
    """Return what tells how agents act, ``[N, S * A]``: scores less what any observation and any action would get.

    Args:
        scores: ``[S, N, A]``, the logits of every agent on the same S observations.
        lacking: ``[N, A]``, actions that agents lack; None if they have all.
    """
    table = scores.astype(np.float64).transpose(1, 0, 2)
    own = np.ones(table.shape[::2], np.bool_) if lacking is None else ~lacking
    table = np.where(own[:, None], table, 0.0)
    size = np.linalg.norm(table, axis=(1, 2))
    table = np.where(own[:, None], table - table.sum(axis=2, keepdims=True) / own.sum(axis=1)[:, None, None], 0.0)
    table -= table.mean(axis=1, keepdims=True)
    # Of a policy that does not look, rounding alone would be left.
    blind = np.linalg.norm(table, axis=(1, 2)) <= _ROUNDING * size
    table[blind] = 0.0
    return table.reshape(len(table), -1).astype(np.float32)


def answers_apart(own: Values, theirs: Values) -> float:
    """Return how far the agents of two runs act apart, whatever their order and the scale of their scores.

    0 is the same function, 1 is nothing in common; each agent is held to the nearest one of the other run.

    Args:
        own: of :func:`answers_of`.
        theirs: of another run on the same observations.
    """
    if own.shape != theirs.shape or own.size == 0:
        return 1.0
    alike = np.clip(_unit(own) @ _unit(theirs).T, 0.0, 1.0)
    apart = np.sqrt(1.0 - alike**2)
    return float(max(apart.min(axis=0).mean(), apart.min(axis=1).mean()))


def _directions(rows: NDArray[Any]) -> Values:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return _some(_unit(rows[(lengths > 0) & np.isfinite(lengths)]), _MOST_NEURONS)


def _spacing(neurons: Values) -> float:
    if len(neurons) < _FEWEST_NEURONS:
        return 0.0
    chosen = _places(neurons, _COMPARED_NEURONS)
    cosines = neurons[chosen] @ neurons.T
    cosines[np.arange(len(chosen)), chosen] = -1.0
    return _typical_distance(cosines)


def _typical_distance(cosines: Values) -> float:
    """Return the median distance from the nearest one, by the cosines ``[Q, R]`` of directions."""
    return float(np.median(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines.max(axis=1)))))


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)


def _some(values: NDArray[Any], most: int) -> Values:
    """Return at most so many entries along the first axis, evenly spread, as a copy."""
    return np.asarray(values[_places(values, most)], np.float32)


def _places(values: NDArray[Any], most: int) -> NDArray[np.int64]:
    return np.linspace(0, len(values) - 1, min(len(values), most)).astype(np.int64)
