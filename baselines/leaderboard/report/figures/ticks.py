"""Round numbers along an axis, and how they are written."""

from __future__ import annotations

import math

__all__ = ["decade_ticks", "round_ticks", "short"]

_MOST = 8


def round_ticks(low: float, high: float) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``, at most eight; both finite."""
    power = math.floor(math.log10((high - low) / _MOST))
    steps = (digit * 10.0**exponent for exponent in (power, power + 1) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step < _MOST)
    # Rounded, so that they read 0.3 and not 0.30000000000000004.
    decimals = max(0, -math.floor(math.log10(step)))
    return [round(k * step, decimals) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decade_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two powers of ten, at least two as far as there are; finer the closer the ends.

    Args:
        low: decimal logarithm of the smallest number.
        high: of the largest.
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), [tenth / 10 for tenth in range(10, 100)]):
        ticks = [float(digit) * 10.0**power for power in powers for digit in digits]
        ticks = [tick for tick in ticks if tick > 0 and low <= math.log10(tick) <= high]
        if len(ticks) >= 4:
            break
    if not ticks:  # the ends lie closer together than round numbers do
        return [10.0 ** ((low + high) / 2)]
    return ticks[:: math.ceil(len(ticks) / _MOST)]


def short(value: float) -> str:
    """Return a number in a few characters: thousands and more in units of k, M and G."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}".replace("-", "\N{MINUS SIGN}")
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
