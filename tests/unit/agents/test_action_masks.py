"""Actions that agents lack are never chosen, and no loss or entropy knows of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, SEVEN, small_model
from stable_baselines3 import A2C
from type_game import type_game
from uneven import UnevenEnv, uneven_env

from adaps_agents import SharingA2C, SharingPolicy, SharingPPO, TeamPolicy
from adaps_agents.schemes import SharingScheme
from adaps_envs.adapters.gym_single import TeamEnv
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.adapters.sb3 import SharedVecEnv
from adaps_envs.adapters.sb3_index import AgentIndexed
from adaps_envs.errors import InvalidParameterError

RECURRENT = ("none", "gru")
# Agents 0 and 2 have the actions 2 and 3 alone.
LACKING = [[True, True, False, False], [False] * 4, [True, True, False, False]]


def _slots(lanes: int = 4, **params: Any) -> SharedVecEnv:
    return SharedVecEnv(uneven_env(lanes, **params))


def _model(algorithm: Any, scheme: str = "fups", **options: Any) -> Any:
    return small_model(algorithm, scheme, _slots(), **options)


def _wishing(model: Any) -> Any:
    """Let every network wish for action 0 most, then 1, whatever it sees."""
    with torch.no_grad():
        bias = model.scheme.actor_net.biases[-1]
        bias.zero_()
        bias[..., 0], bias[..., 1], bias[..., 2] = 60.0, 50.0, 40.0
    return model


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", SEVEN)
def test_training_takes_no_action_that_an_agent_lacks(scheme: str, algorithm: Any, recurrent: str) -> None:
    options = {"n_steps": 10, "batch_size": 120} if algorithm is SharingPPO else {"n_steps": 10}
    model = _model(algorithm, scheme, policy_options={"recurrent": recurrent}, **options)
    model.learn(240)
    lacking = torch.tensor(LACKING).expand(10, 4, 3, 4)
    taken = model.rollout_buffer.actions
    assert not lacking.gather(-1, taken[..., None]).any()
    probabilities = model.rollout_buffer.logits.softmax(-1)
    assert float(probabilities[lacking].sum()) == 0.0
    assert bool(model.rollout_buffer.log_probs.isfinite().all())
    assert all(bool(value.isfinite().all()) for value in model.policy.state_dict().values())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_loss_and_entropy_know_only_of_own_actions(algorithm: Any) -> None:
    model = _model(algorithm, "nops", learning_rate=0.0)
    model.learn(40)
    # The first policy is all but uniform: two agents choose of two actions, one of four.
    logged = -model.logger.name_to_value["train/entropy_loss"]
    assert logged == pytest.approx((2 * math.log(2) + math.log(4)) / 3, abs=1e-3)
    gradient = model.scheme.actor_net.biases[-1].grad
    assert bool((gradient[torch.tensor(LACKING)] == 0).all())
    assert bool((gradient[~torch.tensor(LACKING)] != 0).all())
    conflict = model.gradient_conflict()
    assert conflict.cosine is None or math.isfinite(conflict.cosine)


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_every_way_to_play_keeps_to_own_actions(recurrent: str) -> None:
    model = _wishing(_model(SharingA2C, "fups", policy_options={"recurrent": recurrent}))
    env = _slots(2)
    obs = env.reset()
    frames, wanted = obs.reshape(2, 3, 4), [2, 0, 2] * 2
    assert model.predict(obs, deterministic=True)[0].tolist() == wanted
    assert model.predict(obs)[0].tolist() == wanted
    rows = torch.as_tensor(obs)
    actions, _, log_probs = model.policy(rows)
    assert actions.tolist() == wanted
    assert bool((log_probs > -0.1).all())
    distribution = model.policy.get_distribution(rows)
    assert distribution.mode().tolist() == wanted
    assert float(distribution.distribution.probs.view(2, 3, 4)[:, torch.tensor(LACKING)].sum()) == 0.0
    assert model.policy.act(frames, memory=model.policy.new_memory(2)).flatten().tolist() == wanted
    logits = model.policy.logits(frames, memory=model.policy.new_memory(2))
    assert bool(logits.isfinite().all())
    # Cut to size, an agent's own first action is the layout's third for those who lack two.
    face = ParallelFace(uneven_env(1))
    seen, _ = face.reset(seed=0)
    assert TeamPolicy(model, face).act(seen) == {"agent_0": 0, "agent_1": 0, "agent_2": 0}
    gym = TeamEnv(uneven_env(1))
    assert TeamPolicy(model, gym).act(gym.reset(seed=0)[0]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize(
    ("scheme", "network", "measured", "options"),
    [
        ("dico", "deviation_net", "estimate", {}),
        ("madps", "actor_net", "distances", {"period": 2, "distance": {"epochs": 1}}),
    ],
)
def test_measured_policies_have_own_actions_alone(
    scheme: str, network: str, measured: str, options: dict[str, Any], recurrent: str
) -> None:
    """What an agent's network says of actions that it lacks moves nothing that a scheme measures."""
    found = []
    for wish in (0.0, 50.0):
        options_of_policy = {"recurrent": recurrent}
        model = _model(SharingA2C, scheme, scheme_options=options, policy_options=options_of_policy, n_steps=6)
        with torch.no_grad():
            getattr(model.scheme, network).biases[-1][torch.tensor(LACKING)] += wish
        model.learn(48)
        found.append(getattr(model.scheme, measured).clone())
    assert float(found[0].sum()) != 0.0
    assert torch.equal(*found)


