"""On BPS-1, with the learner of the suite ``bps``, methods that start near full sharing part from it.

Their schedules are shares of the training, so a short one shows what a long one does.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adaps_agents import SharingA2C
from adaps_agents.diagnostics import diagnose
from adaps_envs import make
from baselines.leaderboard.spec.loading import load_suite

LANES = 32
UPDATES = 60
# MADPS measures once, when policies differ, from a tenth of the observations and in one pass: it takes longest.
OPTIONS: dict[str, dict[str, Any]] = {"madps": {"checks": 1, "pool": 6_000, "distance": {"epochs": 1}}}


def _model(scheme: str) -> Any:
    learner = load_suite("bps").learner
    policy = {"net_arch": list(learner.net_arch), "scheme_kwargs": OPTIONS.get(scheme, {})}
    return SharingA2C(scheme, "BPS-1", num_lanes=LANES, seed=1000, policy_kwargs=policy, **learner.settings)


def _masks(model: Any) -> list[torch.Tensor]:
    return [mask.clone() for mask in model.scheme.actor_net.masks]


def _parted(model: Any) -> float:
    """Return how differently the agents act in the same situations, System Neural Diversity."""
    env = make("BPS-1", api="sb3", num_envs=LANES)
    env.seed(5)
    return diagnose(model, env.reset().reshape(LANES, model.num_agents, -1)).snd


def test_full_sharing_does_not_part() -> None:
    assert _parted(_model("fups").learn(5 * LANES * UPDATES)) == 0.0


@pytest.mark.parametrize("scheme", ["gradps", "lorasa"])
def test_agents_part_from_full_sharing(scheme: str) -> None:
    model = _model(scheme)
    assert _parted(model) == 0.0
    model.learn(5 * LANES * UPDATES)
    assert _parted(model) > 1e-4
    assert scheme != "gradps" or model.scheme.sharing_summary()["actor_split_neurons"] > 0
    assert scheme != "lorasa" or bool(model.scheme.adapting)


@pytest.mark.parametrize("scheme", ["kaleidoscope", "prism"])
def test_masks_part(scheme: str) -> None:
    model = _model(scheme)
    before, parted = _masks(model), _parted(model)
    model.learn(5 * LANES * UPDATES)
    assert any(not torch.equal(*pair) for pair in zip(before, _masks(model), strict=True))
    assert _parted(model) > 1.5 * parted


def test_madps_measures_policies_and_assigns_parts_again() -> None:
    model = _model("madps")
    before = model.scheme.sharing_summary()
    model.learn(5 * LANES * UPDATES)
    after = model.scheme.sharing_summary()
    assert max(max(row) for row in after["policy_distances"]) > 0.0
    assert after["deep_parts"] != before["deep_parts"]
