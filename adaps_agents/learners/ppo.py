"""Proximal policy optimisation with a sharing scheme."""

from __future__ import annotations

from collections import defaultdict

import torch
from stable_baselines3 import PPO
from torch import Tensor
from torch.nn import functional

from adaps_agents.learners.on_policy import SharingOnPolicy
from adaps_agents.policy.categorical import log_probabilities
from adaps_agents.policy.rollout import Minibatch

__all__ = ["SharingPPO"]


class SharingPPO(SharingOnPolicy, PPO):
    """stable-baselines3's PPO with the agent axis kept and weights shared as a scheme says.

    Minibatches are drawn over (step, lane) and keep a lane's agents together; ``batch_size`` counts single-agent
    transitions as in stable-baselines3 and is rounded down to whole teams (one team at least). Minibatches of a
    recurrent policy are whole lanes, in random order: ``batch_size`` is rounded down to lanes of ``n_steps * N``
    transitions (one lane at least), and the last minibatch of a pass has the lanes that are left.

    Takes the arguments of :class:`~adaps_agents.learners.on_policy.SharingOnPolicy`, PPO's own among them.
    """

    def train(self) -> None:
        """Make ``n_epochs`` passes over the rollout, or fewer if ``target_kl`` is exceeded."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        rows = max(1, self.batch_size // self.num_agents)
        logs: dict[str, list[float]] = defaultdict(list)
        for _ in range(self.n_epochs):
            within_limit = all(self._update(batch, logs) for batch in self.rollout_buffer.get(rows, self.generator))
            self._n_updates += 1
            if not within_limit:
                break
        self._after_update()
        self._log_values()
        for name, values in logs.items():
            self.logger.record(f"train/{name}", sum(values) / len(values))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", self.clip_range(self._current_progress_remaining))  # type: ignore[operator]

    def _update(self, batch: Minibatch, logs: dict[str, list[float]]) -> bool:
        """Make one gradient step; False, and no step, if the policy has moved further than ``target_kl`` allows."""
        log_probs = log_probabilities(self._logits(batch))
        log_ratio = log_probs.gather(-1, batch.actions[..., None]).squeeze(-1) - batch.old_log_prob
        policy_loss, clip_fraction = self._policy_loss(log_ratio, batch.advantages)
        value_loss = self._value_loss(self._values(batch), batch)
        entropy_loss = (log_probs.exp() * log_probs).sum(dim=-1).mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        loss = self._with_auxiliary(loss, policy_loss, batch)
        with torch.no_grad():
            approx_kl = float((log_ratio.exp() - 1 - log_ratio).mean())
        for name, value in (
            ("policy_gradient_loss", policy_loss), ("value_loss", value_loss), ("entropy_loss", entropy_loss),
            ("loss", loss), ("approx_kl", approx_kl), ("clip_fraction", clip_fraction),
        ):  # fmt: skip
            logs[name].append(value.item() if isinstance(value, Tensor) else value)
        if self.target_kl is not None and approx_kl > 1.5 * self.target_kl:
            return False
        self._descend(loss)
        return True

    def _policy_loss(self, log_ratio: Tensor, advantages: Tensor) -> tuple[Tensor, float]:
        """Return the clipped surrogate loss and the share of clipped ratios."""
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        if self.normalize_advantage and advantages.numel() > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = log_ratio.exp()
        surrogate = torch.minimum(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))
        return -surrogate.mean(), float(((ratio - 1).abs() > clip).float().mean())

    def _value_loss(self, values: Tensor, batch: Minibatch) -> Tensor:
        if self.clip_range_vf is not None:
            clip = self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
            values = batch.old_values + (values - batch.old_values).clamp(-clip, clip)
        return functional.mse_loss(values, batch.returns)
