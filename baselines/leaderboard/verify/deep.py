"""Playing the stored policies: do the weights of a record play the episodes that it shows? This needs torch.

Only the network is built from a record, never its learner: settings of an algorithm could name files to write or ask
for enormous buffers. Weights come from safetensors, so nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import torch

from adaps_agents.export.weights import weights_header
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.learner import build_model
from baselines.leaderboard.execution.replay import open_environment
from baselines.leaderboard.files import parse_json
from baselines.leaderboard.records.artifacts import (
    Evaluation,
    FinalActions,
    Weights,
    decode_weights_metadata,
)
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.records.reader import FinishedRun, read_actions, read_weights
from baselines.leaderboard.records.revealed import RevealedPlay
from baselines.leaderboard.spec.config import LearnerConfig, RunConfig
from baselines.leaderboard.verify.choices import choice_faults
from baselines.leaderboard.verify.compare import different_leaves
from baselines.leaderboard.verify.courses import course_difference
from baselines.leaderboard.verify.measured import identity_faults, sharing_faults
from baselines.leaderboard.verify.verdict import Fault
from baselines.leaderboard.verify.weights import BEST, FINAL, METADATA_KEY

__all__ = ["deep_checks", "revealed_choice_faults"]

# What of the policy's settings decides of its networks' shapes.
_NETWORK_SETTINGS = frozenset({"critic"})

# Units of the two networks of all agents together; the largest built-in suite stays far below.
MAX_NETWORK_UNITS = 1 << 28


def deep_checks(record: FinishedRun) -> Iterator[Fault]:
    """Yield what is wrong between a finished run's weights and its returns, actions, counts, groups and diagnostics.

    The run must have passed all other checks. Returns of points between the first and the last that are not the best
    one cannot be checked: their weights are not kept.
    """
    # Another number of threads adds up otherwise; runs of the leaderboard have one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _faults(record)
    finally:
        torch.set_num_threads(threads)


def revealed_choice_faults(record: FinishedRun, play: RevealedPlay, first_seed: int) -> Iterator[Fault]:
    """Yield a fault if the final policy of a run would not have taken all actions of its revealed play."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if list(_size_faults(record.config)):
            return  # named by the other deep checks, as is what cannot be built or loaded
        policy = build_model(_network_only(record.config)).policy
        _load(policy, read_weights(record))
        near = _same_kind_of_machine(record)
        actions = FinalActions(play.actions, play.lengths)
        yield from choice_faults(record.config, policy, FINAL, "final", actions, near=near, first_seed=first_seed)
    except Exception as error:
        yield Fault(FINAL, "", f"cannot be played in the revealed episodes ({type(error).__name__}: {error})")
    finally:
        torch.set_num_threads(threads)


def _faults(record: FinishedRun) -> Iterator[Fault]:
    evaluation = record.evaluation
    faults = list(_size_faults(record.config))
    if faults:
        yield from faults
        return
    try:
        model = build_model(_network_only(record.config))
    except Exception as error:  # whatever a scheme raises on settings that it does not know
        yield Fault("config.json", "config.scheme", f"cannot be built: {type(error).__name__}: {error}")
        return
    yield from _header_faults(record, model)
    policy, evaluator, near = model.policy, Evaluator(record.config), _same_kind_of_machine(record)
    if near and policy.prepared():
        # Elsewhere, the same seed may give other initial weights.
        yield from _first_point_faults(evaluator, evaluation, policy)
    for best in (True, False):
        try:
            _load(policy, read_weights(record, best=best))
        except Exception as error:  # names, shapes or types that are not the network's
            yield Fault(BEST if best else FINAL, "", f"not the weights of the configured network ({error})")
            return
        yield from _play_faults(record, policy, evaluator, best=best, near=near)
    yield from sharing_faults(record, policy, near=near)
    yield from identity_faults(record, policy.scheme)


def _size_faults(config: RunConfig) -> Iterator[Fault]:
    env = open_environment(config)
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


def _header_faults(record: FinishedRun, model: Any) -> Iterator[Fault]:
    """What a file says of its network must be what the network here says, the library's version aside."""
    rule = asdict(weights_header(model.policy, model.get_env()))
    for file in (FINAL, BEST):
        metadata = decode_weights_metadata((record.directory / file).read_bytes())
        found = parse_json(metadata[METADATA_KEY])
        for part in ("scheme_options", "network"):
            for where, is_there, should_be in different_leaves(found[part], rule[part]):
                yield Fault(file, f"__metadata__.{part}.{where}", f"{is_there!r}; the network has {should_be!r}")


def _load(policy: Any, weights: Weights) -> None:
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})


def _first_point_faults(evaluator: Evaluator, evaluation: Evaluation, policy: Any) -> Iterator[Fault]:
    """Where nothing precedes training, the first point is that of the initial weights, which the seed gives."""
    for name in ("greedy", "sampled"):
        message = course_difference(evaluator, policy, name, getattr(evaluation, name)[0], near=True)
        if message:
            yield Fault("evaluation.npz", f"{name}[0]", f"the initial weights of this seed get {message}")


def _play_faults(record: FinishedRun, policy: Any, evaluator: Evaluator, *, best: bool, near: bool) -> Iterator[Fault]:
    """Hold recorded actions to the loaded weights, and play what was recorded without its actions."""
    evaluation, actions = record.evaluation, read_actions(record)
    last, point = len(evaluation.marks) - 1, int(evaluation.best_point)
    file = BEST if best else FINAL
    yield from choice_faults(record.config, policy, file, "absolute" if best else "final", actions, near=near)
    if best and point == last:
        return
    scored = record.config.task.scored
    other = "greedy" if scored == "sampled" else "sampled"
    name, place = (scored, point) if best else (other, last)
    recorded = getattr(evaluation, name)[place]
    message = course_difference(evaluator, policy, name, recorded, near=near)
    if message:
        yield Fault(file, "", f"evaluation.npz's {name}[{place}]: its weights get {message}")


def _same_kind_of_machine(record: FinishedRun) -> bool:
    here = provenance_of(record.config)
    there = record.provenance
    return (here.processor, here.machine, here.packages.get("torch")) == (
        there.processor,
        there.machine,
        there.packages.get("torch"),
    )
