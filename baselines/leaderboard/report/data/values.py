"""Small reductions that keep "not measured" apart from a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["decimal", "finite", "mean", "minimum", "or_nan", "spread", "whole"]

_LONGEST = 1e9


def finite(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def decimal(value: float, digits: int) -> str:
    """Return ``value`` with so many decimals, or, from a billion on, with four digits in all: a cell stays a cell."""
    return f"{value:.{digits}f}" if abs(value) < _LONGEST else f"{value:.3e}"


def or_nan(value: float | None) -> float:
    """Return ``value``, or NaN for None."""
    return math.nan if value is None else value


def whole(value: float | None) -> int | None:
    """Return ``value`` rounded to an integer, or None."""
    return None if value is None else round(value)


def mean(values: Sequence[Any]) -> float | None:
    """Return the mean of the numbers among ``values``; None if there are none."""
    return _reduced(values, np.mean)


def minimum(values: Sequence[Any]) -> float | None:
    """Return the smallest number among ``values``; None if there are none."""
    return _reduced(values, min)


def spread(values: Sequence[Any]) -> float | None:
    """Return the standard deviation of the numbers among ``values``; None if there are none."""
    return _reduced(values, np.std)


def _reduced(values: Sequence[Any], reduce: Callable[[list[float]], Any]) -> float | None:
    present = [float(value) for value in values if isinstance(value, (int, float, np.number))]
    return finite(float(reduce(present))) if present else None
