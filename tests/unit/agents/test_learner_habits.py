"""Callbacks, logger, predictions and refusals, as stable-baselines3's users know them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from agents_common import ALGORITHMS, small_model
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs.errors import AdapsError, InvalidParameterError, UnknownNameError


class _Witness(BaseCallback):
    """Note the step count at every call, and stop at a given one."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.events: list[str] = []
        self.stop_at = stop_at

    def _on_training_start(self) -> None:
        self.events.append(f"start {self.num_timesteps}")

    def _on_rollout_end(self) -> None:
        self.events.append("rollout")

    def _on_step(self) -> bool:
        self.seen.append(self.num_timesteps)
        assert self.locals["rewards"].shape == (24,)
        return self.stop_at is None or self.num_timesteps < self.stop_at


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_callbacks_see_every_vector_step_in_environment_steps(algorithm: Any) -> None:
    witness = _Witness()
    small_model(algorithm, "adaps").learn(200, callback=witness)
    assert witness.seen == list(range(164, 201, 4))
    assert witness.events == ["start 160", "rollout", "rollout"]


def test_a_callback_stops_the_run() -> None:
    witness = _Witness(stop_at=48)
    model = small_model(SharingA2C, "fups")
    model.learn(10_000, callback=witness)
    assert (model.num_timesteps, model._n_updates) == (48, 2)


def test_checkpoints_can_be_loaded(tmp_path: Path) -> None:
    small_model(SharingA2C, "adaps").learn(240, callback=CheckpointCallback(10, str(tmp_path), "run"))
    files = sorted(path.name for path in tmp_path.glob("*.zip"))
    assert files == ["run_200_steps.zip", "run_240_steps.zip"]
    assert SharingA2C.load(tmp_path / files[-1]).num_timesteps == 240


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
def test_evaluation_callback_runs_on_the_slots(tmp_path: Path) -> None:
    callback = EvalCallback(type_game(2), n_eval_episodes=12, eval_freq=10, log_path=str(tmp_path), verbose=0)
    small_model(SharingA2C, "nops").learn(80, callback=callback)
    stored = np.load(tmp_path / "evaluations.npz")
    assert stored["timesteps"].tolist() == [40, 80]
    assert stored["results"].shape == (2, 12)
    assert (stored["ep_lengths"] == 10).all()


@pytest.mark.parametrize(
    ("algorithm", "extra"),
    [(SharingA2C, {"policy_loss"}), (SharingPPO, {"policy_gradient_loss", "approx_kl", "clip_fraction", "loss"})],
)
def test_the_logger_writes_the_usual_keys(algorithm: Any, extra: set[str], tmp_path: Path) -> None:
    model = small_model(algorithm, "fups")
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(80, log_interval=1)
    rows = list(csv.DictReader((tmp_path / "progress.csv").open()))
    usual = {"value_loss", "entropy_loss", "explained_variance", "learning_rate", "n_updates"} | extra
    assert {f"train/{name}" for name in usual} <= set(rows[-1])
    assert int(float(rows[-1]["time/total_timesteps"])) == 80
    # Returns are the team's: 6 agents, right about half the time, 10 steps.
    assert 10 < float(rows[-1]["rollout/ep_rew_mean"]) < 50
    assert float(rows[-1]["rollout/ep_len_mean"]) == 10


def test_learning_rate_schedules_reach_the_optimiser() -> None:
    model = small_model(SharingA2C, "fups", learning_rate=lambda left: 0.1 * left)
    model.learn(100)
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(0.0)


def test_predictions_for_slots() -> None:
    model = small_model(SharingA2C, "nops")
    obs = type_game(3).reset()
    greedy, state = model.predict(obs, deterministic=True)
    assert (greedy.shape, state) == ((18,), None)
    logits = model.scheme.actor(torch.as_tensor(obs).view(3, 6, 2))
    np.testing.assert_array_equal(greedy, logits.argmax(dim=-1).flatten())
    np.testing.assert_array_equal(greedy.reshape(3, 6), model.policy.act(obs.reshape(3, 6, 2), deterministic=True))
    sampled = np.stack([model.predict(obs)[0] for _ in range(20)])
    assert set(np.unique(sampled)) == {0, 1}


