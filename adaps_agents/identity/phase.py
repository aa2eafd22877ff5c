"""The identity phase from end to end: collect, encode, cluster. One result serves AdaPS and SePS alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.identity.clustering import cluster_codes, merge_exchangeable, ordered_labels, selection_curve
from adaps_agents.identity.collect import Collector
from adaps_agents.identity.encoder import EncoderConfig, IdentityEncoder, Standardiser, train_encoder
from adaps_agents.streams import derived_seed, numpy_stream, torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["Identity", "IdentityConfig", "identify"]

SELECTIONS = ("silhouette", "davies_bouldin")
CODES = ("mean", "sample")
HELD_OUT = 0.2


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Settings of the identity phase.

    Attributes:
        env_steps: environment steps of random play; they are charged to the training budget.
        num_groups: number of groups K, or ``"auto"`` to find it.
        selection: how K is proposed when it is to be found: ``silhouette`` or ``davies_bouldin``, over 2..N/2.
        swap_test: merge proposed groups that are exchangeable, down to one (only when K is to be found).
        shuffle_agents: control: deal the transitions to random agents, so that there is no identity to find.
        code: an agent's code is the encoder's ``mean``, or one ``sample`` of its posterior.
        encoder: settings of the autoencoder.
    """

    env_steps: int = 10_000
    num_groups: int | Literal["auto"] = "auto"
    selection: str = "silhouette"
    swap_test: bool = True
    shuffle_agents: bool = False
    code: str = "mean"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.env_steps, int) or self.env_steps < 1:
            raise InvalidParameterError(f"identity env_steps is {self.env_steps!r}; it must be an integer >= 1.")
        if self.num_groups != "auto" and (not isinstance(self.num_groups, int) or self.num_groups < 1):
            raise InvalidParameterError(f"num_groups is {self.num_groups!r}; give 'auto' or an integer >= 1.")
        if self.selection not in SELECTIONS:
            raise InvalidParameterError(f"selection is {self.selection!r}; choose one of {', '.join(SELECTIONS)}.")
        if self.code not in CODES:
            raise InvalidParameterError(f"code is {self.code!r}; choose one of {', '.join(CODES)}.")
        if isinstance(self.encoder, dict):
            object.__setattr__(self, "encoder", EncoderConfig(**self.encoder))


@dataclass(frozen=True)
class Identity:
    """What the identity phase found.

    Attributes:
        labels: ``[N] int64`` group of each agent, groups numbered by their smallest agent.
        codes: ``[N, Z] float32`` code of each agent (the encoder's mean).
        env_steps: environment steps spent.
        curve: score of every number of groups that was tried.
    """

    labels: NDArray[np.int64]
    codes: NDArray[np.float32]
    env_steps: int
    curve: dict[int, float]

    @property
    def num_groups(self) -> int:
        """K."""
        return int(self.labels.max()) + 1

    @property
    def centres(self) -> NDArray[np.float32]:
        """Mean code of each group, ``[K, Z]``."""
        return np.stack([self.codes[self.labels == group].mean(axis=0) for group in range(self.num_groups)])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name, for a file that holds nothing else."""
        return {
            "identity labels": self.labels,
            "identity codes": self.codes,
            "identity env steps": np.array(self.env_steps, np.int64),
            "identity curve": np.array(list(self.curve.items()), np.float64).reshape(-1, 2),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Identity | None:
        """Return what :meth:`to_arrays` was made from, or None where there is nothing of it."""
        if "identity labels" not in arrays:
            return None
        curve = {int(number): float(score) for number, score in arrays["identity curve"]}
        steps = int(arrays["identity env steps"])
        return cls(arrays["identity labels"].copy(), arrays["identity codes"].copy(), steps, curve)


def identify(collector: Collector, config: IdentityConfig, seed: int) -> Identity:
    """Run the identity phase; its random streams depend on ``seed`` alone.

    Raises:
        InvalidParameterError: more groups asked for than there are agents.
    """
    if config.num_groups != "auto" and config.num_groups > collector.num_agents:
        raise InvalidParameterError(
            f"num_groups is {config.num_groups}, but there are {collector.num_agents} agents; ask for at most as many."
        )
    spent_before = collector.env_steps
    data = collector.collect(config.env_steps)
    if config.shuffle_agents:
        data = data.with_shuffled_agents(numpy_stream(seed, "identity", "shuffle"))
    training, held_out = data.split(HELD_OUT)
    standardiser = Standardiser(training, config.encoder.targets)
    generator = torch_stream(seed, "identity", "encoder")
    model = train_encoder(
        training, standardiser, collector.num_agents, collector.num_actions, config.encoder, generator
    )
    codes = _codes(model, config.code, torch_stream(seed, "identity", "sample"))
    labels, curve = _groups(codes, config, derived_seed(seed, "identity", "clusters"))
    if config.num_groups == "auto" and config.swap_test:
        labels = merge_exchangeable(labels, model, held_out, standardiser)
    return Identity(ordered_labels(labels), codes, collector.env_steps - spent_before, curve)


def _codes(model: IdentityEncoder, kind: str, generator: torch.Generator) -> NDArray[np.float32]:
    with torch.no_grad():
        mean, logvar = model.codes()
        if kind == "sample":
            mean = mean + torch.exp(0.5 * logvar) * torch.randn(mean.shape, generator=generator)
    return np.asarray(mean)


def _groups(
    codes: NDArray[np.float32], config: IdentityConfig, seed: int
) -> tuple[NDArray[np.int64], dict[int, float]]:
    if config.num_groups != "auto":
        return cluster_codes(codes, config.num_groups, seed), {}
    curve = selection_curve(codes, config.selection, seed)
    # Two agents leave nothing to score: propose them apart, and let the swap test decide.
    best = max(curve, key=lambda number: curve[number]) if curve else len(codes)
    return cluster_codes(codes, best, seed), curve
