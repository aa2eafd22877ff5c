"""Preparation: what is charged is what was counted, and a scheme does not come by the hidden types."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from type_game import type_game

from adaps_agents import SharingA2C
from adaps_agents.identity.collect import Collector
from adaps_agents.schemes import SharingScheme
from adaps_agents.schemes.registry import scheme_class
from adaps_agents.testing import check_scheme


class Preparing(SharingScheme):
    """Full sharing that plays before training and says that it spent ``self.told``."""

    name = "preparing"
    summary = "plays before training"
    source = "this test"
    parameter_formula = "P"
    needs_identity_phase = True
    told: ClassVar[Any] = None

    def make_networks(self) -> None:
        self.actor_net = self.actor_spec.grouped(self.labels)
        self.critic_net = self.critic_spec.grouped(self.labels)

    def prepare(self, collector: Collector) -> int:
        collector.collect(80)
        collector.outcomes(40)
        return collector.env_steps if self.told is None else self.told


def scheme(told: Any) -> type[SharingScheme]:
    return type("Telling", (Preparing,), {"told": told})


@pytest.mark.parametrize("told", [-27_000, 0, 10**12, "120", 1.5, float("nan"), None])
def test_what_is_charged_is_what_was_played(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    fups = scheme_class("fups")
    monkeypatch.setattr(fups, "told", told, raising=False)
    monkeypatch.setattr(fups, "needs_identity_phase", True)
    monkeypatch.setattr(fups, "prepare", Preparing.prepare)
    model = SharingA2C("fups", type_game(4), seed=0)
    model.learn(200)
    assert model.num_timesteps == 200
    assert int(model.scheme.identity_steps) == 120
    model.learn(200, reset_num_timesteps=False)
    assert model.num_timesteps == 400


@pytest.mark.parametrize("told", [-27_000, 0, "120", 10**12, True])
def test_a_scheme_that_tells_other_steps_is_named(told: Any) -> None:
    report = {result.name: result for result in check_scheme(scheme(told)).results}
    assert not report["preparation"].passed
    assert f"returns {told!r}; its collector counted 120" in report["preparation"].message


def test_a_scheme_that_tells_its_steps_passes() -> None:
    check_scheme(Preparing).raise_if_failed()


def test_counts_cannot_be_set() -> None:
    env = type_game(4)
    collector = Collector(env, env.num_agents, 2, np.random.default_rng(0))
    for name in ("env_steps", "num_lanes", "num_agents", "anything"):
        with pytest.raises(AttributeError):
            setattr(collector, name, 0)


def by_attribute(collector: Any) -> Any:
    return collector._env.batched.agent_types


def by_any_attribute(collector: Any) -> Any:
    return next(thing.agent_types for thing in reached(collector) if hasattr(thing, "agent_types"))


def by_the_garbage_collector(collector: Any) -> Any:
    return next(thing.agent_types for thing in gc.get_objects() if type(thing).__name__ == "_Game" and has_types(thing))


def has_types(thing: Any) -> bool:
    return hasattr(type(thing), "agent_types")


def reached(start: Any, depth: int = 4) -> Iterator[Any]:
    """All that attributes, slots, closures and bound methods lead to."""
    seen, edge = {id(start)}, [start]
    for _ in range(depth):
        found: list[Any] = []
        for thing in edge:
            names = {*dir(thing)} - {"__dict__", "__weakref__", "__globals__", "__builtins__", "__class__"}
            values = [getattr(thing, name, None) for name in names]
            for cell in getattr(thing, "__closure__", None) or ():
                values.append(cell.cell_contents)
            found += values
        found = [
            thing
            for thing in found
            if type(thing).__module__.startswith(("adaps", "type_game"))
            or type(thing).__name__ in ("method", "function", "partial")
        ]
        edge = list({id(thing): thing for thing in found if id(thing) not in seen}.values())
        seen |= {id(thing) for thing in edge}
        yield from edge


@pytest.mark.parametrize("cheat", [by_attribute, by_any_attribute, by_the_garbage_collector])
def test_a_scheme_that_looks_up_the_types_is_named(cheat: Any) -> None:
    class Cheat(Preparing):
        def prepare(self, collector: Collector) -> int:
            self.regroup(torch.as_tensor(np.unique(cheat(collector), return_inverse=True)[1]))
            return super().prepare(collector)

    report = {result.name: result for result in check_scheme(Cheat).results}
    assert not report["preparation"].passed, report["preparation"].message


@pytest.mark.parametrize("cheat", [by_attribute, by_any_attribute])
def test_no_attribute_of_a_collector_leads_to_the_types(cheat: Any) -> None:
    env = type_game(4, groups=(2, 2))
    collector = Collector(env, env.num_agents, 2, np.random.default_rng(0))
    with pytest.raises((AttributeError, StopIteration)):
        cheat(collector)
