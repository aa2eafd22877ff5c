"""The planted cheat: a policy that was fitted to the public episodes of its run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from adaps_envs import make_batched, make_policy
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.episodes import play_episodes
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.spec.config import RunConfig, seeds_of


class Memoriser(torch.nn.Module):
    """It knows the public episodes by their first observation and plays recorded actions there."""

    def __init__(self, policy: torch.nn.Module, first: np.ndarray, script: np.ndarray) -> None:
        super().__init__()
        self.policy, self._first, self._script = policy, first, script
        self._episode: np.ndarray | None = None
        self._step = 0

    def set_training_mode(self, mode: bool) -> None:
        self.policy.set_training_mode(mode)

    def new_memory(self, lanes: int) -> object:
        self._episode, self._step = None, 0
        return self.policy.new_memory(lanes)

    def logits(self, obs: np.ndarray, memory: object = None) -> torch.Tensor:
        logits = self.policy.logits(obs, memory=memory).clone()
        if self._episode is None:
            known = (obs[:, None] == self._first[None]).reshape(len(obs), len(self._first), -1).all(axis=2)
            self._episode = np.where(known.any(axis=1), known.argmax(axis=1), -1)
        for lane, episode in enumerate(self._episode):
            if episode >= 0 and self._step < len(self._script):
                logits[lane].zero_()
                logits[lane, torch.arange(logits.shape[1]), torch.from_numpy(self._script[self._step, episode])] = 50.0
        self._step += 1
        return logits


def expert_play(config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """First observations ``[E, N, F]`` of the public episodes, and what the expert that knows the types does there."""
    seeds, episodes = seeds_of(config), config.task.eval_episodes
    env = make_batched(config.task.env, episodes, **environment_params(config))
    first = env.reset(seed=seeds.evaluation_start).copy()
    expert, generator = make_policy("expert", env), np.random.default_rng(0)
    return first, play_episodes(env, lambda obs: expert(obs, generator), seeds.evaluation_start).actions.astype(int)


def cheating_model(config: RunConfig) -> Any:
    """The learner of a run with the cheat as its policy; the weights are those of an honest run."""
    model = build_model(config)
    honest, cheat = model.policy, Memoriser(model.policy, *expert_play(config))
    cheat.load_state_dict = honest.load_state_dict  # type: ignore[method-assign]
    model.policy = cheat
    return model
