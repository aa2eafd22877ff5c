"""Round numbers along an axis, and how they are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["NEAR_ONE", "decade_ticks", "near_one", "round_ticks", "short"]

_MOST = 8
_CLOSEST = 1e-300
# The distance from 1 up to which the widened axis is about even.
_NEAR = 0.02

NEAR_ONE = (
    1.0, 0.0, 0.9, 0.5, 1.1, 0.98, 1.02, 0.8, 1.5, 0.95, 1.05, 0.99, 1.01, 0.7, 2.0, -1.0, 0.995, 1.005, 0.2,
    1.2, -5.0, 5.0,
)  # fmt: skip
"""Round numbers on an axis of scores that is widened near 1, the most important first."""


def near_one(score: Any) -> Any:
    """Return where scores lie on an axis that is widened near 1: about even within 0.02, logarithmic further off."""
    return np.arcsinh((np.asarray(score, np.float64) - 1) / _NEAR)


def round_ticks(low: float, high: float) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``, at most eight; both finite.

    There are none where the ends are so close that a step between them would underflow.
    """
    if high - low < _CLOSEST:
        return []
    power = math.floor(math.log10((high - low) / _MOST))
    steps = (digit * 10.0**exponent for exponent in (power, power + 1) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step < _MOST)
    # Rounded, so that they read 0.3 and not 0.30000000000000004.
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(k * step, decimals) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decade_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two powers of ten: powers of ten first, then others in ascending order.

    Args:
        low: decimal logarithm of the smallest number.
        high: of the largest.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        ticks = [float(digit) * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if tick > 0 and low <= math.log10(tick) <= high]
        if len(ticks) >= 4:
            break
    else:  # less than a decade and a half
        ticks = [tick for tick in round_ticks(10.0**low, 10.0**high) if low <= math.log10(tick) <= high]
    if not ticks:  # the ends lie closer together than round numbers do
        return [10.0 ** ((low + high) / 2)]
    return sorted(ticks[:: math.ceil(len(ticks) / _MOST)], key=lambda tick: (math.log10(tick) % 1 != 0, tick))


def short(value: float) -> str:
    """Return a number in a few characters: thousands and more in units of k, M and G."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}".replace("-", "\N{MINUS SIGN}")
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
