"""Sharing schemes under stable-baselines3's own PPO and A2C: rows in any order, and the identity phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from adaps_agents.identity.collect import Collector
from adaps_agents.random_streams import MAX_ENV_SEED, derived_seed, numpy_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_envs.adapters.sb3_index import AgentIndexed
from adaps_envs.errors import InvalidParameterError

if TYPE_CHECKING:
    from adaps_agents.policy.policy import SharingPolicy

__all__ = ["IdentityPhase", "RowIndex", "check_stock", "scatter_by_agent"]

RowIndex: TypeAlias = "tuple[Tensor, Tensor]"


def scatter_by_agent(obs: Tensor, num_agents: int) -> tuple[Tensor, RowIndex]:
    """Return rows ``[M, F + 1]`` of any agents in any order as frames ``[R, N, F]``, and each row's index in them.

    Entries without a row are zero. Row ``m`` lies at ``frames[index[0][m], index[1][m]]``, ``index`` being two
    tensors ``[M] int64``.

    Raises:
        InvalidParameterError: the last entry is no agent's index.
    """
    given = obs[:, -1]
    agents = given.long()
    if bool(((agents != given) | (agents < 0) | (agents >= num_agents)).any()):
        raise InvalidParameterError(
            f"the last entry of an observation is no index of {num_agents} agents; wrap AgentIndexed around wrappers "
            "that change observations, not the other way round."
        )
    order = torch.argsort(agents, stable=True)
    counts = torch.bincount(agents, minlength=num_agents)
    starts = counts.cumsum(0) - counts
    turns = torch.empty_like(order)
    turns[order] = torch.arange(len(order), device=obs.device) - starts[agents[order]]
    frames = obs.new_zeros(int(counts.max()), num_agents, obs.shape[1] - 1)
    frames[turns, agents] = obs[:, :-1]
    return frames, (turns, agents)


def check_stock(scheme: SharingScheme) -> None:
    """Raise InvalidParameterError if the scheme needs hooks that stock learners do not call."""
    if scheme.acts_in_training:
        raise InvalidParameterError(
            f"scheme {scheme.name!r} needs aux_loss() or after_update(), which stock learners do not call; train it "
            "with adaps_agents.SharingA2C or SharingPPO."
        )


class IdentityPhase(BaseCallback):
    """Runs the scheme's identity phase when a stock learner's training starts, unless it has been run.

    Its steps are charged to the budget: a stock learner counts slots, so N timesteps an environment step.

    >>> from adaps_envs import make
    >>> from stable_baselines3 import PPO
    >>> env = make("BPS-1", api="sb3", num_envs=8, agent_index=True)
    >>> model = PPO(SharingPolicy, env, policy_kwargs={"scheme": "adaps"})  # doctest: +SKIP
    >>> model.learn(1_000_000, callback=IdentityPhase())  # doctest: +SKIP

    Raises:
        InvalidParameterError: the environment does not index agents, or the phase takes the whole budget.
    """

    def _on_training_start(self) -> None:
        policy: SharingPolicy = self.model.policy  # type: ignore[assignment]
        if policy.prepared():
            return
        env: Any = self.model.env
        while not isinstance(env, AgentIndexed):
            env = getattr(env, "venv", None)
            if env is None:
                raise InvalidParameterError(
                    "the identity phase plays the environment itself; make it with adaps_envs.make(id, api='sb3', "
                    "agent_index=True)."
                )
        assert isinstance(policy.action_space, spaces.Discrete)
        seed = policy.policy_seed
        generator = numpy_stream(seed, "identity", "actions")
        # Beneath the wrapper observations have no index: the encoder must not be told who is who.
        collector = Collector(env.venv, policy.num_agents, int(policy.action_space.n), generator)
        env.seed(derived_seed(seed, "identity", "environment") % MAX_ENV_SEED)
        budget = (self.locals["total_timesteps"] - self.model.num_timesteps) // policy.num_agents
        self.model.num_timesteps += policy.prepare(collector, budget) * policy.num_agents
        self.num_timesteps = self.model.num_timesteps
        env.seed(seed % MAX_ENV_SEED)
        self.model._last_obs = self.model.env.reset()  # type: ignore[union-attr, assignment]
        self.model._last_episode_starts = np.ones(self.model.n_envs, dtype=bool)

    def _on_step(self) -> bool:
        return True
