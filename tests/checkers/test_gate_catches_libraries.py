"""PettingZoo's tests, the libraries' checks and the face checks: each is fed what breaks its rule, and must say so."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest

import adaps_envs
from adaps_envs.adapters import make_face
from adaps_envs.adapters.aec import AECFace, TurnOrder
from adaps_envs.adapters.gym_single import TeamEnv
from adaps_envs.adapters.gym_vector import TeamVectorEnv
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.adapters.sb3 import SharedVecEnv
from adaps_envs.testing import FACE_CHECKS, LIBRARY_CHECKS, PETTINGZOO_CHECKS, QUICK, NotApplicableError
from adaps_envs.testing.target import Target, resolve

PARAMS = {"groups": [2, 1], "max_cycles": 8}


# -- what anybody's environment may do wrong ---------------------------------------------------------------------------


class OtherSpaces(ParallelFace):
    def observation_space(self, agent: str) -> Any:
        space = super().observation_space(agent)
        return gymnasium.spaces.Box(space.low, space.high, dtype=np.float32)


class OutOfSpace(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        obs, infos = super().reset(seed, options)
        return {agent: value + 100 for agent, value in obs.items()}, infos

    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value + 100 for agent, value in obs.items()}, *rest


class Noisy(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: value + float(np.random.default_rng().random()) for agent, value in rewards.items()}, *rest


class StateOutOfSpace(ParallelFace):
    def state(self) -> Any:
        return super().state() + 1000


class FloatPictures(ParallelFace):
    def render(self) -> Any:
        picture = super().render()
        return None if picture is None else picture / 255


class IgnoresMaxCycles(ParallelFace):
    def __init__(self, batched: Any, *, render_mode: Any = None) -> None:
        super().__init__(adaps_envs.make_batched("BPS-1", 1, groups=[2, 1], max_cycles=6), render_mode=render_mode)


class ForgetsWhenPickled(ParallelFace):
    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.batched = adaps_envs.make_batched("BPS-1", 1, groups=[2, 1], max_cycles=8, local_ratio=0.1)


class NanObservations(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value * np.nan for agent, value in obs.items()}, *rest


class WrongDtype(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value[:-1] for agent, value in obs.items()}, *rest


FAULTS: list[tuple[str, type[ParallelFace], str]] = [
    ("parallel_api", OtherSpaces, "exact same space object"),
    ("aec_api", OutOfSpace, "Out of bounds observation"),
    ("seed", Noisy, "Incorrect reward"),
    ("parallel_seed", Noisy, "Incorrect values for rewards"),
    ("state", StateOutOfSpace, "outside of it's state space"),
    ("render", FloatPictures, "must return a valid image array"),
    ("max_cycles", IgnoresMaxCycles, ""),
    ("cloudpickle", ForgetsWhenPickled, "another game than a fresh one"),
    ("supersuit", NanObservations, "not finite behind SuperSuit"),
    ("torchrl", WrongDtype, ""),
    ("rllib", OutOfSpace, "outside the space that RLlib is given"),
]
CHECKS = {**PETTINGZOO_CHECKS, **LIBRARY_CHECKS}


def _target(kind: type[ParallelFace]) -> Target:
    def factory(render_mode: Any = None, max_cycles: int = 8) -> ParallelFace:
        batched = adaps_envs.make_batched("BPS-1", 1, groups=[2, 1], max_cycles=max_cycles)
        return kind(batched, render_mode=render_mode)

    return resolve(factory)


def test_every_check_has_a_planted_fault() -> None:
    assert {name for name, _, _ in FAULTS} == set(CHECKS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("check", "kind", "message"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_fault_is_caught(check: str, kind: type[ParallelFace], message: str) -> None:
    _run(check, ParallelFace)
    with pytest.raises(Exception, match=message) as caught:
        _run(check, kind)
    assert not isinstance(caught.value, NotApplicableError)


def _run(check: str, kind: type[ParallelFace]) -> None:
    try:
        CHECKS[check](_target(kind), QUICK)
    except NotApplicableError as reason:
        if "is not installed" not in str(reason):
            raise
        pytest.skip(str(reason))


class PicturelessFace(ParallelFace):
    def __init__(self, batched: Any) -> None:
        super().__init__(batched)
        self.metadata = {**self.metadata, "render_modes": []}
        del self.state_space


@pytest.mark.parametrize(
    ("check", "reason"),
    [("render", "declares no render_modes"), ("state", "no state_space"), ("max_cycles", "takes no max_cycles")],
)
def test_what_does_not_apply_is_skipped(check: str, reason: str) -> None:
    target = resolve(lambda: PicturelessFace(adaps_envs.make_batched("BPS-1", 1, **PARAMS)))
    with pytest.raises(NotApplicableError, match=reason):
        CHECKS[check](target, QUICK)


# -- what a face may do wrong ------------------------------------------------------------------------------------------


class ShiftedObservations(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value + np.float32(0.01) for agent, value in obs.items()}, *rest


class OtherRewards(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: value - 1 for agent, value in rewards.items()}, *rest


class Terminates(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, truncated, terminated, infos


class TurnsRunLate(AECFace):
    def observe(self, agent: str) -> Any:
        return super().observe(agent) * 0


class HalfReward(TeamEnv):
    def step(self, action: Any) -> Any:
        obs, reward, *rest = super().step(action)
        return obs, reward / 2, *rest


class TeamOutOfSpace(TeamEnv):
    def step(self, action: Any) -> Any:
        obs, *rest = super().step(action)
        return obs + 100, *rest


class ListReward(TeamEnv):
    def step(self, action: Any) -> Any:
        obs, reward, *rest = super().step(action)
        return obs, [reward], *rest


class VectorNeverTruncates(TeamVectorEnv):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, terminated | truncated, truncated & False, infos


class VectorHidesItsMode(TeamVectorEnv):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.metadata = {**self.metadata, "autoreset_mode": None}


class SlotsIgnoreSeeds(SharedVecEnv):
    def seed(self, seed: Any = None) -> Any:
        return super().seed(5)


class SlotsWithoutLimits(SharedVecEnv):
    def step_wait(self) -> Any:
        obs, rewards, dones, infos = super().step_wait()
        for info in infos:
            info.pop("TimeLimit.truncated", None)
        return obs, rewards, dones, infos


class SlotsWithoutLastObservations(SharedVecEnv):
    def step_wait(self) -> Any:
        obs, rewards, dones, infos = super().step_wait()
        return obs, rewards, dones, [{} for _ in infos]


class SlotsShowTheNewStart(SharedVecEnv):
    def step_wait(self) -> Any:
        obs, rewards, dones, infos = super().step_wait()
        for info, row in zip(infos, obs, strict=True):
            if "terminal_observation" in info:
                info["terminal_observation"] = row
        return obs, rewards, dones, infos


FACE_FAULTS: list[tuple[str, str, type, str]] = [
    ("agreement", "parallel", ShiftedObservations, "step 0: parallel shows other observations"),
    ("agreement", "parallel", OtherRewards, "step 0: parallel pays other rewards"),
    ("agreement", "parallel", Terminates, r"step 7: parallel ends as \(True, False\), the core as \(False, True\)"),
    ("agreement", "aec", TurnsRunLate, "the start: aec shows other observations"),
    ("agreement", "gym", HalfReward, "gym pays another reward"),
    ("gymnasium", "gym", TeamOutOfSpace, "not within the observation space|out of the observation space|space"),
    ("stable_baselines3", "gym", ListReward, "must be a float"),
    ("gymnasium_vector", "gym_vector", VectorNeverTruncates, "step 7 differs from SyncVectorEnv"),
    ("gymnasium_vector", "gym_vector", VectorHidesItsMode, "autoreset_mode"),
    ("vec_env", "sb3", SlotsIgnoreSeeds, r"seed\(s\) is not honoured"),
    ("vec_env", "sb3", SlotsWithoutLimits, "TimeLimit.truncated is None at this end"),
    ("vec_env", "sb3", SlotsWithoutLastObservations, "terminal_observation without an end, or the reverse"),
    ("vec_env", "sb3", SlotsShowTheNewStart, "terminal_observation is not the last observation"),
]


def _sound(api: str, **options: Any) -> Any:
    return make_face(api, "BPS-1", **PARAMS, **options)


def _faulty(api: str, kind: type) -> Any:
    def face(asked: str, *, num_envs: int = 1, **options: Any) -> Any:
        if asked != api:
            return _sound(
                asked, **({"num_envs": num_envs} if asked in ("batched", "gym_vector", "sb3") else {}), **options
            )
        batched = adaps_envs.make_batched("BPS-1", num_envs, **PARAMS)
        return TurnOrder(kind(ParallelFace(batched))) if api == "aec" else kind(batched, **options)

    return face


def test_every_face_check_has_a_planted_fault() -> None:
    assert {name for name, *_ in FACE_FAULTS} | {"registries"} == set(FACE_CHECKS)


@pytest.mark.parametrize("check", FACE_CHECKS)
def test_face_checks_pass_without_a_fault(check: str) -> None:
    FACE_CHECKS[check](_sound, QUICK)


@pytest.mark.parametrize(
    ("check", "api", "kind", "message"), FACE_FAULTS, ids=[f"{row[0]}-{row[2].__name__}" for row in FACE_FAULTS]
)
def test_face_fault_is_caught(check: str, api: str, kind: type, message: str) -> None:
    with pytest.raises(Exception, match=message):
        FACE_CHECKS[check](_faulty(api, kind), QUICK)


def test_a_registry_that_gives_another_game_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # PettingZoo has a registry from 1.27 on.
    monkeypatch.setattr(pettingzoo, "make", lambda api, name, **kwargs: _sound(api).unwrapped, raising=False)
    monkeypatch.setattr(gymnasium, "make", lambda name, **kwargs: make_face("gym", "BPS-2"))
    with pytest.raises(adaps_envs.AdapsError, match=r"gymnasium.make gives BPS-2-v0, not BPS-1-v0"):
        FACE_CHECKS["registries"](_sound, QUICK)
