"""Looking a suite over before any process starts: a typing error should cost a second, not a night."""

from __future__ import annotations

import inspect
from typing import Any

import adaps_agents
import adaps_envs
from adaps_envs.errors import AdapsError, suggest
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.execution.environments import DEAL_SEED, deals_types
from baselines.leaderboard.execution.learner import LEARNERS, build_model
from baselines.leaderboard.spec.config import (
    PROTOCOL,
    RESERVED_SETTINGS,
    LearnerConfig,
    RunConfig,
    SuiteConfig,
    longest_training,
)

__all__ = ["check_suite"]


def check_suite(suite: SuiteConfig) -> None:
    """Check that environments, schemes and settings exist and go together, by building every learner once.

    Raises:
        UnknownNameError: an environment or a scheme is not registered.
        ConfigError: a parameter or setting that its environment, scheme or learner does not take.
    """
    if suite.protocol != PROTOCOL:
        raise ConfigError(
            f"suite {suite.name!r} asks for protocol {suite.protocol}; runs are made by protocol {PROTOCOL}. Set "
            f'protocol = "{PROTOCOL}" and choose another --out.'
        )
    for scheme in suite.schemes:
        adaps_agents.scheme_spec(scheme.name)
    for task in suite.tasks:
        params: dict[str, Any] = task.params
        try:
            env = adaps_envs.make_batched(task.env, 1, **params)
        except AdapsError as error:
            raise type(error)(f"task {task.name!r}: {error}") from None
        if len(set(env.agent_types.tolist())) > 1 and not deals_types(task.env):
            raise ConfigError(
                f"task {task.name!r}: {task.env} has several hidden types and no parameter {DEAL_SEED!r} to deal "
                "them to its agents by; add it to the family and pass it to adaps_envs.core.roster.deal_types."
            )
        _check_setting_names(task.name, suite.learner_for(task.name))
    for config in suite.runs():
        if config.seed == suite.seeds_for(config.task.name)[0]:
            _check_learner(config)


def _check_setting_names(task: str, learner: LearnerConfig) -> None:
    learner_class = LEARNERS[learner.algorithm]
    stock = next(base for base in learner_class.__mro__ if base.__module__.startswith("stable_baselines3"))
    known = [name for name in inspect.signature(stock).parameters if name not in RESERVED_SETTINGS]
    for name in learner.settings:
        if name not in known:
            raise ConfigError(
                f"task {task!r}: {learner_class.__name__} has no setting {name!r}. {suggest(name, known)}"
            )


def _check_learner(config: RunConfig) -> None:
    where = f"task {config.task.name!r}, scheme {config.scheme.label!r}"
    try:
        model = build_model(config)
    except (Exception, SystemExit) as error:  # whatever a plug-in scheme raises, every run would
        raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
    least = model.policy.least_identity_steps(config.learner.num_lanes)
    if config.task.budget <= least:
        raise ConfigError(
            f"{where}: budget is {config.task.budget:,} environment steps, and the identity phase takes at least "
            f"{least:,} of them: nothing would be trained. Raise the task's budget, leave the scheme out, or set "
            f"identity = {{ env_steps = ... }} in [scheme_settings.{config.scheme.name}]."
        )
    rollout = max(1, config.learner.num_lanes * int(model.n_steps))
    end = -(-config.task.budget // rollout) * rollout
    if end > longest_training(config.task.budget):
        raise ConfigError(
            f"{where}: rollouts of {rollout} steps (num_lanes x n_steps) would end at {end} of a budget of "
            f"{config.task.budget}; a quarter beyond it is allowed. Take a smaller n_steps or num_lanes."
        )
