"""Evaluation in team episodes, and the warning where stable-baselines3's own tools count single agents."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents_common import small_model
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import EvalCallback, StopTrainingOnRewardThreshold
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from type_game import type_game

import adaps_envs
from adaps_agents import SharingA2C, TeamEvalCallback, evaluate_team
from adaps_envs.errors import InvalidParameterError

SLOTS = "evaluate_policy, EvalCallback and VecMonitor count the episodes of slots"


class _Always:
    """Takes action 1: of the agents of types 0 and 1 one half or the other is right."""

    def predict(self, obs: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False) -> Any:
        return np.ones(len(obs), np.int64), state


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("episodes", [1, 3, 5])
def test_every_agent_of_an_episode_is_counted(episodes: int, lanes: int) -> None:
    # Type 1 is right whenever type 0 is wrong: of (3, 3) agents three are right in every step.
    returns, lengths = evaluate_team(_Always(), type_game(lanes, groups=(3, 3)), episodes, return_episode_rewards=True)
    assert (returns, lengths) == ([30.0] * episodes, [10] * episodes)
    assert evaluate_team(_Always(), type_game(lanes, groups=(3, 3)), episodes) == (30.0, 0.0)


@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_team_returns_are_in_the_units_of_the_log(recurrent: str) -> None:
    model = small_model(SharingA2C, "fups", learning_rate=0.0, policy_options={"recurrent": recurrent})
    model.learn(4 * 400)
    logged = np.mean([episode["r"] for episode in model.ep_info_buffer])
    mean, std = evaluate_team(model, type_game(4), 100, deterministic=False)
    assert mean == pytest.approx(logged, rel=0.1)
    assert std > 0


def test_evaluation_under_normalisation_pays_in_true_units_and_learns_nothing() -> None:
    env = VecNormalize(type_game(2, groups=(3, 3)))
    env.reset()
    count = env.obs_rms.count
    assert evaluate_team(_Always(), env, 4) == (30.0, 0.0)
    assert (env.obs_rms.count, env.training) == (count, True)


def test_what_cannot_be_evaluated_is_refused() -> None:
    model = small_model(SharingA2C, "fups")
    with pytest.raises(InvalidParameterError, match="api='sb3'"):
        evaluate_team(model, adaps_envs.make("BPS-1"))
    with pytest.raises(InvalidParameterError, match="api='sb3'"):
        TeamEvalCallback(adaps_envs.make("BPS-1"))
    with pytest.raises(InvalidParameterError, match="n_eval_episodes is 0"):
        evaluate_team(model, type_game(1), 0)
    with pytest.raises(InvalidParameterError, match="eval_env is the environment that is trained in"):
        model.learn(40, callback=TeamEvalCallback(model.get_env()))


def test_the_callback_keeps_the_best_team_and_writes_the_usual_files(tmp_path: Path) -> None:
    model = small_model(SharingA2C, "nops")
    callback = TeamEvalCallback(
        type_game(2), n_eval_episodes=3, eval_freq=10, log_path=str(tmp_path), best_model_save_path=str(tmp_path),
        verbose=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(400, callback=callback)
    stored = np.load(tmp_path / "evaluations.npz")
    assert stored["timesteps"].tolist() == list(range(40, 401, 40))
    assert stored["results"].shape == stored["ep_lengths"].shape == (10, 3)
    assert callback.best_mean_reward == stored["results"].mean(axis=1).max()
    assert callback.last_mean_reward == stored["results"][-1].mean()
    assert callback.best_mean_reward > 10, "an agent alone is paid 10 at most"
    SharingA2C.load(tmp_path / "best_model")


def test_the_callback_stops_training_and_follows_normalisation() -> None:
    model = small_model(SharingA2C, "nops", VecNormalize(type_game(4)))
    env = VecNormalize(type_game(2), training=False)
    stop = StopTrainingOnRewardThreshold(5.0)
    model.learn(4_000, callback=TeamEvalCallback(env, callback_on_new_best=stop, eval_freq=10, verbose=0))
    assert model.num_timesteps == 40
    assert env.obs_rms.count == model.get_env().obs_rms.count
    with pytest.raises(InvalidParameterError, match="wrap it, too"), pytest.warns(UserWarning, match="same type"):
        model.learn(80, callback=TeamEvalCallback(type_game(2), eval_freq=1, verbose=0))


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
@pytest.mark.parametrize("wrap", [lambda env: env, VecNormalize])
def test_stock_evaluation_says_what_it_counts_once(wrap: Any) -> None:
    model, env = small_model(SharingA2C, "fups"), wrap(type_game(1))
    with pytest.warns(UserWarning, match=SLOTS):
        evaluate_policy(model, env, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_policy(model, env, 5, warn=False)


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
def test_other_users_of_slots_are_told_too() -> None:
    with pytest.warns(UserWarning, match=SLOTS):
        VecMonitor(type_game(1))
    with pytest.warns(UserWarning, match=SLOTS):
        small_model(SharingA2C, "fups").learn(40, callback=EvalCallback(type_game(4), eval_freq=5, verbose=0))
    stock = A2C("MlpPolicy", type_game(2), device="cpu")
    with pytest.warns(UserWarning, match=SLOTS):
        evaluate_policy(stock, type_game(1), 5, warn=False)


def test_an_agent_alone_is_a_team() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        VecMonitor(type_game(2, groups=(1,)))
