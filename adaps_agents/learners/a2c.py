"""Advantage actor-critic with a sharing scheme."""

from __future__ import annotations

import torch
from stable_baselines3 import A2C
from torch.nn import functional

from adaps_agents.learners.on_policy import SharingOnPolicy
from adaps_agents.policy.categorical import log_probabilities

__all__ = ["SharingA2C"]


class SharingA2C(SharingOnPolicy, A2C):
    """stable-baselines3's A2C with the agent axis kept and weights shared as a scheme says.

    Takes the arguments of :class:`~adaps_agents.learners.on_policy.SharingOnPolicy`, A2C's own among them.
    """

    def train(self) -> None:
        """Make one gradient step on the whole rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        (batch,) = self.rollout_buffer.get()
        advantages = batch.advantages
        if self.normalize_advantage:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_probs = log_probabilities(self._logits(batch))
        chosen = log_probs.gather(-1, batch.actions[..., None]).squeeze(-1)
        policy_loss = -(advantages * chosen).mean()
        value_loss = functional.mse_loss(self._values(batch), batch.returns)
        entropy_loss = (log_probs.exp() * log_probs).sum(dim=-1).mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        loss = self._with_auxiliary(loss, policy_loss, batch)
        self._descend(loss)
        self._n_updates += 1
        self._after_update()
        self._log_update(policy_loss, value_loss, entropy_loss)

    def _log_update(self, policy_loss: torch.Tensor, value_loss: torch.Tensor, entropy_loss: torch.Tensor) -> None:
        self._log_values()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/entropy_loss", entropy_loss.item())
        self.logger.record("train/policy_loss", policy_loss.item())
        self.logger.record("train/value_loss", value_loss.item())
