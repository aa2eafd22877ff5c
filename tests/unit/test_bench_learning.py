"""The bare loops hold and train what the schemes do, and the figures have their shape."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import adaps_envs
from adaps_agents import SharingA2C
from baselines.bench import learning as bench_learning
from baselines.bench import update as bench_update
from baselines.bench.bare_loops import BARE_SCHEMES, BareLoop, BareTask
from baselines.bench.learning import learning_ratios
from baselines.bench.update import update_ratios

TYPES = [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("algorithm", ["a2c", "ppo"])
@pytest.mark.parametrize("scheme", BARE_SCHEMES)
def test_a_bare_loop_trains_as_many_parameters_as_its_scheme(scheme: str, algorithm: str) -> None:
    options: dict[str, Any] = {"labels": TYPES} if scheme in ("adaps", "seps") else {}
    policy = {"net_arch": [16, 16], "scheme_kwargs": options}
    model = SharingA2C(scheme, adaps_envs.make("BPS-1", api="sb3", num_envs=2), seed=0, policy_kwargs=policy)
    task = BareTask(lanes=2, agents=15, obs_dim=10, num_actions=5, steps=5, hidden=(16, 16))
    loop = BareLoop(scheme, task, epochs=2 if algorithm == "ppo" else None, batch=60)
    assert sum(parameter.numel() for parameter in loop.parameters) == model.scheme.param_report()["trainable"]
    before = [parameter.detach().clone() for parameter in loop.parameters]
    loop.iterate()
    assert all(not torch.equal(new, old) for new, old in zip(loop.parameters, before, strict=True))
    assert loop.agent_steps == 5 * 2 * 15


@pytest.mark.parametrize("algorithm", ["a2c", "ppo"])
def test_learners_are_timed_beside_their_bare_loop(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_learning, "WINDOW_ROWS", 1)
    row = learning_ratios("BPS-1", "adaps", 2, algorithm=algorithm, repeats=1)
    assert row["ratio"] == pytest.approx(row["agent_steps_per_s"] / row["bare_agent_steps_per_s"])
    assert row["yardstick_ratio"] > 0
    assert (row["scheme"], row["algorithm"], row["lanes"], row["agents"]) == ("adaps", algorithm, 2, 15)


def test_updates_are_timed_beside_full_sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_update, "ROUND_SECONDS", 0.0)
    rows = update_ratios(widths=(8, 16), repeats=1)
    assert [(row["width"], row["groups"]) for row in rows] == [(8, 3), (16, 3)]
    assert all(row["ratio"] == pytest.approx(row["adaps_seconds"] / row["fups_seconds"]) for row in rows)
