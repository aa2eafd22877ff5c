"""Speed in CPU time, as medians over interleaved repetitions: other processes on the machine hardly count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["calibrated_calls", "measure_rate"]


def calibrated_calls(work: Callable[[], None], seconds: float, clock: Callable[[], float] = time.process_time) -> int:
    """Return how many calls of ``work`` fill about ``seconds`` of CPU time; the first may compile and is free."""
    work()
    calls = 1
    while True:
        start = clock()
        for _ in range(calls):
            work()
        spent = clock() - start
        if spent >= seconds / 4:
            return max(1, round(calls * seconds / spent))
        calls *= 4


def measure_rate(
    works: Mapping[str, Callable[[], None]],
    *,
    seconds: float = 0.3,
    repetitions: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Return the calls per second of CPU time of each of ``works``, measured in turns.

    Args:
        works: name to a function that does one unit of work.
        seconds: CPU time of one repetition of one function.
        repetitions: the median over so many is returned.
        clock: gives seconds.
    """
    calls = {name: calibrated_calls(work, seconds, clock) for name, work in works.items()}
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repetitions):
        for name, work in works.items():
            start = clock()
            for _ in range(calls[name]):
                work()
            rates[name].append(calls[name] / max(clock() - start, 1e-9))
    return {name: statistics.median(values) for name, values in rates.items()}
