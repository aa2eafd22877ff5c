"""Schedules of schemes fit the training: what a scheme is named for happens in it, or the training is refused."""

from __future__ import annotations

from typing import Any

import pytest
from agents_common import ALGORITHMS, small_model
from stable_baselines3.common.callbacks import BaseCallback

from adaps_agents import SharingA2C
from adaps_agents.learners.resume import capture_training, restore_training
from adaps_envs.errors import InvalidParameterError

QUICK = {"distance": {"epochs": 1, "batch_size": 512}}
# Environment steps of one update of a small model: 4 lanes, 5 steps.
STEP = 20


def _count_checks(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of the update at every check of the actor."""
    checks, kind = [], type(model.scheme)
    original = kind._check

    def checked(scheme: Any, *args: Any) -> Any:
        if not checks or checks[-1] != int(scheme.noted):
            checks.append(int(scheme.noted))
        return original(scheme, *args)

    monkeypatch.setattr(kind, "_check", checked)
    return checks


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("scheme", "updates", "wanted"),
    [
        ("gradps", 3, [1, 2, 3]), ("gradps", 45, list(range(4, 45, 4))),
        ("madps", 2, [1, 2]), ("madps", 8, [2, 4, 6, 8]), ("madps", 11, [2, 4, 6, 8, 10]),
    ],
)  # fmt: skip
def test_checks_are_spread_over_a_training_of_any_length(
    algorithm: Any, scheme: str, updates: int, wanted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(algorithm, scheme, scheme_options=QUICK if scheme == "madps" else {})
    checks = _count_checks(model, monkeypatch)
    model.learn(STEP * updates)
    assert checks == wanted


def test_a_measurement_is_as_long_as_the_training_has_room_for() -> None:
    scheme = small_model(SharingA2C, "gradps").scheme
    # The budget of the suite bps, 10 checks of 20 measurements each; and one where the authors' numbers come out.
    for updates, wanted in ((3125, (15, 20)), (40_000, (200, 20)), (100, (1, 10))):
        scheme.plan_training(updates)
        assert scheme._schedule() == wanted


@pytest.mark.parametrize(
    ("scheme", "options", "said"),
    [
        ("gradps", {"interval": 200}, r"at update 4,001, and this training ends after 30 .*product below 30"),
        ("gradps", {"interval": 2, "period": 15}, "at update 31, and this training ends after 30"),
        ("madps", {"period": 31}, r"at update 31, and this training ends after 30 .*period of at most 30"),
        ("lorasa", {"switch_at": 0.99}, r"at update 31, and this training ends after 30 .*lower switch_at"),
    ],
)
def test_a_training_in_which_a_scheme_could_not_act_is_refused(scheme: str, options: Any, said: str) -> None:
    model = small_model(SharingA2C, scheme, scheme_options=options)
    with pytest.raises(InvalidParameterError, match=said) as caught:
        model.learn(30 * STEP)
    assert "\n" not in str(caught.value)


class _Stop(BaseCallback):
    """Captures the training at the start of a rollout."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.captured: Any = None

    def _on_rollout_start(self) -> None:
        if self.num_timesteps == self._steps:
            self.captured = capture_training(self.model)

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("scheme", ["gradps", "madps"])
def test_a_resumed_training_keeps_its_schedule(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = QUICK if scheme == "madps" else {}
    through, resumed = (small_model(SharingA2C, scheme, scheme_options=options) for _ in range(2))
    checks, stop = _count_checks(through, monkeypatch), _Stop(10 * STEP)
    through.learn(24 * STEP, stop)
    restore_training(resumed, stop.captured)
    whole = [update for update in checks if update > 10]
    checks.clear()
    resumed.learn(14 * STEP, reset_num_timesteps=False)
    assert checks == whole
