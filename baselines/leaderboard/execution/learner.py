"""From a run's configuration to its learner."""

from __future__ import annotations

from typing import Any

import adaps_agents
import adaps_envs
from baselines.leaderboard.execution.environments import environment_params
from baselines.leaderboard.spec.config import LearnerConfig, RunConfig, seeds_of

__all__ = ["LEARNERS", "build_model", "network_only"]

LEARNERS: dict[str, Any] = {"a2c": adaps_agents.SharingA2C, "ppo": adaps_agents.SharingPPO}

# What of the policy's settings decides of its networks' shapes.
_NETWORK_SETTINGS = frozenset({"critic"})


def build_model(config: RunConfig) -> Any:
    """Return the untrained learner of a run, seeded with the run's training seeds."""
    task, learner = config.task, config.learner
    vec_env = adaps_envs.make(task.env, api="sb3", num_envs=learner.num_lanes, **environment_params(config))
    settings: dict[str, Any] = dict(learner.settings)
    if learner.learning_rate_schedule == "linear":
        start = float(settings["learning_rate"])
        # The last rollout may end beyond the budget, where a negative rate would climb the loss.
        settings["learning_rate"] = lambda remaining: start * max(remaining, 0.0)
    return LEARNERS[learner.algorithm](
        config.scheme.name,
        vec_env,
        # The learner seeds lane b with its own seed + b; with 0, 1, 2 ... neighbouring runs would share most lanes.
        seed=seeds_of(config).training_start,
        policy_kwargs={
            **learner.policy_settings,
            "net_arch": list(learner.net_arch),
            "recurrent": learner.recurrent,
            "scheme_kwargs": dict(config.scheme.settings),
        },
        device="cpu",
        **settings,
    )


def network_only(config: RunConfig, num_lanes: int = 1) -> RunConfig:
    """Return a run with its own networks and none of its learner's settings.

    Those of a record from elsewhere could name files to write, ask for enormous buffers, or be no learner's.
    """
    given = config.learner
    learner = LearnerConfig(
        num_lanes=num_lanes,
        net_arch=given.net_arch,
        recurrent=given.recurrent,
        settings={"n_steps": 2},
        policy_settings={
            name: given.policy_settings[name] for name in _NETWORK_SETTINGS & given.policy_settings.keys()
        },
    )
    return config.model_copy(update={"learner": learner})
