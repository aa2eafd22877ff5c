"""The identity phase from end to end: play, encode, group. One result serves AdaPS, SePS and their relatives alike.

Two methods find groups. ``evidence`` is this project's: groups are proposed by one half of the play and kept apart only
where exchange tests on the other half say so, down to one group. ``paper`` is the published one: K-means on the codes
of an autoencoder, with K from an index of cluster quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.identity.clustering import INDICES, cluster_codes, selection_curve, tree_curve
from adaps_agents.identity.collect import Collector, Outcomes, Steps, Transitions, joined
from adaps_agents.identity.decoder import DecoderEvidence
from adaps_agents.identity.encoder import SCALE_ROWS, EncoderConfig, IdentityEncoder, Standardiser, train_encoder
from adaps_agents.identity.exchange_test import (
    FALSE_SPLIT,
    Evidence,
    Grouping,
    blocks_needed,
    group_agents,
    ordered_labels,
)
from adaps_agents.identity.reward_effects import Effects, measured_effects
from adaps_agents.identity.reward_events import RewardEvents, event_counts, uneven_groups
from adaps_agents.identity.reward_regression import RewardRegression, TeamRegression
from adaps_agents.random_streams import derived_seed, numpy_stream, torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["SEPS_ORIGINAL", "VERDICTS", "Identity", "IdentityConfig", "identify", "steps_wanted"]

METHODS = ("evidence", "paper")
PLAYS = ("varied", "plain")
CODES = ("mean", "sample")
VERDICTS = ("found", "nothing differs", "rewards too rare", "team reward", "ambiguous", "untested")
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
# Observations are kept up to this many numbers (512 MiB, and as much for the next ones), outcomes up to so many rows.
OBS_NUMBERS = 2**27
OUTCOME_ROWS = 2**24


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Settings of the identity phase.

    Attributes:
        env_steps: environment steps of random play; they are charged to the training budget.
        method: how groups are found where their number is: ``evidence`` or ``paper``.
        num_groups: number of groups K, for K-means on the codes; ``"auto"`` finds it.
        patience: of ``evidence``: where rewards are rare, play goes on for up to ``patience * env_steps`` steps
            (charged, too) until every agent has been paid often enough to be compared, and no group looks as if it
            held several types; 1 plays no more than ``env_steps``.
        events: of ``evidence``: compare what agents are paid, see :mod:`adaps_agents.identity.reward_events`.
        regression: of ``evidence``: compare regressions of rewards, see :mod:`adaps_agents.identity.reward_regression`.
        selection: of ``paper``: the index that gives K, ``davies_bouldin`` or ``silhouette``.
        most_groups: of ``paper``: K is at most ``all`` but one of the agents, or ``half`` of them.
        play: ``varied``: teams often act as one and lanes often start again; ``plain``: every agent acts for itself in
            whole episodes.
        shuffle_agents: control: deal the transitions to random agents, so that there is no identity to find.
        code: an agent's code is the encoder's ``mean``, or one ``sample`` of its posterior.
        encoder: settings of the autoencoder.
    """

    env_steps: int = 10_000
    method: str = "evidence"
    num_groups: int | Literal["auto"] = "auto"
    patience: float = 32
    events: bool = True
    regression: bool = True
    selection: str = "davies_bouldin"
    most_groups: str = "half"
    play: str = "varied"
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
        for name, allowed in (
            ("method", METHODS), ("selection", INDICES), ("most_groups", ("half", "all")), ("play", PLAYS),
            ("code", CODES),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if isinstance(self.encoder, dict):
            object.__setattr__(self, "encoder", EncoderConfig(**self.encoder))
        if not isinstance(self.encoder, EncoderConfig):
            raise InvalidParameterError(
                f"encoder is {self.encoder!r}; give an EncoderConfig, or its fields as a mapping."
            )

    @property
    def tests(self) -> bool:
        """Whether groups are found by tests, not by K-means."""
        return self.num_groups == "auto" and self.method == "evidence"


SEPS_ORIGINAL = IdentityConfig(
    env_steps=200_000,
    method="paper",
    most_groups="all",
    play="plain",
    encoder=EncoderConfig(targets="raw", learning_rate=3e-4, batch_size=128, passes=10),
)
"""The phase as the authors of SePS released it (5,000 updates of 8 lanes x 5 steps before their clusters are made)."""


@dataclass(frozen=True)
class Identity:
    """What the identity phase found.

    Attributes:
        labels: ``[N] int64`` group of each agent, groups numbered by their smallest agent.
        codes: ``[N, Z] float32`` code of each agent (the encoder's mean).
        env_steps: environment steps spent.
        curve: score of every number of groups that was tried.
        verdict: one of ``VERDICTS``: whether the groups can be relied on.
        reason: why, in one sentence.
        effects: what rewards depend on; None unless asked for.
    """

    labels: NDArray[np.int64]
    codes: NDArray[np.float32]
    env_steps: int
    curve: dict[int, float]
    verdict: str
    reason: str
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
        """Return everything as arrays by name, for a file that holds nothing else.

        Labels, codes and effects as they are, steps as a scalar int64, the curve of C numbers of groups as
        ``[C, 2] float64``, verdict and reason as bytes ``[L] uint8``.
        """
        arrays: dict[str, NDArray[Any]] = {
            "identity labels": self.labels,
            "identity codes": self.codes,
            "identity env steps": np.array(self.env_steps, np.int64),
            "identity curve": np.array(list(self.curve.items()), np.float64).reshape(-1, 2),
            "identity verdict": np.frombuffer(f"{self.verdict}: {self.reason}".encode(), np.uint8).copy(),
        }
        if self.effects is not None:
            arrays |= {f"identity {name} effects": array for name, array in vars(self.effects).items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Identity | None:
        """Return what :meth:`to_arrays` was made from (names and shapes as there), or None where there is nothing."""
        if "identity labels" not in arrays:
            return None
        curve = {int(number): float(score) for number, score in arrays["identity curve"]}
        steps = int(arrays["identity env steps"])
        verdict, _, reason = bytes(arrays["identity verdict"]).decode().partition(": ")
        effects = None
        if "identity rewards effects" in arrays:
            effects = Effects(*(arrays[f"identity {name} effects"].copy() for name in ("rewards", "changes")))
        labels, codes = arrays["identity labels"].copy(), arrays["identity codes"].copy()
        return cls(labels, codes, steps, curve, verdict, reason, effects)


def identify(collector: Collector, config: IdentityConfig, seed: int, *, effects: bool = False) -> Identity:
    """Run the identity phase; its random streams depend on ``seed`` alone.

    Agents are renamed at random before anything is looked at, so that nothing can be read from their numbers.

    Args:
        collector: plays random actions.
        config: settings.
        seed: key of the random streams.
        effects: also measure how rewards depend on entries, on the same transitions.

    Raises:
        InvalidParameterError: more groups asked for than there are agents.
    """
    team = collector.num_agents
    if config.num_groups != "auto" and config.num_groups > team:
        raise InvalidParameterError(
            f"num_groups is {config.num_groups}, but there are {team} agents; ask for at most as many."
        )
    spent_before = collector.env_steps
    data, outcomes = _played(collector, config)
    measured = measured_effects(data, team) if effects else None
    names = numpy_stream(seed, "identity", "names").permutation(team)
    shuffles = numpy_stream(seed, "identity", "shuffle outcomes") if config.shuffle_agents else None
    data, outcomes = data.renamed(names), _renamed(outcomes, names, shuffles)
    if config.shuffle_agents:
        data = data.with_shuffled_agents(team, numpy_stream(seed, "identity", "shuffle"))
    steps = Steps.of(data, team)
    fit, test = steps.halves()
    comparable = config.tests and _comparable(fit, test)
    learnt = fit if comparable else steps
    standardiser = Standardiser(learnt.sample(SCALE_ROWS), config.encoder.targets)
    generator = torch_stream(seed, "identity", "encoder")
    model = train_encoder(learnt, standardiser, collector.num_actions, config.encoder, generator)
    codes = _codes(model, config.code, torch_stream(seed, "identity", "sample"))
    if config.tests:
        evidence: dict[str, Evidence] = {}
        if comparable:
            evidence = _evidence(config, fit, test, outcomes, collector.num_actions)
            evidence["decoder"] = DecoderEvidence(model, codes, test, standardiser)
        grouping = group_agents(evidence, team)
        accepted = FALSE_SPLIT
        while more := _steps_against_doubt(grouping, outcomes, evidence, config):
            outcomes = joined([outcomes, _renamed(collector.outcomes(more), names, shuffles)])
            evidence["events"] = RewardEvents(outcomes, team, collector.num_actions)
            accepted /= 2  # however often the agents are compared, all chances together stay below twice the first
            grouping = group_agents(evidence, team, accepted)
        labels, curve = grouping.labels, tree_curve(codes)
        verdict, reason = _verdict(grouping, outcomes, evidence)
    else:
        labels, curve = _clustered(codes, config, derived_seed(seed, "identity", "clusters"))
        verdict, reason = "untested", "K-means always finds as many groups as it is asked for"
    spent = collector.env_steps - spent_before
    return Identity(ordered_labels(labels[names]), codes[names], spent, curve, verdict, reason, measured)


def _played(collector: Collector, config: IdentityConfig) -> tuple[Transitions, Outcomes]:
    """Play until agents can be compared; return the transitions that are kept, and the outcomes of all steps."""
    plain = config.play == "plain"
    kept = max(1, OBS_NUMBERS // (collector.num_agents * collector.obs_dim)) if config.tests else config.env_steps
    seen = [collector.collect(min(config.env_steps, kept), plain=plain)]
    outcomes: list[Outcomes] = [seen[0].outcomes]
    spent = len(seen[0].agents) // collector.num_agents
    if spent < config.env_steps:
        outcomes.append(collector.outcomes(config.env_steps - spent))
        spent += len(outcomes[-1].agents) // collector.num_agents
    while config.tests and config.events:
        more = steps_wanted(event_counts(joined(outcomes), collector.num_agents), spent, config)
        if more == 0:
            break
        numbers = sum(part.obs.size for part in seen) * (1 + more / spent)
        if len(seen) == len(outcomes) and numbers <= OBS_NUMBERS:
            seen.append(collector.collect(more, plain=plain))
            outcomes.append(seen[-1].outcomes)
        else:
            outcomes.append(collector.outcomes(more))
        spent += len(outcomes[-1].agents) // collector.num_agents
    return joined(seen), joined(outcomes)


def _renamed(outcomes: Outcomes, names: NDArray[np.int64], shuffles: np.random.Generator | None) -> Outcomes:
    renamed: Outcomes = outcomes.renamed(names)
    return renamed if shuffles is None else renamed.with_shuffled_agents(len(names), shuffles)


def _steps_against_doubt(
    grouping: Grouping, outcomes: Outcomes, evidence: Mapping[str, Evidence], config: IdentityConfig
) -> int:
    """Return how many more environment steps to play because a group may hold several types."""
    team = len(grouping.labels)
    if "events" not in evidence or not (grouping.within or uneven_groups(outcomes, grouping.labels)):
        return 0
    return steps_wanted(event_counts(outcomes, team), len(outcomes.agents) // team, config, in_doubt=True)


def steps_wanted(counts: NDArray[np.int64], spent: int, config: IdentityConfig, *, in_doubt: bool = False) -> int:
    """Return how many more environment steps to play, given how often each agent ``[N]`` was paid in those spent.

    Args:
        counts: ``[N] int64``.
        spent: environment steps so far.
        config: settings of the phase.
        in_doubt: whether agents have been compared and should be again with twice the play, if rewards are rare.
    """
    limit = int(min(config.patience * config.env_steps, max(config.env_steps, OUTCOME_ROWS // len(counts))))
    mean = float(counts.mean())
    hopeless = mean * limit / spent < EVENTS_HOPED_FOR
    enough = mean > RARE * spent if in_doubt else _paid_enough(counts, spent)
    if enough or hopeless or spent >= limit:
        return 0
    growth = float(np.clip(EVENTS_NEEDED / max(float(counts.min()), 1.0) - 1, *GROWTH))
    if in_doubt:
        growth = GROWTH[1]
    return min(int(np.ceil(growth * spent)), limit - spent)


def _paid_enough(counts: NDArray[np.int64], spent: int) -> bool:
    """Whether agents ``[N]`` were paid often enough to be compared by what they are paid."""
    least, mean = float(counts.min()), float(counts.mean())
    return mean > RARE * spent or least >= EVENTS_NEEDED or mean >= EVENTS_ENOUGH


def _codes(model: IdentityEncoder, kind: str, generator: torch.Generator) -> NDArray[np.float32]:
    with torch.no_grad():
        mean, logvar = model.codes()
        if kind == "sample":
            mean = mean + torch.exp(0.5 * logvar) * torch.randn(mean.shape, generator=generator)
    return np.asarray(mean)


def _clustered(
    codes: NDArray[np.float32], config: IdentityConfig, seed: int
) -> tuple[NDArray[np.int64], dict[int, float]]:
    """Return labels ``[N]`` of K-means, and a score for each number of groups that was tried."""
    if config.num_groups != "auto":
        return cluster_codes(codes, config.num_groups, seed), {}
    curve = selection_curve(codes, config.selection, seed, every=config.most_groups == "all")
    # One or two agents leave nothing to score: each is its own group.
    best = max(curve, key=lambda number: curve[number]) if curve else len(codes)
    return cluster_codes(codes, best, seed), curve


def _evidence(
    config: IdentityConfig, fit: Steps, test: Steps, outcomes: Outcomes, num_actions: int
) -> dict[str, Evidence]:
    """Return what agents are compared by besides the decoder."""
    evidence: dict[str, Evidence] = {}
    team = fit.rows.shape[1]
    if _one_reward(outcomes, team):
        if config.regression and TeamRegression.feasible(fit, num_actions):
            evidence["team regression"] = TeamRegression(fit, test, num_actions)
        return evidence
    if config.events:
        evidence["events"] = RewardEvents(outcomes, team, num_actions)
    if config.regression:
        evidence["regression"] = RewardRegression(fit, test, num_actions)
    return evidence


def _comparable(fit: Steps, test: Steps) -> bool:
    """Whether there are blocks enough that any test can tell agents apart."""
    return min(len(np.unique(half.blocks)) for half in (fit, test)) >= blocks_needed(fit.rows.shape[1])


def _one_reward(outcomes: Outcomes, num_agents: int) -> bool:
    """Whether all agents always get the same, and not always nothing."""
    rewards = outcomes.rewards.reshape(-1, num_agents)
    return num_agents > 1 and bool(np.ptp(rewards) > 0 and (rewards == rewards[:, :1]).all())


def _verdict(grouping: Grouping, outcomes: Outcomes, evidence: Mapping[str, Evidence]) -> tuple[str, str]:
    """Return the verdict on the groups, and why."""
    team, number = len(grouping.labels), int(grouping.labels.max()) + 1
    counts, steps = event_counts(outcomes, team), len(outcomes.agents) // team
    if team == 1:
        return "nothing differs", "there is one agent"
    if not evidence:
        return "ambiguous", f"{steps} environment steps are too few to compare agents"
    if _one_reward(outcomes, team):
        how = "one regression of it on what all agents see and do"
        if "team regression" not in evidence:
            how = "nothing (too few steps for one regression on what all agents see and do)"
        return "team reward", f"all agents get one reward, which was compared by {how}; types may be missed"
    doubts = [*grouping.within, *uneven_groups(outcomes, grouping.labels), *grouping.between]
    if doubts:
        return "ambiguous", f"{doubts[0]}, and {len(doubts) - 1} more such decisions"
    if not _paid_enough(counts, steps):
        seen = (
            f"in {steps} environment steps an agent was paid {counts.mean():.1f} times, the least paid {counts.min()}"
        )
        return "rewards too rare", f"{seen}; types that differ in rewards alone may be missed"
    if number == 1:
        return "nothing differs", "no test tells any agents apart"
    return "found", f"every two of the {number} groups differ, and no agent differs from the rest of its group"
