"""LoRASA: full sharing, the switch, and low-rank corrections."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, fingerprint, small_model
from methods_common import (
    NUM_AGENTS,
    P_ACTOR,
    P_CRITIC,
    SMALL,
    agent_gradient,
    build,
    observations,
    on_bps_1,
    randomised,
)
from type_game import type_game

from adaps_agents.schemes import LearningState
from adaps_agents.testing import check_scheme
from adaps_envs.errors import InvalidParameterError
from baselines.schemes.lorasa import LowRankMLP


def _state(steps: int, total: int) -> LearningState:
    return LearningState(num_timesteps=steps, total_timesteps=total)


def test_parameters_on_bps_1_before_and_after_the_switch() -> None:
    scheme = on_bps_1("lorasa")
    assert scheme.param_report()["trainable"] == P_ACTOR + P_CRITIC
    scheme.adapt()
    report = scheme.param_report()
    assert (report["trainable_actor"], report["fixed_parameters"]) == (15 * 2_168, P_ACTOR)
    assert report["trainable_actor"] + report["fixed_parameters"] == 37_709
    assert (report["trainable_critic"], report["trainable"]) == (P_CRITIC, 32_520 + P_CRITIC)


def test_options_change_the_count_as_the_formula_says() -> None:
    assert on_bps_1("lorasa", switch_at=0.0, bias=True).param_report()["trainable_actor"] == 32_520 + 1_995
    whole_head = on_bps_1("lorasa", switch_at=0.0, full_rank=True).param_report()["trainable_actor"]
    assert whole_head == 32_520 - 15 * (552 - 320)
    assert build("lorasa", switch_at=0.0, rank=2).param_report()["trainable_actor"] == NUM_AGENTS * 2 * (21 + 28 + 15)


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"full_rank": True}, {"rank": 3, "alpha": 12.0}])
def test_every_phase_keeps_the_rules(options: dict[str, Any]) -> None:
    check_scheme("lorasa", switch_at=0.0, **options).raise_if_failed()


@pytest.mark.parametrize("options", [{}, {"bias": True}, {"full_rank": True}])
def test_the_switch_leaves_outputs_as_they_are(options: dict[str, Any]) -> None:
    scheme, obs = randomised(build("lorasa", **options)), observations()
    before, values = scheme.actor(obs), scheme.critic(obs)
    scheme.adapt()
    torch.testing.assert_close(scheme.actor(obs), before, rtol=1e-6, atol=1e-6)
    assert torch.equal(scheme.critic(obs), values)


@pytest.mark.parametrize("full_rank", [False, True])
def test_corrections_are_of_low_rank_and_scaled_by_alpha(full_rank: bool) -> None:
    scheme = build("lorasa", rank=2, alpha=3.0, full_rank=full_rank)
    base = [weight.detach().clone() for weight, _ in scheme.actor_net.effective_params(0)]
    scheme.adapt()
    randomised(scheme)
    net = scheme.actor_net
    for agent in range(NUM_AGENTS):
        for layer, (weight, _) in enumerate(scheme.actor_net.effective_params(agent)):
            correction = weight - base[layer]
            assert int(torch.linalg.matrix_rank(correction)) == 2
            torch.testing.assert_close(correction, 1.5 * net.up[layer][agent] @ net.down[layer][agent])


def test_a_layer_narrower_than_the_rank_may_be_corrected_whole() -> None:
    scheme = randomised(build("lorasa", switch_at=0.0, rank=4, full_rank=True))
    assert scheme.actor_net.down[2].shape == (NUM_AGENTS, 3, 12)
    assert scheme.actor_net.down[1].shape == (NUM_AGENTS, 4, 16)


def test_only_the_corrections_and_the_critic_train_after_the_switch() -> None:
    scheme, obs = build("lorasa", switch_at=0.0), observations()
    frozen = {name: value.clone() for name, value in scheme.actor_net.state_dict().items() if name[-1].isdigit()}
    frozen = {name: value for name, value in frozen.items() if name.startswith(("weight_", "bias_"))}
    assert len(frozen) == 6
    optimizer = torch.optim.Adam([p for p in scheme.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        loss = (scheme.actor(obs) - 1).square().mean() + (scheme.critic(obs) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in frozen.items():
        assert torch.equal(scheme.actor_net.state_dict()[name], value)
    assert scheme.actor_net.down[0].detach().abs().max() > 0.1


def test_corrections_get_no_gradient_of_other_agents() -> None:
    scheme = randomised(build("lorasa", switch_at=0.0))
    for factor in (scheme.actor_net.up[1], scheme.actor_net.down[1]):
        gradient = agent_gradient(scheme, 3, factor)
        assert gradient[3].abs().sum() > 0
        assert float(gradient[:3].abs().sum()) == 0.0


def test_the_switch_comes_once_at_its_share_of_training() -> None:
    scheme = build("lorasa", switch_at=0.5)
    answers = []
    for steps in (10, 49, 50, 60):
        scheme.learning = _state(steps, 100)
        answers.append(scheme.after_update(steps))
    assert answers == [False, False, True, False]
    assert isinstance(scheme.actor_net, LowRankMLP)
    never = build("lorasa", switch_at=1.0)
    never.learning = _state(100, 100)
    assert never.after_update(1) is False


def test_without_a_learner_nothing_switches() -> None:
    assert build("lorasa", switch_at=0.1).after_update(5) is False


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_learner_switches_and_its_optimiser_follows(algorithm: Any) -> None:
    model = small_model(algorithm, "lorasa")
    model.learn(400)
    held = sum(p.numel() for group in model.policy.optimizer.param_groups for p in group["params"])
    assert bool(model.scheme.adapting)
    assert held == model.scheme.param_report()["trainable"]
    assert any(float(p.detach().abs().max()) > 0 for p in model.scheme.actor_net.down)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("adapting", [False, True])
def test_a_saved_model_goes_on_in_the_same_phase(algorithm: Any, adapting: bool, tmp_path: Path) -> None:
    model = small_model(algorithm, "lorasa")
    model.scheme.switch_at = 0.5 if adapting else 1.0
    model.learn(60)
    assert bool(model.scheme.adapting) is adapting
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=type_game(4), device="cpu")
    assert fingerprint(loaded.scheme.state_dict()) == fingerprint(model.scheme.state_dict())
    obs = np.random.default_rng(0).standard_normal((3, model.num_agents, 2)).astype(np.float32)
    assert (loaded.policy.act(obs, deterministic=True) == model.policy.act(obs, deterministic=True)).all()
    loaded.learn(40, reset_num_timesteps=False)


def test_a_state_of_the_first_phase_undoes_the_switch() -> None:
    first, second = build("lorasa"), build("lorasa", seed=9)
    second.adapt()
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.load_state_dict(torch.load(stored, weights_only=True))
    obs = observations()
    assert not bool(second.adapting)
    assert torch.equal(second.actor(obs), first.actor(obs))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"switch_at": 1.5}, "switch_at is 1.5; it must be a finite number >= 0 and <= 1"),
        ({"switch_at": None}, "switch_at is None"),
        ({"rank": 0}, "rank is 0"),
        ({"alpha": 0}, "alpha is 0; it must be a finite number > 0"),
        ({"bias": "yes"}, "bias is 'yes'"),
        ({"full_rank": 0}, "full_rank is 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        build("lorasa", SMALL, **options)
