"""Playing the stored policies: do the weights of a record play the episodes that it shows? This needs torch.

Only the network is built from a record, never its learner: settings of an algorithm could name files to write or ask
for enormous buffers. Weights come from safetensors, so nothing is unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.leaderboard.artifacts import Weights
from baselines.leaderboard.config import LearnerConfig, RunConfig
from baselines.leaderboard.evaluate import Evaluator
from baselines.leaderboard.learner import build_model
from baselines.leaderboard.provenance import provenance_of
from baselines.leaderboard.record import RunRecord, read_weights
from baselines.leaderboard.verify.replay import RETURN_TOLERANCE, open_environment
from baselines.leaderboard.verify.verdict import Fault

__all__ = ["EPISODES_APART", "deep_checks"]

EPISODES_APART = 0.05
"""Share of episodes that may differ on another processor or torch version, where two actions are almost equally likely.

On the kind of machine that the record names, none may differ.
"""

# What of the policy's settings decides of its networks' shapes.
_NETWORK_SETTINGS = frozenset({"critic"})

# Units of the two networks of all agents together; the largest built-in suite stays far below.
MAX_NETWORK_UNITS = 1 << 28


def deep_checks(record: RunRecord) -> Iterator[Fault]:
    """Yield what is wrong between a finished run's weights and its returns, counts and groups.

    The run must have passed all other checks. Returns of points between the first and the last that are not the best
    one cannot be checked: their weights are not kept.
    """
    evaluation = record.evaluation
    assert evaluation is not None
    faults = list(_size_faults(record.config))
    if faults:
        yield from faults
        return
    try:
        policy = build_model(_network_only(record.config)).policy
    except Exception as error:  # whatever a scheme raises on settings that it does not know
        yield Fault("config.json", "config.scheme", f"cannot be built: {type(error).__name__}: {error}")
        return
    evaluator = Evaluator(record.config)
    best, last = int(evaluation.best_point), len(evaluation.marks) - 1
    for file, plays in (
        ("policy_best.safetensors", (("greedy", best), ("absolute", None))),
        ("policy.safetensors", (("greedy", last), ("sampled", last))),
    ):
        try:
            _load(policy, read_weights(record, best=file != "policy.safetensors"))
        except Exception as error:  # names, shapes or types that are not the network's
            yield Fault(file, "", f"not the weights of the configured network ({error})")
            return
        for name, point in plays:
            recorded = getattr(evaluation, name)
            returns = getattr(evaluator, name)(policy).returns
            where = name if point is None else f"{name}[{point}]"
            yield from _episode_faults(record, file, where, returns, recorded if point is None else recorded[point])
    yield from _scheme_faults(record, policy.scheme)


def _size_faults(config: RunConfig) -> Iterator[Fault]:
    env = open_environment(config.task)
    sizes = [env.obs_dim, *config.learner.net_arch, env.num_actions]
    weights = sum(left * right for left, right in pairwise(sizes))
    if config.learner.recurrent != "none":
        weights += 6 * sizes[-2] ** 2
    units = 2 * env.num_agents * weights
    if units > MAX_NETWORK_UNITS:
        yield Fault(
            "config.json",
            "config.learner.net_arch",
            f"private networks would have {units:,} weights; at most {MAX_NETWORK_UNITS:,} are built",
        )


def _network_only(config: RunConfig) -> RunConfig:
    given = config.learner
    learner = LearnerConfig(
        num_lanes=1,
        net_arch=given.net_arch,
        recurrent=given.recurrent,
        settings={"n_steps": 2},
        policy_settings={
            name: given.policy_settings[name] for name in _NETWORK_SETTINGS & given.policy_settings.keys()
        },
    )
    return config.model_copy(update={"learner": learner})


def _load(policy: Any, weights: Weights) -> None:
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def _episode_faults(
    record: RunRecord, file: str, where: str, played: NDArray[np.float64], recorded: NDArray[np.float64]
) -> Iterator[Fault]:
    apart = np.abs(played - recorded) > RETURN_TOLERANCE * (1.0 + np.abs(recorded))
    allowed = 0 if _same_kind_of_machine(record) else math.ceil(EPISODES_APART * len(recorded))
    if apart.sum() > allowed:
        first = int(apart.argmax())
        message = (
            f"its weights get {played[first]!r} in episode {first} of evaluation.npz's {where}, which has "
            f"{recorded[first]!r} ({int(apart.sum())} of {len(recorded)} episodes differ)"
        )
        yield Fault(file, "", message)


def _same_kind_of_machine(record: RunRecord) -> bool:
    here = provenance_of(record.config)
    there = record.provenance
    return (here.processor, here.machine, here.packages.get("torch")) == (
        there.processor,
        there.machine,
        there.packages.get("torch"),
    )


def _scheme_faults(record: RunRecord, scheme: Any) -> Iterator[Fault]:
    sharing = record.sharing
    assert sharing is not None
    assignment = scheme.assignment()
    groups = None if assignment is None else [int(value) for value in assignment]
    if groups != sharing.assignment:
        yield Fault("sharing.json", "assignment", f"{sharing.assignment}; policy.safetensors has {groups}")
    counts = {name: int(value) for name, value in scheme.param_report().items()}
    for name in sorted(counts.keys() | sharing.parameters.keys()):
        if counts.get(name) != sharing.parameters.get(name):
            message = f"{sharing.parameters.get(name)}; the network has {counts.get(name)}"
            yield Fault("sharing.json", f"parameters.{name}", message)
