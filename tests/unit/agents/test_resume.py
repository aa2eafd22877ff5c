"""A training that stops and goes on is the one that never stopped, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agents_common import ALGORITHMS, small_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecEnv
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes
from adaps_agents.learners.resume import Arrays, capture_training, restore_training
from adaps_envs import make
from adaps_envs.errors import InvalidParameterError, InvalidStateError

BUDGET = 480
# Options under which what a scheme does seldom happens within the budget.
EVENTFUL: dict[str, dict[str, Any]] = {
    "gradps": {"interval": 2, "period": 2, "threshold": 1.0, "restore": 0.3},
    "madps": {"period": 5, "window": 3, "eps0": 0.0, "eps1": 0.0, "eps2": 1e-9, "distance": {"epochs": 1}},
    "kaleidoscope": {"reset_interval": 100, "reset_probability": 1.0, "offset": 0.0},
}


class Stops(BaseCallback):
    """Captures the training at the start of every rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Arrays] = []

    def _on_rollout_start(self) -> None:
        self.found.append(capture_training(self.model))  # type: ignore[arg-type]

    def _on_step(self) -> bool:
        return True


def assert_same(ours: Arrays, theirs: Arrays) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert (array.dtype, array.shape) == (theirs[name].dtype, theirs[name].shape), name
        assert array.tobytes() == theirs[name].tobytes(), name


def undisturbed(make_model: Any) -> tuple[list[Arrays], Arrays]:
    model, stops = make_model(), Stops()
    model.learn(BUDGET, stops)
    return stops.found, capture_training(model)


def resumed(make_model: Any, stop: Arrays) -> Arrays:
    model = make_model()
    restore_training(model, {name: array.copy() for name, array in stop.items()})
    model.learn(BUDGET - model.num_timesteps, reset_num_timesteps=False)
    return capture_training(model)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", list_schemes())
def test_a_stopped_training_goes_on_to_the_same_bits(algorithm: Any, scheme: str) -> None:
    def make_model() -> Any:
        return small_model(algorithm, scheme, scheme_options=EVENTFUL.get(scheme, {}))

    stops, end = undisturbed(make_model)
    assert len(stops) > 10
    for stop in (stops[0], stops[len(stops) // 2], stops[-1]):
        assert_same(resumed(make_model, stop), end)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_centralised_critic_goes_on_as_well(algorithm: Any) -> None:
    def make_model() -> Any:
        return small_model(algorithm, "adaps", policy_options={"critic": "central"})

    stops, end = undisturbed(make_model)
    assert_same(resumed(make_model, stops[len(stops) // 2]), end)


@pytest.mark.parametrize("scheme", ["gradps", "lorasa"])
def test_a_stop_after_parameters_have_come_is_among_them(scheme: str) -> None:
    stops, _ = undisturbed(lambda: small_model(SharingA2C, scheme, scheme_options=EVENTFUL.get(scheme, {})))
    shapes = [{name: array.shape for name, array in stop.items() if name.startswith("policy/")} for stop in stops]
    assert shapes[0] != shapes[-1], "the test above stops before and after the same structure"


@pytest.mark.parametrize("name", ["BPS-1", "CRWARE-tiny-4a-2c", "RWARE-tiny-2a", "LBF-8x8-2p-3f"])
def test_lanes_go_on_in_every_family(name: str) -> None:
    def make_model() -> Any:
        return small_model(SharingA2C, "fups", make(name, api="sb3", num_envs=4))

    stops, end = undisturbed(make_model)
    assert_same(resumed(make_model, stops[len(stops) // 2]), end)


def test_schedules_and_early_stops_go_on() -> None:
    def make_model() -> Any:
        return small_model(
            SharingPPO, "fups", learning_rate=lambda remaining: 1e-2 * remaining, target_kl=1e-3, clip_range_vf=0.2
        )

    stops, end = undisturbed(make_model)
    assert_same(resumed(make_model, stops[3]), end)


def test_optimisers_with_plain_numbers_go_on() -> None:
    def make_model() -> Any:
        options = {"net_arch": [8], "optimizer_class": RMSpropTFLike}
        return SharingA2C("fups", type_game(4), seed=0, use_rms_prop=False, policy_kwargs=options)

    stops, end = undisturbed(make_model)
    assert any(name.startswith("optimiser number/") for name in end)
    assert_same(resumed(make_model, stops[3]), end)


def test_episode_statistics_go_on() -> None:
    model, stops = small_model(SharingA2C, "fups"), Stops()
    model.learn(BUDGET, stops)
    again = small_model(SharingA2C, "fups")
    restore_training(again, stops.found[-1])
    again.learn(BUDGET - again.num_timesteps, reset_num_timesteps=False)
    assert list(again.ep_info_buffer) == list(model.ep_info_buffer)


def test_arrays_of_another_learner_are_refused() -> None:
    stops, _ = undisturbed(lambda: small_model(SharingA2C, "fups"))
    for other in (small_model(SharingA2C, "nops"), small_model(SharingA2C, "fups", type_game(2))):
        with pytest.raises(InvalidStateError, match="same arguments"):
            restore_training(other, stops[2])
    with pytest.raises(InvalidStateError, match="counters"):
        restore_training(
            small_model(SharingA2C, "fups"), {name: array for name, array in stops[2].items() if name != "counters"}
        )


def test_a_foreign_environment_is_named() -> None:
    class Foreign:
        def __init__(self, env: VecEnv) -> None:
            self._env = env

        def __getattr__(self, name: str) -> Any:
            if name in ("batched", "_env"):
                raise AttributeError(name)
            return getattr(self._env, name)

    model = small_model(SharingA2C, "fups")
    model.learn(40)
    model.env = Foreign(model.env)
    with pytest.raises(InvalidParameterError, match="Foreign"):
        capture_training(model)


def test_captured_arrays_are_copies() -> None:
    model = small_model(SharingA2C, "fups")
    model.learn(80)
    before = capture_training(model)
    kept = {name: array.copy() for name, array in before.items()}
    model.learn(80, reset_num_timesteps=False)
    assert_same(before, kept)
    assert any(not np.array_equal(array, capture_training(model)[name]) for name, array in kept.items())
