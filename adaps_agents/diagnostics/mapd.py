"""Multi-agent policy distance (MAPD): how far apart agents' decisions lie in the latent space of an autoencoder.

A conditional variational autoencoder ``q(z | pi_i(. | o), o)`` learns to reproduce decisions; the distance of two
agents is the mean over observations of the Wasserstein-2 distance between the codes of their decisions. Hu et al.,
"Measuring policy distance for multi-agent reinforcement learning", AAMAS 2024, arXiv 2401.11257; sizes, loss and
optimiser are those of the authors' code. Distances are in units of one autoencoder: those of two cannot be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adaps_agents.random_streams import default_linear
from adaps_agents.schemes.options import check_count, check_number

__all__ = ["DecisionEncoder", "MapdConfig", "mapd", "wasserstein"]

# Numbers that a block of pairwise distances may hold at once.
BLOCK = 4_000_000


@dataclass(frozen=True, kw_only=True)
class MapdConfig:
    """Settings of the autoencoder, by default those of the authors' code.

    Attributes:
        latent: size Z of the code.
        hidden: width of all hidden layers.
        kl_weight: weight of the Kullback-Leibler term; both terms of the loss are sums.
        learning_rate: of Adam.
        batch_size: decisions a minibatch.
        epochs: passes over the decisions.
    """

    latent: int = 10
    hidden: int = 32
    kl_weight: float = 0.01
    learning_rate: float = 3e-4
    batch_size: int = 128
    epochs: int = 10

    def __post_init__(self) -> None:
        for name in ("latent", "hidden", "batch_size", "epochs"):
            check_count(f"distance {name}", getattr(self, name))
        check_number("distance kl_weight", self.kl_weight, low=0.0)
        check_number("distance learning_rate", self.learning_rate, above=0.0)


class DecisionEncoder(nn.Module):
    """VAE with encoder ``A + F -> H -> 2Z`` and decoder ``Z + F -> H -> H -> A``, both told the observation."""

    def __init__(self, obs_dim: int, num_actions: int, config: MapdConfig, generator: torch.Generator) -> None:
        super().__init__()
        hidden, latent = config.hidden, config.latent
        self.encoder = nn.Sequential(
            default_linear(num_actions + obs_dim, hidden, generator), nn.ReLU(),
            default_linear(hidden, 2 * latent, generator),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            default_linear(latent + obs_dim, hidden, generator), nn.ReLU(),
            default_linear(hidden, hidden, generator), nn.ReLU(),
            default_linear(hidden, num_actions, generator),
        )  # fmt: skip

    def encode(self, decisions: Tensor, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance ``[..., Z]`` of the codes of ``[..., A]`` probabilities at ``[..., F]``."""
        mean, logvar = self.encoder(torch.cat([decisions, obs], dim=-1)).chunk(2, dim=-1)
        return mean, logvar

    def decode(self, code: Tensor, obs: Tensor) -> Tensor:
        """Return reproduced decisions ``[..., A]`` for codes ``[..., Z]`` and observations ``[..., F]``."""
        out: Tensor = self.decoder(torch.cat([code, obs], dim=-1))
        return out


def mapd(
    actor: Callable[[Tensor], Tensor], observations: Tensor, config: MapdConfig, generator: torch.Generator
) -> Tensor:
    """Train an autoencoder on the agents' decisions and return their distances ``[N, N]``.

    Args:
        actor: logits ``[B, N, A]`` of all agents for observations ``[B, N, F]``.
        observations: ``[M, N, F]``, what each agent saw; the decisions learnt from are its own, and distances are
            means over all of these observations, each shown to every agent.
        config: settings of the autoencoder.
        generator: source of its initial weights, its order of decisions and its noise.

    Returns:
        Symmetric, zero on the diagonal, on the CPU.
    """
    with torch.no_grad():
        decisions = actor(observations).softmax(dim=-1).flatten(0, 1).cpu()
    seen = observations.flatten(0, 1).cpu()
    model = _train(decisions, seen, config, generator)
    number = observations.shape[1]
    total = torch.zeros(number, number, dtype=torch.float64)
    with torch.no_grad():
        for rows in seen.split(max(1, min(4096, BLOCK // number**2))):
            everybody = rows[:, None].expand(-1, number, -1)
            theirs = actor(everybody.to(observations.device)).softmax(dim=-1).cpu()
            total += wasserstein(*model.encode(theirs, everybody)).sum(dim=0, dtype=torch.float64)
    return (total / len(seen)).float()


def wasserstein(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the Wasserstein-2 distances ``[S, N, N]`` between diagonal Gaussians ``[S, N, Z]``."""
    points = torch.cat([mean, torch.exp(0.5 * logvar)], dim=-1)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _train(decisions: Tensor, seen: Tensor, config: MapdConfig, generator: torch.Generator) -> DecisionEncoder:
    model = DecisionEncoder(seen.shape[1], decisions.shape[1], config, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(seen), generator=generator).split(config.batch_size):
            mean, logvar = model.encode(decisions[rows], seen[rows])
            noise = torch.randn(mean.shape, generator=generator)
            error = model.decode(mean + noise * torch.exp(0.5 * logvar), seen[rows]) - decisions[rows]
            divergence = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
            optimizer.zero_grad(set_to_none=True)
            (error.square().sum() + config.kl_weight * divergence).backward()
            optimizer.step()
    return model
