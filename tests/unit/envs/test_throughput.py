"""The speed helper, with a clock that we turn ourselves."""

from __future__ import annotations

from adaps_envs.testing.throughput import calibrated_calls, measure_rate


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, cost: float) -> None:
        """Spend ``cost`` seconds."""
        self.now += cost


def test_calls_fill_the_time() -> None:
    clock = _Clock()
    assert calibrated_calls(lambda: clock.work(0.01), 1.0, clock) == 100
    assert calibrated_calls(lambda: clock.work(5.0), 1.0, clock) == 1


def test_rates_are_calls_per_second() -> None:
    clock = _Clock()
    works = {"fast": lambda: clock.work(0.001), "slow": lambda: clock.work(0.004)}
    rates = measure_rate(works, seconds=0.1, repetitions=3, clock=clock)
    assert round(rates["fast"]) == 1000
    assert round(rates["slow"]) == 250


def test_the_median_ignores_one_disturbed_repetition() -> None:
    clock = _Clock()
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1
        clock.work(1.0 if calls == 400 else 0.001)

    assert round(measure_rate({"work": work}, seconds=0.1, repetitions=5, clock=clock)["work"]) == 1000
