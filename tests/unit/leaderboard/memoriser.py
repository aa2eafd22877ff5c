"""The planted cheat: a policy that was fitted to the public episodes of its run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from adaps_agents.policy.policy import with_noise
from adaps_envs import make_batched, make_policy
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.execution.episodes import play_episodes
from baselines.leaderboard.execution.evaluation import action_noise
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.spec.config import RunConfig, seeds_of


class Memoriser(torch.nn.Module):
    """It knows the public episodes by their first observation and plays recorded actions there.

    With a ``config`` it counts on the noise of the public episodes as well: with other noise it plays hardly better
    than at random.
    """

    def __init__(
        self, policy: torch.nn.Module, first: np.ndarray, script: np.ndarray, config: RunConfig | None = None
    ) -> None:
        super().__init__()
        self.policy, self._first, self._script, self._config = policy, first, script, config
        self._episode: np.ndarray | None = None
        self._step = 0

    def set_training_mode(self, mode: bool) -> None:
        self.policy.set_training_mode(mode)

    def new_memory(self, lanes: int) -> object:
        self._episode, self._step = None, 0
        if self._config is not None:
            self._noise = action_noise(self._config, seeds_of(self._config).evaluation_start)
        return self.policy.new_memory(lanes)

    def logits(self, obs: np.ndarray, memory: object = None) -> torch.Tensor:
        logits = self.policy.logits(obs, memory=memory).clone()
        if self._episode is None:
            known = (obs[:, None] == self._first[None]).reshape(len(obs), len(self._first), -1).all(axis=2)
            self._episode = np.where(known.any(axis=1), known.argmax(axis=1), -1)
        noise = torch.zeros_like(logits) if self._config is None else with_noise(torch.zeros_like(logits), self._noise)
        for lane, episode in enumerate(self._episode):
            if episode >= 0 and self._step < len(self._script):
                logits[lane] = -noise[lane]
                chosen = torch.from_numpy(self._script[self._step, episode])
                logits[lane, torch.arange(logits.shape[1]), chosen] += 50.0 if self._config is None else 0.5
        self._step += 1
        return logits


def expert_play(config: RunConfig) -> tuple[np.ndarray, np.ndarray]:
    """First observations ``[E, N, F]`` of the public episodes, and what the expert that knows the types does there."""
    seeds, episodes = seeds_of(config), config.task.eval_episodes
    env = make_batched(config.task.env, episodes, **environment_params(config))
    first = env.reset(seed=seeds.evaluation_start).copy()
    expert, generator = make_policy("expert", env), np.random.default_rng(0)
    return first, play_episodes(env, lambda obs: expert(obs, generator), seeds.evaluation_start).actions.astype(int)


def cheating_model(config: RunConfig, *, by_noise: bool = False) -> Any:
    """The learner of a run with the cheat as its policy; the weights are those of an honest run."""
    model = build_model(config)
    honest = model.policy
    cheat = Memoriser(honest, *expert_play(config), config if by_noise else None)
    cheat.load_state_dict = honest.load_state_dict  # type: ignore[method-assign]
    model.policy = cheat
    return model
