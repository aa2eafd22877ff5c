"""Evaluating teams: an episode is a lane's, its return the sum over all agents, as ``rollout/ep_rew_mean`` has it.

stable-baselines3's ``evaluate_policy`` and ``EvalCallback`` count the episodes of slots. A slot is one agent, and the
slots that they take first are the last agents of the last lane: five "episodes" in one lane of BPS-1 are the five
agents of one hidden type in one and the same episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize, sync_envs_normalization

from adaps_agents.learners.arguments import check_slots
from adaps_agents.schemes.options import check_count
from adaps_envs.errors import InvalidParameterError

__all__ = ["TeamEvalCallback", "all_callbacks", "counting_lanes", "evaluate_team", "unscaled_rewards"]


def evaluate_team(
    model: Any, env: Any, n_eval_episodes: int = 10, deterministic: bool = True, *, return_episode_rewards: bool = False
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """Play whole episodes of the team and return the mean and standard deviation of their returns.

    A return is the sum of the rewards of all agents over an episode of one lane, as the environment paid them, also
    under ``VecNormalize``, whose statistics are used and left alone. The episodes are dealt evenly to the lanes, so
    that short ones do not count more often.

    Args:
        model: learner or policy, of this package or another, with stable-baselines3's ``predict``.
        env: vectorised environment with one slot per agent, not the one that the model trains in.
        n_eval_episodes: number of episodes.
        deterministic: the most probable actions instead of samples.
        return_episode_rewards: return the returns and lengths of all episodes instead.

    Raises:
        InvalidParameterError: an environment of another API or without a declared team, or no episode to play.
    """
    check_count("n_eval_episodes", n_eval_episodes)
    check_slots(env)
    agents = getattr(env, "num_agents", getattr(model, "num_agents", None))
    if not isinstance(agents, int):
        raise InvalidParameterError(
            f"{type(env).__name__} does not say how its slots divide into agents; make it with "
            "adaps_envs.make(id, api='sb3', num_envs=...)."
        )
    lanes = env.num_envs // agents
    wanted = (n_eval_episodes + np.arange(lanes)) // lanes
    played, total, length = np.zeros(lanes, int), np.zeros(lanes), np.zeros(lanes, int)
    returns: list[float] = []
    lengths: list[int] = []
    with _frozen_statistics(env):
        obs, state, starts = env.reset(), None, np.ones(env.num_envs, bool)
        while (played < wanted).any():
            actions, state = model.predict(obs, state=state, episode_start=starts, deterministic=deterministic)
            obs, rewards, starts, _ = env.step(actions)
            total += unscaled_rewards(env, rewards).reshape(lanes, agents).sum(axis=1)
            length += 1
            ended = np.asarray(starts).reshape(lanes, agents).all(axis=1)
            for lane in np.flatnonzero(ended & (played < wanted)):
                returns.append(float(total[lane]))
                lengths.append(int(length[lane]))
            played[ended] += 1
            total[ended], length[ended] = 0, 0
    if return_episode_rewards:
        return returns, lengths
    return float(np.mean(returns)), float(np.std(returns))


class TeamEvalCallback(EvalCallback):
    """stable-baselines3's ``EvalCallback``, with team episodes scored by :func:`evaluate_team`.

    Arguments, files (``evaluations.npz``, ``best_model.zip``), log entries and the callbacks that it triggers are
    ``EvalCallback``'s; ``render`` is not used. ``eval_freq`` counts calls, each of them a step of all B lanes.

    Raises:
        InvalidParameterError: ``eval_env`` has another API, or is the environment that is trained in.
    """

    def __init__(self, eval_env: Any, *args: Any, **kwargs: Any) -> None:
        check_slots(eval_env)
        super().__init__(eval_env, *args, **kwargs)

    def _init_callback(self) -> None:
        super()._init_callback()
        if self.eval_env is self.training_env:
            raise InvalidParameterError(
                "eval_env is the environment that is trained in, whose episodes an evaluation would cut off; make "
                "another one."
            )

    def _on_step(self) -> bool:
        if self.eval_freq <= 0 or self.n_calls % self.eval_freq:
            return True
        if self.model.get_vec_normalize_env() is not None:
            self._take_over_statistics()
        returns, lengths = evaluate_team(
            self.model, self.eval_env, self.n_eval_episodes, self.deterministic, return_episode_rewards=True
        )
        assert isinstance(returns, list)
        assert isinstance(lengths, list)
        self._store(returns, lengths)
        mean = self.last_mean_reward = float(np.mean(returns))
        if self.verbose >= 1:
            self.logger.log(f"Eval num_timesteps={self.num_timesteps}, return={mean:.2f} +/- {np.std(returns):.2f}")
        self.logger.record("eval/mean_reward", mean)
        self.logger.record("eval/mean_ep_length", float(np.mean(lengths)))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        goes_on = True
        if mean > self.best_mean_reward:
            self.best_mean_reward = mean
            if self.best_model_save_path is not None:
                self.model.save(Path(self.best_model_save_path) / "best_model")
            if self.callback_on_new_best is not None:
                goes_on = self.callback_on_new_best.on_step()
        return self._on_event() and goes_on

    def _take_over_statistics(self) -> None:
        try:
            sync_envs_normalization(self.training_env, self.eval_env)
        except (AssertionError, AttributeError):  # stable-baselines3 raises one or the other
            raise InvalidParameterError(
                "the training environment is wrapped in VecNormalize and eval_env is not wrapped in the same way; "
                "wrap it, too: VecNormalize(eval_env, training=False)."
            ) from None

    def _store(self, returns: list[float], lengths: list[int]) -> None:
        if self.log_path is None:
            return
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(returns)
        self.evaluations_length.append(lengths)
        np.savez(
            self.log_path,
            timesteps=self.evaluations_timesteps,
            results=self.evaluations_results,
            ep_lengths=self.evaluations_length,
        )


def unscaled_rewards(env: Any, rewards: NDArray[Any]) -> NDArray[Any]:
    """Return the last step's rewards ``[B*N]`` as they were before any ``VecNormalize`` around the environment."""
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecNormalize):
            rewards = env.get_original_reward()
        env = env.venv
    return rewards


@contextmanager
def _frozen_statistics(env: Any) -> Iterator[None]:
    """Keep every ``VecNormalize`` around an environment from learning of what is played in it."""
    training: list[VecNormalize] = []
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, VecNormalize) and env.training:
            training.append(env)
            env.training = False
        env = env.venv
    try:
        yield
    finally:
        for wrapper in training:
            wrapper.training = True


def all_callbacks(callback: BaseCallback) -> Iterator[BaseCallback]:
    """Yield a callback and all that it holds."""
    yield callback
    held = [*getattr(callback, "callbacks", ()), getattr(callback, "callback", None)]
    for inner in held:
        if isinstance(inner, BaseCallback):
            yield from all_callbacks(inner)


def counting_lanes(model: Any) -> Any:
    """Return a view of a learner whose environment has as many steps a call as there are lanes, for progress bars."""
    env = _View(model.get_env(), num_envs=model.num_lanes)
    return _View(model, get_env=lambda: env)


class _View:
    """An object with some of its attributes replaced."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced, _inner=inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)
