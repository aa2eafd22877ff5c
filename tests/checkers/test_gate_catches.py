"""Every check of the gate is fed an environment that breaks exactly its rule, and must say so."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaps_envs import registry
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.families.bps import digests
from adaps_envs.families.bps.env import BPS
from adaps_envs.families.bps.params import BPSParams
from adaps_envs.testing import (
    BATCHED_CHECKS,
    OWN_CHECKS,
    PARALLEL_CHECKS,
    QUICK,
    ConformanceError,
    NotApplicableError,
    Trace,
    assert_same_trace,
    check_target,
    random_rollout,
)

MAX_CYCLES = 8
OUR_RULES = ["parallel/*", "batched/*"]


def _core(num_envs: int = 1, kind: type[BPS] = BPS, num_threads: int = 1) -> BPS:
    return kind(num_envs, BPSParams(groups=(2, 1), max_cycles=MAX_CYCLES), num_threads=num_threads)


# -- broken parallel environments --------------------------------------------------------------------------------------


class OutOfSpace(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value + 100 for agent, value in obs.items()}, *rest


class WrongDtype(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        obs, infos = super().reset(seed, options)
        return {agent: value.astype(np.float64) for agent, value in obs.items()}, infos


class WrongDtypeInSteps(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        return {agent: value.astype(np.float64) for agent, value in obs.items()}, *rest


class NumpyRewards(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: np.float32(value) for agent, value in rewards.items()}, *rest


class NanRewards(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, dict.fromkeys(rewards, float("nan")), *rest


class NumpyFlags(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, *rest = super().step(actions)
        return obs, rewards, {agent: np.bool_(value) for agent, value in terminated.items()}, *rest


class StateOutOfSpace(ParallelFace):
    def state(self) -> Any:
        return super().state() + 1000


class NewSpaces(ParallelFace):
    def action_space(self, agent: str) -> Any:
        return type(super().action_space(agent))(5)


class ReusedBuffer(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        obs, infos = super().reset(seed, options)
        self.buffer = obs
        return obs, infos

    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        for agent, value in obs.items():
            self.buffer[agent][:] = value
        return self.buffer, *rest


class ExposedState(ParallelFace):
    """Plays on in what it handed out."""

    def step(self, actions: Any) -> Any:
        obs, *rest = super().step(actions)
        if hasattr(self, "kept"):
            drift = float(np.clip(self.kept["agent_0"][0] - self.kept_value, -1, 1))
            rest[0] = {agent: value + drift for agent, value in rest[0].items()}
        self.kept, self.kept_value = obs, float(obs["agent_0"][0])
        return obs, *rest


class WritesActions(ParallelFace):
    def step(self, actions: Any) -> Any:
        result = super().step(actions)
        actions["agent_0"] = 99
        return result


class Noisy(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: value + float(np.random.default_rng().random()) for agent, value in rewards.items()}, *rest


class IgnoresSeeds(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=0, options=options)


class CarriesOver(ParallelFace):
    """Keeps something of the old episode over a reset."""

    steps = 0

    def step(self, actions: Any) -> Any:
        self.steps += 1
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: value - (self.steps > 5) for agent, value in rewards.items()}, *rest


class AlwaysTheSameEpisode(ParallelFace):
    last = 0

    def reset(self, seed: Any = None, options: Any = None) -> Any:
        self.last = self.last if seed is None else seed
        return super().reset(seed=self.last, options=options)


class FreshEntropyEachEpisode(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        entropy = int(np.random.SeedSequence().generate_state(1)[0])
        return super().reset(seed=entropy if seed is None else seed, options=options)


class RejectsOptions(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        if options:
            raise ValueError("unknown options")
        return super().reset(seed)


class OptionsMatter(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        return super().reset(None if seed is None else seed + bool(options))


class TerminatesAtTheLimit(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, _, truncated, infos = super().step(actions)
        return obs, rewards, truncated, truncated, infos


class OnlyTerminates(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, truncated, infos = super().step(actions)
        return obs, rewards, truncated, terminated, infos


class NeverEnds(ParallelFace):
    def step(self, actions: Any) -> Any:
        result = super().step(actions)
        self.agents = list(self.possible_agents)
        return result


class UsesNumpysGlobalGenerator(ParallelFace):
    def step(self, actions: Any) -> Any:
        np.random.random()  # noqa: NPY002
        return super().step(actions)


class UsesPythonsGlobalGenerator(ParallelFace):
    def reset(self, seed: Any = None, options: Any = None) -> Any:
        random.random()
        return super().reset(seed, options)


class LeaksTypesInInfos(ParallelFace):
    def step(self, actions: Any) -> Any:
        *rest, infos = super().step(actions)
        return *rest, {agent: {"agent_type": 0} for agent in infos}


class LeaksTypesInNames(ParallelFace):
    def __init__(self, batched: Any) -> None:
        super().__init__(batched)
        self.possible_agents = ["red_0", "red_1", "blue_0"]


class OddNames(ParallelFace):
    def __init__(self, batched: Any) -> None:
        super().__init__(batched)
        self.possible_agents = ["Agent 0", "agent_1", "agent_2"]


class DoublePrecisionRewards(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, *rest = super().step(actions)
        return obs, {agent: np.float64(value) for agent, value in rewards.items()}, *rest


class EndsOneByOne(ParallelFace):
    def step(self, actions: Any) -> Any:
        obs, rewards, terminated, *rest = super().step(actions)
        return obs, rewards, {**terminated, "agent_0": True}, *rest


PARALLEL_FAULTS: list[tuple[str, type[ParallelFace], str]] = [
    ("spaces", OutOfSpace, "outside its space"),
    ("spaces", WrongDtype, "outside its space|dtype float64"),
    ("spaces", NumpyRewards, "not a finite float"),
    ("spaces", NanRewards, "not a finite float"),
    ("spaces", NumpyFlags, "not two bools"),
    ("spaces", StateOutOfSpace, "outside state_space"),
    ("same_spaces", NewSpaces, "other objects"),
    ("no_aliasing", ReusedBuffer, "writes into old observations"),
    ("no_aliasing", ExposedState, "changed what the environment does next"),
    ("actions_kept", WritesActions, "changed the caller's actions"),
    ("deterministic", Noisy, "seed 0: step 0 differs"),
    ("reseed_after_use", CarriesOver, "differs from a fresh environment"),
    ("reset_continues", AlwaysTheSameEpisode, "starts the same episode again"),
    ("reset_continues", FreshEntropyEachEpisode, "not determined by the past"),
    ("options", OptionsMatter, "unknown reset option changes the episode"),
    ("time_limit", TerminatesAtTheLimit, "sets both"),
    ("time_limit", OnlyTerminates, "does not set truncated"),
    ("time_limit", NeverEnds, "agents are left after max_cycles = 8 steps"),
    ("global_generators", UsesNumpysGlobalGenerator, "a global random generator was used"),
    ("global_generators", UsesPythonsGlobalGenerator, "a global random generator was used"),
    ("agent_names", OddNames, "agents are named .'Agent 0'.; use one lowercase word"),
]

OWN_FAULTS: list[tuple[str, type[ParallelFace], str]] = [
    ("no_leak", LeaksTypesInInfos, "infos hold"),
    ("no_leak", LeaksTypesInNames, "agents are named"),
    ("exact_types", DoublePrecisionRewards, "not floats"),
    ("exact_types", WrongDtypeInSteps, "not float32"),
    ("exact_types", EndsOneByOne, "end at different steps"),
    ("seeds_matter", IgnoresSeeds, "different seeds give the same start"),
]


def test_every_check_has_a_planted_fault() -> None:
    assert {name for name, _, _ in PARALLEL_FAULTS} == set(PARALLEL_CHECKS)
    # The other two take no environment; they have tests of their own below.
    assert {name for name, _, _ in OWN_FAULTS} == set(OWN_CHECKS) - {"digest", "light_import"}


@pytest.mark.parametrize(
    ("check", "kind", "message"),
    PARALLEL_FAULTS + OWN_FAULTS,
    ids=[f"{check}-{kind.__name__}" for check, kind, _ in PARALLEL_FAULTS + OWN_FAULTS],
)
def test_parallel_fault_is_caught(check: str, kind: type[ParallelFace], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        {**PARALLEL_CHECKS, **OWN_CHECKS}[check](lambda: kind(_core()), QUICK)


def test_an_environment_that_rejects_options_fails() -> None:
    with pytest.raises(ValueError, match="unknown options"):
        PARALLEL_CHECKS["options"](lambda: RejectsOptions(_core()))


@pytest.mark.parametrize("check", [*PARALLEL_CHECKS, *sorted({name for name, _, _ in OWN_FAULTS})])
def test_checks_pass_without_a_fault(check: str) -> None:
    {**PARALLEL_CHECKS, **OWN_CHECKS}[check](lambda: ParallelFace(_core()), QUICK)


def test_a_changed_game_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    OWN_CHECKS["digest"]("BPS-1-v0")
    monkeypatch.setitem(digests.DIGESTS, "BPS-1-v0", "0" * 64)
    with pytest.raises(ConformanceError, match=f"the digest is [0-9a-f]{{64}}, pinned is {'0' * 64}"):
        OWN_CHECKS["digest"]("BPS-1-v0")


def test_an_id_without_a_digest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(digests.DIGESTS, "BPS-1-v0")
    with pytest.raises(NotApplicableError, match="no digest is pinned for BPS-1-v0"):
        OWN_CHECKS["digest"]("BPS-1-v0")


@pytest.mark.parametrize(
    ("source", "message"), [("import numba", "loads numba"), ("raise ImportError('gone')", "fails: .*gone")]
)
def test_a_heavy_import_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str) -> None:
    (tmp_path / "heavy_package.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConformanceError, match=re.compile(message, re.DOTALL)):
        OWN_CHECKS["light_import"]("heavy_package")


# -- broken cores ------------------------------------------------------------------------------------------------------


class LaneDependsOnBatch(BPS):
    def _reset_lanes(self, start: int, stop: int, mask: Any) -> None:
        super()._reset_lanes(start, stop, mask)
        self._arrays["vel"][start:stop] = 0.01 * self.num_envs


class ThreadsMatter(BPS):
    def _step_lanes(self, start: int, stop: int, actions: Any, *outputs: Any) -> None:
        super()._step_lanes(start, stop, actions, *outputs)
        outputs[1][start:stop] += self.num_threads


class KeepsVelocities(BPS):
    def _reset_lanes(self, start: int, stop: int, mask: Any) -> None:
        before = self._arrays["vel"].copy()
        super()._reset_lanes(start, stop, mask)
        self._arrays["vel"][...] = before


class StartsAlike(BPS):
    def _reset_lanes(self, start: int, stop: int, mask: Any) -> None:
        streams = self._arrays["rng"].copy()
        super()._reset_lanes(start, stop, mask)
        self._arrays["rng"][...] = streams


class UnseededStarts(BPS):
    def _reset_lanes(self, start: int, stop: int, mask: Any) -> None:
        super()._reset_lanes(start, stop, mask)
        self._arrays["pos"][mask] = np.random.default_rng().uniform(-1, 1, self._arrays["pos"][mask].shape)


class HiddenState(BPS):
    """Has a memory that ``get_state`` does not show."""

    ticks = 0

    def _step_lanes(self, start: int, stop: int, actions: Any, *outputs: Any) -> None:
        super()._step_lanes(start, stop, actions, *outputs)
        self.ticks += 1
        outputs[1][start:stop] -= self.ticks


class ForgetsWhenPickled(BPS):
    def __getstate__(self) -> dict[str, Any]:
        arrays = {name: array.copy() for name, array in self._arrays.items()}
        arrays["rng"][:] = 1
        return {**super().__getstate__(), "_arrays": arrays}


BATCHED_FAULTS: list[tuple[str, type[BPS], str]] = [
    ("lanes_equal_singles", LaneDependsOnBatch, "lane 0 of a batch against a single environment: obs differ"),
    ("threads", ThreadsMatter, "2 threads against one: rewards differ from step 0"),
    ("reseed_equals_fresh", KeepsVelocities, "reseeded against fresh: obs differ from step 0"),
    ("stream_continues", StartsAlike, "starts the same episode again"),
    ("stream_continues", UnseededStarts, "start differently"),
    ("snapshot", HiddenState, "restored snapshot against the original: rewards differ"),
    ("pickle", ForgetsWhenPickled, "pickled environment against the original: states differ"),
]


def test_every_batched_check_has_a_planted_fault() -> None:
    assert {name for name, _, _ in BATCHED_FAULTS} == set(BATCHED_CHECKS)


@pytest.mark.parametrize(
    ("check", "kind", "message"), BATCHED_FAULTS, ids=[kind.__name__ for _, kind, _ in BATCHED_FAULTS]
)
def test_batched_fault_is_caught(check: str, kind: type[BPS], message: str) -> None:
    def make(num_envs: int, *, num_threads: int = 1) -> BPS:
        return _core(num_envs, kind, num_threads)

    with pytest.raises(ConformanceError, match=message):
        BATCHED_CHECKS[check](make)


# -- the report --------------------------------------------------------------------------------------------------------


def test_report_names_all_failures_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.load
    broken = {"adaps_envs.families.bps.env:BPS": LaneDependsOnBatch}
    monkeypatch.setattr(registry, "load", lambda reference: broken.get(reference) or real(reference))
    report = check_target("BPS-1", params={"max_cycles": MAX_CYCLES}, effort=QUICK, select=OUR_RULES)
    assert not report.passed
    failed = {result.name: result.message for result in report.results if not result.passed}
    assert list(failed) == ["batched/lanes_equal_singles"]
    assert "lane 0" in failed["batched/lanes_equal_singles"]


def test_report_turns_a_crash_into_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParallelFace, "state", lambda self: 1 / 0)
    report = check_target("BPS-1", params={"max_cycles": MAX_CYCLES}, effort=QUICK, select=OUR_RULES)
    failed = {result.name: result.message for result in report.results if not result.passed}
    assert failed["parallel/spaces"] == "ZeroDivisionError: division by zero"


def test_traces_are_compared_to_the_last_bit() -> None:
    env = _core(2)
    env.reset(seed=0)
    trace = random_rollout(env, 4, action_seeds=[0, 1])
    assert trace.obs.shape == (4, 2, 3, env.obs_dim)
    changed = Trace(trace.obs.copy(), trace.rewards, trace.terminated, trace.truncated, trace.states)
    assert_same_trace(trace, changed, "equal")
    changed.obs[2, 0, 0, 0] = np.nextafter(changed.obs[2, 0, 0, 0], np.float32(9))
    with pytest.raises(ConformanceError, match="copies: obs differ from step 2 on"):
        assert_same_trace(trace, changed, "copies")
