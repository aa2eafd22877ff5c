"""Advantage actor-critic with a sharing scheme."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import A2C
from torch.nn import functional

from adaps_agents.learners.on_policy import SharingOnPolicy, sharing_arguments
from adaps_agents.learners.policy import SharingPolicy
from adaps_agents.learners.rollout import AgentRolloutBuffer

__all__ = ["SharingA2C"]


class SharingA2C(SharingOnPolicy, A2C):
    """stable-baselines3's A2C with the agent axis kept and weights shared as a scheme says.

    Args:
        policy: name of a sharing scheme, e.g. ``"adaps"``.
        env: vectorised environment with one slot an agent (``adaps_envs.make(id, api="sb3", num_envs=B)``), or an id.
        num_lanes: lanes to make when ``env`` is an id.
        policy_kwargs: ``net_arch``, ``activation_fn``, ``scheme_kwargs`` (the scheme's options), optimiser settings.
        **kwargs: A2C's own arguments under its own names. Timesteps count environment steps.

    Raises:
        UnknownNameError: unknown scheme or id.
        InvalidParameterError: an option that does not fit.
    """

    def __init__(
        self,
        policy: str | type[SharingPolicy],
        env: Any,
        *,
        num_lanes: int = 8,
        seed: int | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        from_file = not kwargs.get("_init_setup_model", True)
        policy, env, options = sharing_arguments(policy, env, num_lanes, seed, policy_kwargs, from_file=from_file)
        kwargs.setdefault("rollout_buffer_class", AgentRolloutBuffer)
        kwargs.setdefault("rollout_buffer_kwargs", {"num_agents": options.get("num_agents", 1)})
        super().__init__(policy, env, seed=seed, policy_kwargs=options, **kwargs)

    def train(self) -> None:
        """Make one gradient step on the whole rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        (batch,) = self.rollout_buffer.get()
        advantages = batch.advantages
        if self.normalize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_probs = self.scheme.actor(batch.observations).log_softmax(dim=-1)
        chosen = log_probs.gather(-1, batch.actions[..., None]).squeeze(-1)
        policy_loss = -(advantages * chosen).mean()
        value_loss = functional.mse_loss(self.scheme.critic(batch.observations), batch.returns)
        entropy_loss = (log_probs.exp() * log_probs).sum(dim=-1).mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        self._tell_scheme(policy_loss, batch.observations)
        auxiliary = self.scheme.aux_loss()
        if auxiliary is not None:
            loss = loss + auxiliary
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.policy.clip_gradients(self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates += 1
        self._after_update()
        self._log_update(policy_loss, value_loss, entropy_loss)

    def _log_update(self, policy_loss: torch.Tensor, value_loss: torch.Tensor, entropy_loss: torch.Tensor) -> None:
        self._log_values()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/entropy_loss", entropy_loss.item())
        self.logger.record("train/policy_loss", policy_loss.item())
        self.logger.record("train/value_loss", value_loss.item())
