"""The identity phase from end to end: collect, encode, cluster. One result serves AdaPS and SePS alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.identity.clustering import cluster_codes, selection_curve, tree_curve
from adaps_agents.identity.collect import Collector, Outcomes, Transitions, joined
from adaps_agents.identity.effects import Effects, measured_effects
from adaps_agents.identity.encoder import EncoderConfig, IdentityEncoder, Standardiser, train_encoder
from adaps_agents.identity.events import RewardEvents, event_counts
from adaps_agents.identity.exchange import (
    ExchangeTest,
    Group,
    Witness,
    merge_exchangeable,
    merged_along_tree,
    ordered_labels,
)
from adaps_agents.identity.regression import RewardRegression
from adaps_agents.streams import derived_seed, numpy_stream, torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["Identity", "IdentityConfig", "identify", "steps_wanted"]

SELECTIONS = ("tree", "silhouette", "davies_bouldin")
CODES = ("mean", "sample")
HELD_OUT = 0.2
# Where at most this share of an agent's actions is paid otherwise than usual, rewards are rare ...
RARE = 0.1
# ... and play goes on until every agent was paid this often ...
EVENTS_NEEDED = 80
# ... or the average agent this often, so that a type that is never paid does not keep the others waiting ...
EVENTS_ENOUGH = 1_600
# ... or not even this many events an agent, on average, can be expected in all.
EVENTS_HOPED_FOR = 20
# A further round of play is this share to this many times as long as everything before it.
GROWTH = (0.25, 1.0)
# Observations are kept up to this many numbers (256 MiB, and as much for the next ones).
OBS_NUMBERS = 2**26


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Settings of the identity phase.

    Attributes:
        env_steps: environment steps of random play; they are charged to the training budget.
        patience: where rewards are rare, play goes on for up to ``patience * env_steps`` steps (charged, too) until
            every agent has been paid often enough to be compared; 1 plays ``env_steps`` and no more.
        num_groups: number of groups K, or ``"auto"`` to find it.
        selection: how groups are proposed when K is to be found: ``tree`` climbs Ward's tree over the codes from single
            agents and joins exchangeable branches; ``silhouette`` and ``davies_bouldin`` take K-means with the best
            K in 2..N/2.
        swap_test: merge proposed groups that are exchangeable, down to one (only when K is to be found; ``tree`` is
            nothing without it).
        events: also compare directly what agents are paid (only when K is to be found), see
            :mod:`adaps_agents.identity.events`. It presumes that agents of one type start alike.
        regression: also compare regressions of the agents' rewards, where these predict much better than the encoder
            (only when K is to be found), see :mod:`adaps_agents.identity.regression`.
        shuffle_agents: control: deal the transitions to random agents, so that there is no identity to find.
        code: an agent's code is the encoder's ``mean``, or one ``sample`` of its posterior.
        encoder: settings of the autoencoder.
    """

    env_steps: int = 10_000
    patience: float = 32
    num_groups: int | Literal["auto"] = "auto"
    selection: str = "tree"
    swap_test: bool = True
    events: bool = True
    regression: bool = True
    shuffle_agents: bool = False
    code: str = "mean"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        if not isinstance(self.env_steps, int) or self.env_steps < 1:
            raise InvalidParameterError(f"identity env_steps is {self.env_steps!r}; it must be an integer >= 1.")
        if not isinstance(self.patience, (int, float)) or not 1 <= self.patience < float("inf"):
            raise InvalidParameterError(f"identity patience is {self.patience!r}; it must be a finite number >= 1.")
        if self.num_groups != "auto" and (not isinstance(self.num_groups, int) or self.num_groups < 1):
            raise InvalidParameterError(f"num_groups is {self.num_groups!r}; give 'auto' or an integer >= 1.")
        if self.selection not in SELECTIONS:
            raise InvalidParameterError(f"selection is {self.selection!r}; choose one of {', '.join(SELECTIONS)}.")
        if self.selection == "tree" and not self.swap_test:
            raise InvalidParameterError(
                "selection is 'tree' with swap_test=False, but the tree is cut by that test; take 'silhouette'."
            )
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
        effects: what rewards depend on; None unless asked for.
    """

    labels: NDArray[np.int64]
    codes: NDArray[np.float32]
    env_steps: int
    curve: dict[int, float]
    effects: Effects | None = None

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
        arrays: dict[str, NDArray[Any]] = {
            "identity labels": self.labels,
            "identity codes": self.codes,
            "identity env steps": np.array(self.env_steps, np.int64),
            "identity curve": np.array(list(self.curve.items()), np.float64).reshape(-1, 2),
        }
        if self.effects is not None:
            arrays |= {f"identity {name} effects": array for name, array in vars(self.effects).items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Identity | None:
        """Return what :meth:`to_arrays` was made from, or None where there is nothing of it."""
        if "identity labels" not in arrays:
            return None
        curve = {int(number): float(score) for number, score in arrays["identity curve"]}
        steps = int(arrays["identity env steps"])
        effects = None
        if "identity rewards effects" in arrays:
            effects = Effects(*(arrays[f"identity {name} effects"].copy() for name in ("rewards", "changes")))
        return cls(arrays["identity labels"].copy(), arrays["identity codes"].copy(), steps, curve, effects)


def identify(collector: Collector, config: IdentityConfig, seed: int, *, effects: bool = False) -> Identity:
    """Run the identity phase; its random streams depend on ``seed`` alone.

    Args:
        collector: plays random actions.
        config: settings.
        seed: key of the random streams.
        effects: also measure how rewards depend on entries, on the same transitions.

    Raises:
        InvalidParameterError: more groups asked for than there are agents.
    """
    if config.num_groups != "auto" and config.num_groups > collector.num_agents:
        raise InvalidParameterError(
            f"num_groups is {config.num_groups}, but there are {collector.num_agents} agents; ask for at most as many."
        )
    spent_before = collector.env_steps
    data, outcomes = _played(collector, config)
    if config.shuffle_agents:
        data = data.with_shuffled_agents(numpy_stream(seed, "identity", "shuffle"))
        outcomes = outcomes.with_shuffled_agents(numpy_stream(seed, "identity", "shuffle outcomes"))
    training, held_out = data.split(HELD_OUT)
    standardiser = Standardiser(training, config.encoder.targets)
    generator = torch_stream(seed, "identity", "encoder")
    sizes = collector.num_agents, collector.num_actions
    model = train_encoder(training, standardiser, *sizes, config.encoder, generator)
    codes = _codes(model, config.code, torch_stream(seed, "identity", "sample"))
    test = ExchangeTest(model, held_out, standardiser, collector.num_agents)
    witnesses: list[Witness] = []
    if config.num_groups == "auto" and config.swap_test:
        witnesses += [RewardEvents(outcomes, *sizes)] if config.events else []
        regression = RewardRegression(training, held_out, *sizes) if config.regression else None
        witnesses += [regression] if regression is not None and regression.beats(test, codes) else []
    labels, curve = _groups(codes, config, test, witnesses, derived_seed(seed, "identity", "clusters"))
    measured = measured_effects(data, collector.num_agents) if effects else None
    return Identity(ordered_labels(labels), codes, collector.env_steps - spent_before, curve, measured)


def _played(collector: Collector, config: IdentityConfig) -> tuple[Transitions, Outcomes]:
    """Play until agents can be compared; return the transitions that are kept, and the outcomes of all steps."""
    seen = [collector.collect(config.env_steps)]
    outcomes: list[Outcomes] = [seen[0].outcomes]
    spent = len(seen[0].agents) // collector.num_agents
    while config.num_groups == "auto" and config.events:
        more = steps_wanted(event_counts(joined(outcomes), collector.num_agents), spent, config)
        if more == 0:
            break
        numbers = sum(part.obs.size for part in seen) * (1 + more / spent)
        if len(seen) == len(outcomes) and numbers <= OBS_NUMBERS:
            seen.append(collector.collect(more))
            outcomes.append(seen[-1].outcomes)
        else:
            outcomes.append(collector.outcomes(more))
        spent += len(outcomes[-1].agents) // collector.num_agents
    return joined(seen), joined(outcomes)


def steps_wanted(counts: NDArray[np.int64], spent: int, config: IdentityConfig) -> int:
    """Return how many more environment steps to play, given how often each agent ``[N]`` was paid in those spent."""
    limit = int(config.patience * config.env_steps)
    least, mean = float(counts.min()), float(counts.mean())
    hopeless = mean * limit / spent < EVENTS_HOPED_FOR
    if mean > RARE * spent:
        return 0
    if least >= EVENTS_NEEDED or mean >= EVENTS_ENOUGH or hopeless or spent >= limit:
        return 0
    growth = float(np.clip(EVENTS_NEEDED / max(least, 1.0) - 1, *GROWTH))
    return min(int(np.ceil(growth * spent)), limit - spent)


def _codes(model: IdentityEncoder, kind: str, generator: torch.Generator) -> NDArray[np.float32]:
    with torch.no_grad():
        mean, logvar = model.codes()
        if kind == "sample":
            mean = mean + torch.exp(0.5 * logvar) * torch.randn(mean.shape, generator=generator)
    return np.asarray(mean)


def _groups(
    codes: NDArray[np.float32], config: IdentityConfig, test: ExchangeTest, witnesses: Sequence[Witness], seed: int
) -> tuple[NDArray[np.int64], dict[int, float]]:
    """Return labels ``[N]``, and a score for each number of groups that the codes suggest."""
    if config.num_groups != "auto":
        return cluster_codes(codes, config.num_groups, seed), {}
    if config.selection == "tree":
        curve = tree_curve(codes)
        groups = merged_along_tree(codes, test)
    else:
        curve = selection_curve(codes, config.selection, seed)
        # Two agents leave nothing to score: propose them apart, and let the swap test decide.
        best = max(curve, key=lambda number: curve[number]) if curve else len(codes)
        labels = cluster_codes(codes, best, seed)
        if not config.swap_test:
            return labels, curve
        groups = [_group(np.flatnonzero(labels == group), codes) for group in range(best)]
    for witness in witnesses:
        labels = witness.groups()
        groups = [part for group in groups for part in _parts(group, labels, codes)]
    merged = merge_exchangeable(groups, test, witnesses)
    found = np.empty(len(codes), np.int64)
    for number, group in enumerate(merged):
        found[list(group.members)] = number
    return found, curve


def _group(members: NDArray[np.int64], codes: NDArray[np.float32]) -> Group:
    return Group(tuple(members.tolist()), codes[members].mean(axis=0))


def _parts(group: Group, labels: NDArray[np.int64], codes: NDArray[np.float32]) -> list[Group]:
    """Return the group as it is, or the parts of it that have different labels."""
    members = np.array(group.members)
    present = np.unique(labels[members])
    if len(present) == 1:
        return [group]
    return [_group(members[labels[members] == label], codes) for label in present]
