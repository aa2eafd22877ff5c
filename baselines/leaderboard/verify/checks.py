"""Checks of one finished run that need its record alone: counts, marks, seeds, and files that must agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from baselines.leaderboard.execution.environments import DEAL_SEED, deals_types
from baselines.leaderboard.records.artifacts import Evaluation
from baselines.leaderboard.records.metadata_files import Costs, Sharing
from baselines.leaderboard.records.reader import RunRecord
from baselines.leaderboard.spec.config import (
    RunConfig,
    SchemeConfig,
    evaluation_marks,
    longest_training,
    seeds_of,
)
from baselines.leaderboard.spec.loading import BUILTIN_SCHEMES, builtin_tasks
from baselines.leaderboard.verify.verdict import Fault

__all__ = [
    "WIDENED",
    "actor_weights",
    "check_costs",
    "check_deal",
    "check_evaluation",
    "check_label",
    "check_metrics",
    "check_sharing",
    "check_task",
    "environment_faults",
    "initial_work",
    "layer_sizes",
    "own_settings",
]

# Means of the same numbers, added up by another version of numpy.
_MEAN_TOLERANCE = 1e-9
# Steps of one rollout where the settings name none: stable-baselines3's own values.
_ROLLOUT_STEPS = {"a2c": 5, "ppo": 2048}
_LONGEST_ROLLOUT = 10**12
# Schemes that map codes to masks, whose option ``width`` is a factor of all hidden layers.
WIDENED = ("adaps", "adaps_gates", "random_masks", "disjoint_masks")
_ONE_NETWORK = ("fups", "fups_id", "group_id", "snp_ps", *WIDENED)
_SECONDS_DIGITS = 3
_ROUNDED = 10.0**-_SECONDS_DIGITS
# Schemes that are handed the hidden types whatever their settings.
_TOLD_TYPES = ("oracle",)


def layer_sizes(config: RunConfig, env: BatchedEnv) -> list[int]:
    """Return how many numbers go into and out of each layer of a run's actor at least, by its configuration."""
    width = config.scheme.settings.get("width", 1) if config.scheme.name in WIDENED else 1
    wider = width if isinstance(width, (int, float)) else 1  # what is no number is refused when it is built
    return [env.obs_dim, *(max(1, round(wider * layer)) for layer in config.learner.net_arch), env.num_actions]


def actor_weights(config: RunConfig, env: BatchedEnv) -> int:
    """Return how many weights an actor of a run has at least, by its configuration."""
    sizes = layer_sizes(config, env)
    unit = 0 if config.learner.recurrent == "none" else 6 * sizes[-2] ** 2
    return sum(left * right for left, right in pairwise(sizes)) + unit


def initial_work(config: RunConfig, env: BatchedEnv) -> int:
    """Return how many multiplications it takes to draw initial weights: orthogonal matrices are decomposed."""
    central = config.learner.policy_settings.get("critic") == "central"
    # Of the actor or the critic, whichever reads more: an index of the agent, or the state.
    sizes = [env.obs_dim + env.num_agents + central * env.state_dim, *layer_sizes(config, env)[1:]]
    unit = 0 if config.learner.recurrent == "none" else 6 * sizes[-2] ** 3
    # Singular values take four times as long.
    networks = {"prism": 4, **dict.fromkeys(_ONE_NETWORK, 1)}.get(config.scheme.name, env.num_agents)
    return networks * (sum(left * right * min(left, right) for left, right in pairwise(sizes)) + unit)


def check_task(config: RunConfig) -> Iterator[Fault]:
    """A built-in task's name stands for its environment, parameters and reference scores, however it is spelled."""
    task = config.task
    name = spelled(task.name, builtin_tasks())
    if name is None:
        return
    if name != task.name:
        yield Fault(
            "config.json", "config.task.name", f"{task.name!r} is the built-in task {name!r}, spelled otherwise"
        )
    frozen: dict[str, Any] = {"params": {}, "scored": "greedy", **builtin_tasks()[name]}
    if config.protocol == "1":
        frozen["scored"] = "greedy"
    for key, value in frozen.items():
        found = getattr(task, key)
        if found != value:
            yield Fault("config.json", f"config.task.{key}", f"{found!r}; the built-in task {name} has {value!r}")


def check_label(scheme: SchemeConfig) -> Iterator[Fault]:
    """The name of a built-in scheme stands for that scheme, and is spelled as it is."""
    name = spelled(scheme.label, BUILTIN_SCHEMES)
    if name is None:
        return
    if name != scheme.name:
        message = f"{scheme.label!r} is the name of a built-in scheme; this one is {scheme.name!r}"
        yield Fault("config.json", "config.scheme.label", message)
    elif name != scheme.label:
        message = f"{scheme.label!r} is the built-in scheme {name!r}, spelled otherwise"
        yield Fault("config.json", "config.scheme.label", message)


