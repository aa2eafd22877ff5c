"""The identity encoder: a variational autoencoder whose code depends on the agent's index alone.

``q(z | i)`` sees the one-hot index, ``p(r, o' | z, o, a)`` predicts how the environment answers; agents that get
the same answers can share one code. Architecture, optimiser and weights of the loss follow Christianos et al., "Scaling
multi-agent reinforcement learning with selective parameter sharing" (SePS, arXiv 2102.07475); inputs and targets are
standardised, because a raw reward is one of F + 1 targets and drowns among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adaps_agents.identity.collect import Steps, Transitions
from adaps_agents.random_streams import default_linear
from adaps_envs.errors import InvalidParameterError

__all__ = ["EncoderConfig", "IdentityEncoder", "Standardiser", "train_encoder"]

TARGETS = ("standardised", "raw")
# Settings come from records, too: what they may ask for at most.
MOST = {"latent": 4_096, "hidden": 4_096, "batch_size": 65_536, "updates": 10**9}
# Scales are fitted on at most so many rows.
SCALE_ROWS = 200_000


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Settings of the identity encoder.

    Attributes:
        latent: size Z of the code.
        hidden: width of all hidden layers.
        kl_weight: weight of the Kullback-Leibler term in the summed loss.
        targets: ``standardised`` changes of the observation and reward, or SePS's ``raw`` next observation and reward.
        reward_weight: weight of the reward's squared error; 1 gives it the weight of all observation entries together
            (``standardised``) or of a single one (``raw``).
        learning_rate: of Adam.
        batch_size: transitions a minibatch.
        updates: number of minibatches, drawn at random, with a learning rate that falls to 0.
        passes: instead of ``updates``, passes over all transitions in random order at a constant learning rate.
    """

    latent: int = 10
    hidden: int = 64
    kl_weight: float = 1e-4
    targets: str = "standardised"
    reward_weight: float = 1.0
    learning_rate: float = 3e-3
    batch_size: int = 1024
    updates: int = 3000
    passes: int | None = None

    def __post_init__(self) -> None:
        if self.targets not in TARGETS:
            raise InvalidParameterError(f"targets is {self.targets!r}; choose one of {', '.join(TARGETS)}.")
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise InvalidParameterError(f"encoder {name} is {value!r}; it must be an integer >= 1 and <= {most:,}.")
        if self.passes is not None and (not isinstance(self.passes, int) or self.passes < 1):
            raise InvalidParameterError(f"encoder passes is {self.passes!r}; it must be an integer >= 1, or None.")


class IdentityEncoder(nn.Module):
    """VAE with encoder ``N -> H -> 2Z`` on the one-hot index and decoder ``Z + F + A -> H -> H -> F + 1``."""

    def __init__(
        self, num_agents: int, obs_dim: int, num_actions: int, config: EncoderConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.num_actions = num_actions
        hidden, latent = config.hidden, config.latent
        first = default_linear(num_agents, hidden, generator)
        self.encoder = nn.Sequential(first, nn.ReLU(), default_linear(hidden, 2 * latent, generator))
        self.decoder = nn.Sequential(
            default_linear(latent + obs_dim + num_actions, hidden, generator), nn.ReLU(),
            default_linear(hidden, hidden, generator), nn.ReLU(),
            default_linear(hidden, obs_dim + 1, generator),
        )  # fmt: skip

    def codes(self) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of every agent's code, each ``[N, Z]``."""
        first = self.encoder[0]
        assert isinstance(first, nn.Linear)
        hidden = functional.relu(first.weight.T + first.bias)  # the one-hot inputs of all agents at once
        mean, logvar = self.encoder[2](hidden).chunk(2, dim=-1)
        return mean, logvar

    def decode(self, code: Tensor, obs: Tensor, actions: Tensor) -> Tensor:
        """Return predicted targets ``[M, F + 1]`` for codes ``[M, Z]``, observations ``[M, F]``, actions ``[M]``."""
        onehot = functional.one_hot(actions, self.num_actions).to(obs.dtype)
        out: Tensor = self.decoder(torch.cat([code, obs, onehot], dim=-1))
        return out


class Standardiser:
    """Scaling of observations and targets to zero mean and unit variance, fitted on one set of transitions.

    Targets are the observation's change and the reward; a constant column becomes zeros. With ``raw`` nothing is scaled
    and the targets are the next observation and the reward.
    """

    def __init__(self, data: Transitions, targets: str = "standardised") -> None:
        self._raw = targets == "raw"
        if not self._raw:
            sample = data.take(np.linspace(0, len(data.obs) - 1, min(len(data.obs), SCALE_ROWS)).astype(np.int64))
            self._obs = _moments(torch.from_numpy(sample.obs))
            self._targets = _moments(_targets(sample, raw=False))

    def __call__(self, data: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """Return observations ``[M, F]``, actions ``[M]`` and targets ``[M, F + 1]``."""
        if self._raw:
            return torch.from_numpy(data.obs), torch.from_numpy(data.actions), _targets(data, raw=True)
        obs = (torch.from_numpy(data.obs) - self._obs[0]) / self._obs[1]
        targets = (_targets(data, raw=False) - self._targets[0]) / self._targets[1]
        return obs, torch.from_numpy(data.actions), targets


def _targets(data: Transitions, raw: bool) -> Tensor:
    landed = torch.from_numpy(data.next_obs)
    predicted = landed if raw else landed - torch.from_numpy(data.obs)
    return torch.cat([predicted, torch.from_numpy(data.rewards)[:, None]], dim=1)


def _moments(columns: Tensor) -> tuple[Tensor, Tensor]:
    std = columns.std(dim=0)
    return columns.mean(dim=0), torch.where(std > 1e-6, std, torch.inf)


def train_encoder(
    steps: Steps,
    standardiser: Standardiser,
    num_actions: int,
    config: EncoderConfig,
    generator: torch.Generator,
) -> IdentityEncoder:
    """Train the encoder on some steps; all draws come from ``generator``.

    Minibatches are scaled one at a time: with 200 agents a scaled copy of everything would take a gigabyte.
    """
    rows, obs_dim = steps.rows.reshape(-1), steps.data.obs.shape[1]
    model = IdentityEncoder(steps.rows.shape[1], obs_dim, num_actions, config, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.updates)
    weights = torch.full((obs_dim + 1,), 1.0)
    weights[-1] = config.reward_weight * (1 if config.targets == "raw" else obs_dim)
    for chosen in _minibatches(len(rows), config, generator):
        batch = steps.data.take(rows[chosen])
        obs, actions, targets = standardiser(batch)
        mean, logvar = model.codes()
        noise = torch.randn(len(chosen), config.latent, generator=generator)
        ids = torch.from_numpy(batch.agents)
        code = mean[ids] + noise * torch.exp(0.5 * logvar[ids])
        error = model.decode(code, obs, actions) - targets
        divergence = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(dim=1)
        loss = (error**2 * weights).sum() + config.kl_weight * divergence[ids].sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if config.passes is None:
            schedule.step()
    return model


def _minibatches(num_rows: int, config: EncoderConfig, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of each minibatch: drawn at random, or of whole passes in random order."""
    if config.passes is None:
        size = min(config.batch_size, num_rows)
        for _ in range(config.updates):
            yield torch.randint(num_rows, (size,), generator=generator).numpy()
        return
    for _ in range(config.passes):
        order = torch.randperm(num_rows, generator=generator).numpy()
        yield from np.split(order, np.arange(config.batch_size, num_rows, config.batch_size))