def test_diagnostics_are_of_what_is_played() -> None:
    model = _wishing(_model(SharingA2C, "fups"))
    obs = _slots(2).reset()
    # By its logits alone, full sharing would have everybody act alike.
    assert model.diagnose(obs).action_disagreement == pytest.approx(2 / 3)


def test_masks_travel_with_the_model(tmp_path: Path) -> None:
    model = _wishing(_model(SharingPPO, "seps"))
    obs = _slots(2).reset()
    model.save(tmp_path / "model")
    model.policy.save(tmp_path / "policy")
    model.save_weights(tmp_path / "weights")
    other = _model(SharingPPO, "seps", seed=5)
    other.load_weights(tmp_path / "weights")
    for one in (
        SharingPPO.load(tmp_path / "model"),
        SharingPPO.load(tmp_path / "model", env=_slots(2)),
        SharingPolicy.load(tmp_path / "policy"),
        other,
    ):
        assert one.predict(obs, deterministic=True)[0].tolist() == [2, 0, 2] * 2


def test_an_environment_whose_agents_lack_more_is_refused(tmp_path: Path) -> None:
    model = _model(SharingA2C)
    model.save(tmp_path / "model")
    less = {"far": (False, False, True)}
    for use in (
        lambda: model.set_env(_slots(**less)),
        lambda: SharingA2C.load(tmp_path / "model", env=_slots(**less)),
        lambda: small_model(SharingA2C, "fups", _slots(far=(True,) * 3)).set_env(_slots()),
    ):
        with pytest.raises(InvalidParameterError, match=r"agent_[01] lacks an action that the policy may choose"):
            use()
    model.set_env(_slots(far=(True,) * 3))


def test_a_mask_can_be_given_by_hand() -> None:
    mask = [[True, False]] * 3 + [[True, True]] * 3
    model = small_model(SharingA2C, "fups", policy_options={"action_mask": mask})
    taken = np.stack([model.predict(type_game(3).reset())[0].reshape(3, 6) for _ in range(20)])
    assert set(taken[..., :3].ravel()) == {0}
    assert set(taken[..., 3:].ravel()) == {0, 1}
    for wrong in ([[True, False]] * 5, [[1, 0]] * 6, [[False, False]] * 6, "all"):
        with pytest.raises(InvalidParameterError, match="action_mask has shape"):
            small_model(SharingA2C, "fups", policy_options={"action_mask": wrong})


def test_where_everybody_has_all_actions_nothing_is_masked() -> None:
    model = small_model(SharingA2C, "fups", policy_options={"action_mask": [[True, True]] * 6})
    logits = torch.randn(4, 6, 2)
    assert model.policy.masked(logits) is logits
    assert model.policy.action_mask is None
    assert small_model(SharingA2C, "fups").policy.state_dict().keys() == model.policy.state_dict().keys()


def test_stock_learners_learn_of_masks_by_the_index(tmp_path: Path) -> None:
    policy = {"scheme": "fups", "net_arch": [16], "scheme_kwargs": {}}
    model = A2C(SharingPolicy, AgentIndexed(_slots()), seed=0, device="cpu", policy_kwargs=policy)
    model.learn(240)
    _wishing_policy(model.policy)
    model.save(tmp_path / "model")
    env = AgentIndexed(_slots(2))
    obs = env.reset()
    for one in (model, A2C.load(tmp_path / "model", env=env)):
        assert one.predict(obs)[0].tolist() == [2, 0, 2] * 2
        _, log_probs, entropy = one.policy.evaluate_actions(torch.as_tensor(obs), torch.tensor([2, 0, 2] * 2))
        assert bool((log_probs > -0.1).all())
        assert bool(entropy.isfinite().all())


def _wishing_policy(policy: Any) -> None:
    class Holder:
        scheme: SharingScheme = policy.scheme

    _wishing(Holder())


def test_agents_of_a_real_family_are_masked() -> None:
    """The board's evaluator plays by ``policy.act`` and rebuilds the mask from the task's parameters."""
    from baselines.leaderboard.execution.evaluation import Evaluator
    from baselines.leaderboard.execution.learner import build_model
    from baselines.leaderboard.spec.config import LearnerConfig, RunConfig, SchemeConfig, TaskConfig

    roster = [{"count": 1, "level": 1, "actions": ["load", "none"]}, {"count": 1, "level": 1}]
    task = TaskConfig(
        name="uneven", env="LBF-8x8-2p-3f", params={"roster": roster}, budget=400, eval_points=3, eval_episodes=4
    )
    learner = LearnerConfig(algorithm="a2c", num_lanes=4, net_arch=[8], settings={"n_steps": 5})
    config = RunConfig(task=task, learner=learner, scheme=SchemeConfig(name="nops"), seed=0)
    model = build_model(config)
    assert model.policy.action_mask == model.get_env().batched.action_mask.tolist()
    _wishing(model)
    played = Evaluator(config).sampled(model.policy)
    lacking = ~model.get_env().batched.action_mask
    assert lacking.any()
    assert not lacking[np.arange(2), played.actions].any()


def test_the_test_piece_has_unequal_actions() -> None:
    assert (~UnevenEnv(1, uneven_env(1).params).action_mask).tolist() == LACKING