def test_sampled_actions_follow_the_generator_given() -> None:
    model, obs = small_model(SharingA2C, "fups"), type_game(50).reset().reshape(50, 6, 2)
    first, second = (model.policy.act(obs, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.int64
    assert not np.array_equal(first, model.policy.act(obs, generator=torch.Generator().manual_seed(2)))


def test_teams_are_whole() -> None:
    model = small_model(SharingA2C, "nops")
    with pytest.raises(InvalidParameterError, match="4 observations for teams of 6 agents"):
        model.predict(np.ones((4, 2), np.float32))
    with pytest.raises(InvalidParameterError, match=r"give \[B, N, F\], N, F = \(6, 2\)"):
        model.policy.act(np.ones((3, 5, 2), np.float32))
    with pytest.raises(InvalidParameterError, match="a stock learner mixes the agents' rows"):
        model.policy.evaluate_actions(torch.ones(6, 2), torch.zeros(6))


def _game() -> Any:
    return type_game(2)


def _cartpole() -> Any:
    return gymnasium.make("CartPole-v1")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("scheme", "env", "options", "error", "said"),
    [
        ("fupz", _game, {}, UnknownNameError, "Did you mean 'fups'"),
        ("MlpPolicy", _game, {}, UnknownNameError, "no sharing scheme 'MlpPolicy'"),
        (ActorCriticPolicy, _game, {}, InvalidParameterError, "no sharing scheme"),
        ("SharingPolicy", _game, {}, InvalidParameterError, "no sharing scheme"),
        ("fups", lambda: "BPS-99", {}, UnknownNameError, "no environment .BPS-99.. Did you mean"),
        ("fups", lambda: None, {}, InvalidParameterError, "env is None"),
        ("fups", _cartpole, {}, InvalidParameterError, "does not say how its slots divide into agents"),
        ("fups", _game, {"seed": -1}, InvalidParameterError, "seed is -1"),
        ("fups", _game, {"learning_rte": 1}, InvalidParameterError, "'learning_rte'. Did you mean .learning_r"),
        ("fups", lambda: "BPS-1", {"envkwargs": {}}, InvalidParameterError, "Did you mean 'env_kwargs'"),
        ("fups", _game, {"seed": "one"}, InvalidParameterError, "seed is 'one'"),
        ("fups", _game, {"policy_kwargs": {"num_agents": 5}}, InvalidParameterError, "num_agents is 5"),
        ("fups", _game, {"policy_kwargs": {"num_agents": 4}}, InvalidParameterError, "num_agents is 4"),
        ("fups", _game, {"policy_kwargs": {"num_agents": 0}}, InvalidParameterError, "num_agents is 0"),
        ("fups", _game, {"policy_kwargs": {"net_arch": [64, 0]}}, InvalidParameterError, r"net_arch is \[64, 0\]"),
        ("fups", _game, {"policy_kwargs": {"net_arch": {"pi": [4]}}}, InvalidParameterError, "net_arch is {'pi'"),
        ("fups", _game, {"policy_kwargs": {"net_arch": [True]}}, InvalidParameterError, "net_arch is"),
        ("snp_ps", _game, {"policy_kwargs": {"net_arch": []}}, InvalidParameterError, "no hidden neuron to mask"),
        ("fups", _game, {"policy_kwargs": {"scheme_kwargs": {"keep": 1}}}, InvalidParameterError, "does not take"),
        ("fups_id", _game, {"policy_kwargs": {"scheme_kwargs": {"scale": -1}}}, InvalidParameterError, "scale is -1"),
        ("snp_ps", _game, {"policy_kwargs": {"scheme_kwargs": {"keep": 0}}}, InvalidParameterError, "keep is 0"),
        ("snp_ps", _game, {"policy_kwargs": {"scheme_kwargs": {"draw": "x"}}}, InvalidParameterError, "draw is 'x'"),
        ("snp_ps", _game, {"policy_kwargs": {"scheme_kwargs": {"execution": 1}}}, InvalidParameterError, "execution"),
        ("seps", _game, {"policy_kwargs": {"scheme_kwargs": {"labels": [0, 1]}}}, InvalidParameterError, "of 6 agents"),
        (
            "seps", _game, {"policy_kwargs": {"scheme_kwargs": {"labels": [0, 0, 0, 2, 2, 2]}}},
            InvalidParameterError, "without gaps",
        ),
        ("adaps", _game, {"policy_kwargs": {"scheme_kwargs": {"masked": "x"}}}, InvalidParameterError, "masked is 'x'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_one_clear_error(
    algorithm: Any, scheme: Any, env: Any, options: dict[str, Any], error: type[AdapsError], said: str
) -> None:
    with pytest.raises(error, match=said):
        algorithm(scheme, env(), **options)


def test_an_oracle_needs_an_environment_that_knows_or_types() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("CartPole-v1", n_envs=4)
    with pytest.raises(InvalidParameterError, match="needs the true types"):
        SharingA2C("oracle", env, policy_kwargs={"num_agents": 2})
    model = SharingA2C("oracle", env, policy_kwargs={"num_agents": 2, "scheme_kwargs": {"types": [0, 1]}})
    assert model.scheme.assignment().tolist() == [0, 1]


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="need Discrete actions"):
        SharingA2C("fups", gymnasium.make("Pendulum-v1"), policy_kwargs={"num_agents": 1})
    with pytest.raises((InvalidParameterError, ValueError), match=r"use_sde|State-Dependent"):
        SharingA2C("fups", type_game(1), use_sde=True)