def spelled(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` names that ``name`` is, case and all but letters and digits apart."""
    return {_letters(entry): entry for entry in known}.get(_letters(name))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def own_settings(scheme: SchemeConfig) -> bool:
    """Whether a built-in scheme has its own name as label, but settings that are not its defaults."""
    return spelled(scheme.label, BUILTIN_SCHEMES) is not None and bool(scheme.settings)


def check_deal(config: RunConfig, env: BatchedEnv) -> Iterator[Fault]:
    """Several hidden types must have been dealt to the agents: in an order of the author's choice, an index tells."""
    if config.protocol != "1" and len(set(env.agent_types.tolist())) > 1 and not deals_types(config.task.env):
        message = f"{config.task.env} has several hidden types and no parameter {DEAL_SEED!r} to deal them by"
        yield Fault("config.json", "config.task.env", message)


def check_evaluation(config: RunConfig, evaluation: Evaluation, sharing: Sharing) -> Iterator[Fault]:
    """Marks, steps, seeds and the best point must be those that the protocol gives."""
    seeds = seeds_of(config)
    expected = {
        "marks": np.array(evaluation_marks(config.task), np.int64),
        "seeds": np.arange(seeds.evaluation_count, dtype=np.int64) + seeds.evaluation_start,
        "absolute_seeds": np.arange(seeds.absolute_count, dtype=np.int64) + seeds.absolute_start,
    }
    for name, array in expected.items():
        found = getattr(evaluation, name)
        different = np.flatnonzero(found != array)
        if different.size:
            place = int(different[0])
            yield Fault(
                "evaluation.npz", f"{name}[{place}]", f"{found[place]}; protocol {config.protocol} has {array[place]}"
            )
    yield from _check_steps(config, evaluation, sharing)
    best = int(evaluation.scored(config.task).mean(axis=1).argmax())
    if int(evaluation.best_point) != best:
        message = f"{int(evaluation.best_point)}; the highest {config.task.scored} mean is {best}"
        yield Fault("evaluation.npz", "best_point", message)


def check_metrics(metrics: list[dict[str, Any]], evaluation: Evaluation) -> Iterator[Fault]:
    """Every line must say of its point what the episodes say."""
    points = len(evaluation.marks)
    if len(metrics) != points:
        yield Fault("metrics.jsonl", "", f"{len(metrics)} lines for {points} evaluation points")
        return
    for point, line in enumerate(metrics):
        expected = {
            "point": point,
            "mark": int(evaluation.marks[point]),
            "step": int(evaluation.steps[point]),
            "greedy_mean": float(evaluation.greedy[point].mean()),
            "greedy_std": float(evaluation.greedy[point].std()),
            "sampled_mean": float(evaluation.sampled[point].mean()),
            "sampled_std": float(evaluation.sampled[point].std()),
        }
        for key, value in expected.items():
            if not _close(line.get(key), value):
                message = f"{line.get(key)!r}; evaluation.npz gives {value!r}"
                yield Fault("metrics.jsonl", f"line {point + 1}, {key}", message)
        for key in sorted(set(line) - {*expected, "learner"}):
            yield Fault("metrics.jsonl", f"line {point + 1}, {key!a}", "an unknown key")


def check_sharing(
    config: RunConfig, sharing: Sharing, evaluation: Evaluation, agent_types: NDArray[np.int64]
) -> Iterator[Fault]:
    """Groups, agreement with the hidden types ``[N] int64``, and counts must fit the environment and each other."""
    for where, found, rule in (
        ("scheme", sharing.scheme, config.scheme.label),
        ("agent_types", sharing.agent_types, [int(value) for value in agent_types]),
        ("env_steps", sharing.env_steps, int(evaluation.steps[-1])),
        ("identity_steps", min(sharing.identity_steps, sharing.env_steps), sharing.identity_steps),
    ):
        if found != rule:
            yield Fault("sharing.json", where, f"{found!r}, not {rule!r}")
    # Of a light record, no header of weights says so.
    told = config.scheme.name in _TOLD_TYPES or config.scheme.settings.get("labels") == "true"
    if told and sharing.summary.get("told_types") is not True:
        message = f"{sharing.summary.get('told_types')!r}; by its configuration the scheme was handed the hidden types"
        yield Fault("sharing.json", "summary.told_types", message)
    if sharing.assignment is not None and len(sharing.assignment) != len(agent_types):
        yield Fault("sharing.json", "assignment", f"{len(sharing.assignment)} groups for {len(agent_types)} agents")
    elif not _close(sharing.ari, expected := _ari(sharing, agent_types)):
        yield Fault("sharing.json", "ari", f"{sharing.ari!r}; the assignment gives {expected!r}")
    for name, count in sharing.parameters.items():
        if count < 0:
            yield Fault("sharing.json", f"parameters.{name}", f"{count} is negative")


def check_costs(costs: Costs) -> Iterator[Fault]:
    """Costs cannot be measured again, but must be there and possible."""
    # Clocks differ; a board's citation has the year of its latest run.
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    if costs.finished_at > tomorrow:
        yield Fault("costs.json", "finished_at", f"{costs.finished_at!r} has not come yet")
    for name in ("wall_seconds", "cpu_seconds", "evaluation_seconds"):
        value = getattr(costs, name)
        if value is None or value < 0:
            yield Fault("costs.json", name, f"{value!r}; a finished run took some seconds")
        elif value != round(value, _SECONDS_DIGITS):
            yield Fault("costs.json", name, f"{value!r}; seconds are stored with {_SECONDS_DIGITS} digits")
    if (costs.evaluation_seconds or 0.0) > (costs.wall_seconds or 0.0) + _ROUNDED:
        message = f"{costs.evaluation_seconds}; evaluation is a part of the {costs.wall_seconds} wall_seconds"
        yield Fault("costs.json", "evaluation_seconds", message)
    if costs.peak_memory_bytes is not None and costs.peak_memory_bytes < 1:
        yield Fault("costs.json", "peak_memory_bytes", f"{costs.peak_memory_bytes} bytes are not possible")


def environment_faults(record: RunRecord, digest: str) -> Iterator[Fault]:
    """The environment that the run used must be the one that stands here."""
    provenance, task = record.provenance, record.config.task
    if provenance.environment != task.env:
        message = f"{provenance.environment!r}; config.json has {task.env!r}"
        yield Fault("provenance.json", "environment", message)
    if provenance.trace_digest != digest:
        message = f"{provenance.trace_digest}; {task.env} as installed here has {digest}: another version of it"
        yield Fault("provenance.json", "trace_digest", message)


def _check_steps(config: RunConfig, evaluation: Evaluation, sharing: Sharing) -> Iterator[Fault]:
    """Hold the steps of all points to those at which a learner comes by their marks.

    A point is due with the first step of all lanes that reaches its mark, the last one after the last rollout.
    """
    marks = np.array(evaluation_marks(config.task), np.int64)
    rollout = config.learner.settings.get("n_steps", _ROLLOUT_STEPS[config.learner.algorithm])
    strides = np.full(len(marks), config.learner.num_lanes, np.int64)
    strides[-1] *= rollout if isinstance(rollout, int) and 0 < rollout <= _LONGEST_ROLLOUT else 1
    spent = sharing.identity_steps
    expected = spent + -(-np.maximum(marks - spent, 0) // strides) * strides
    for place in np.flatnonzero(evaluation.steps != expected)[:1]:
        yield Fault(
            "evaluation.npz",
            f"steps[{place}]",
            f"{evaluation.steps[place]}; its mark, the identity phase and the lanes give {expected[place]}",
        )
    limit = longest_training(config.task.budget)
    if evaluation.steps[-1] > limit:
        message = f"{evaluation.steps[-1]}; with a budget of {config.task.budget} it may be {limit} at most"
        yield Fault("evaluation.npz", f"steps[{len(marks) - 1}]", message)
    same = np.diff(evaluation.steps) == 0
    for name in ("greedy", "sampled"):
        returns = getattr(evaluation, name)
        for place in np.flatnonzero(same & (returns[1:] != returns[:-1]).any(axis=1))[:1]:
            message = f"not those of {name}[{place}], though both are of the policy after the same steps"
            yield Fault("evaluation.npz", f"{name}[{place + 1}]", message)


def _ari(sharing: Sharing, agent_types: NDArray[np.int64]) -> float | None:
    from sklearn.metrics import adjusted_rand_score

    return None if sharing.assignment is None else float(adjusted_rand_score(agent_types, sharing.assignment))


def _close(found: Any, expected: float | int | None) -> bool:
    if expected is None or isinstance(expected, int):
        return found == expected and type(found) is type(expected)
    return (
        isinstance(found, (int, float))
        and not isinstance(found, bool)
        and math.isclose(found, expected, rel_tol=_MEAN_TOLERANCE, abs_tol=_MEAN_TOLERANCE)
    )
