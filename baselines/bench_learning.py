"""Learning speed beside a bare torch loop, in interleaved windows of one process.

The bare loop is what a researcher would write by hand for full sharing: the same two networks, the same number of rows,
fused Adam, random observations, and neither an environment nor a framework. The ratio is what all comfort costs.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn
from torch.nn import functional

from adaps_agents import SharingA2C, SharingPPO
from adaps_envs import make

__all__ = ["BareA2C", "learning_ratios"]

STEPS = 5
HIDDEN = (64, 64)
GAMMA = 0.95
LEARNING_RATE = 1e-3
PPO_STEPS = 50
PPO_EPOCHS = 4
PPO_BATCH = 4800


class BareA2C:
    """Hand-written A2C (or clipped PPO, with ``epochs``) with full sharing and without an environment.

    Args:
        rows: B * N, observations a step.
        obs_dim: F.
        num_actions: A.
        steps: T.
        epochs: None for A2C's single step on the rollout, or PPO's number of passes.
        batch: PPO's minibatch size in rows.
    """

    def __init__(
        self,
        rows: int,
        obs_dim: int,
        num_actions: int,
        *,
        steps: int = STEPS,
        epochs: int | None = None,
        batch: int = 0,
    ) -> None:
        self.steps, self.epochs, self.batch = steps, epochs, batch
        self.actor = _mlp(obs_dim, num_actions)
        self.critic = _mlp(obs_dim, 1)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.parameters = parameters
        self.optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
        generator = np.random.default_rng(0)
        self.frames = torch.from_numpy(generator.standard_normal((steps + 1, rows, obs_dim), dtype=np.float32))
        self.rewards = torch.from_numpy(generator.standard_normal((steps, rows), dtype=np.float32))
        self.agent_steps = steps * rows

    def iterate(self) -> None:
        """Collect one rollout and learn from it."""
        actions, values, log_probs = [], [], []
        with torch.no_grad():
            for frame in self.frames[:-1]:
                logits = self.actor(frame).log_softmax(dim=-1)
                action = (logits - torch.empty_like(logits).exponential_().log_()).argmax(dim=-1)
                actions.append(action)
                log_probs.append(logits.gather(1, action[:, None]).squeeze(1))
                values.append(self.critic(frame).squeeze(-1))
            following = self.critic(self.frames[-1]).squeeze(-1)
            returns = []
            for reward in reversed(self.rewards):
                following = reward + GAMMA * following
                returns.append(following)
        target = torch.cat(returns[::-1])
        self._learn(torch.cat(actions), target, target - torch.cat(values), torch.cat(log_probs))

    def _learn(self, actions: torch.Tensor, target: torch.Tensor, advantage: torch.Tensor, old: torch.Tensor) -> None:
        obs = self.frames[:-1].flatten(0, 1)
        if self.epochs is None:
            self._step(obs, actions, target, advantage, None)
            return
        for _ in range(self.epochs):
            for rows in torch.randperm(len(obs)).split(self.batch):
                self._step(obs[rows], actions[rows], target[rows], advantage[rows], old[rows])

    def _step(
        self,
        obs: torch.Tensor,
        actions: torch.Tensor,
        target: torch.Tensor,
        advantage: torch.Tensor,
        old: torch.Tensor | None,
    ) -> None:
        log_probs = self.actor(obs).log_softmax(dim=-1)
        chosen = log_probs.gather(1, actions[:, None]).squeeze(1)
        if old is None:
            policy_loss = -(advantage * chosen).mean()
        else:
            ratio = (chosen - old).exp()
            policy_loss = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
        entropy = (log_probs.exp() * log_probs).sum(dim=-1).mean()
        loss = policy_loss + 0.5 * functional.mse_loss(self.critic(obs).squeeze(-1), target) + 0.01 * entropy
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 0.5)
        self.optimizer.step()


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    widths = [inputs, *HIDDEN]
    layers: list[nn.Module] = []
    for fan_in, out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN[-1], outputs))


class _Clock(BaseCallback):
    """Note CPU time and agent steps at the end of every rollout, so that the identity phase is not timed."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.marks.append(time.process_time())


def learning_ratios(
    env_id: str, scheme: str, lanes: int, *, algorithm: str = "a2c", repeats: int = 5
) -> dict[str, Any]:
    """Return agent steps per CPU second of the learner and of the bare loop, and the median of their ratios.

    Args:
        env_id: registered id.
        scheme: sharing scheme of the learner (the bare loop always shares fully).
        lanes: B.
        algorithm: ``a2c`` or ``ppo``.
        repeats: interleaved windows of each.
    """
    env = make(env_id, api="sb3", num_envs=lanes)
    ppo = algorithm == "ppo"
    steps = PPO_STEPS if ppo else STEPS
    common: dict[str, Any] = {"seed": 0, "n_steps": steps, "gamma": GAMMA, "policy_kwargs": {"net_arch": list(HIDDEN)}}
    if ppo:
        model: Any = SharingPPO(scheme, env, n_epochs=PPO_EPOCHS, batch_size=PPO_BATCH, **common)
    else:
        model = SharingA2C(scheme, env, use_rms_prop=False, **common)
    rows = lanes * env.num_agents
    epochs = PPO_EPOCHS if ppo else None
    bare = BareA2C(
        rows, env.observation_space.shape[0], int(env.action_space.n), steps=steps, epochs=epochs, batch=PPO_BATCH
    )
    window = max(4, 200_000 // (rows * steps))
    ours, bares = [], []
    for _ in range(repeats):
        bares.append(_rate(bare.iterate, window, bare.agent_steps))
        clock = _Clock()
        model.learn((window + 1) * steps * lanes + model.scheme.identity_steps.item(), callback=clock)
        ours.append((len(clock.marks) - 1) * steps * rows / (clock.marks[-1] - clock.marks[0]))
    ratio = statistics.median(our / bare_rate for our, bare_rate in zip(ours, bares, strict=True))
    return {
        "env": env_id, "scheme": scheme, "algorithm": algorithm, "lanes": lanes, "agents": env.num_agents,
        "agent_steps_per_s": statistics.median(ours), "bare_agent_steps_per_s": statistics.median(bares),
        "ratio": ratio,
    }  # fmt: skip


def _rate(work: Callable[[], None], times: int, agent_steps: int) -> float:
    start = time.process_time()
    for _ in range(times):
        work()
    return times * agent_steps / (time.process_time() - start)
