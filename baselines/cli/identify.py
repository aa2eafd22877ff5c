"""How well the identity phase recovers the hidden types, measured by the adjusted Rand index over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from sklearn.metrics import adjusted_rand_score

from adaps_agents.identity.collect import Collector
from adaps_agents.identity.phase import IdentityConfig, identify
from adaps_agents.random_streams import derived_seed, numpy_stream
from adaps_envs import make

__all__ = ["identity_study", "print_study"]

LANES = 32


def identity_study(env_id: str, seed: int, config: IdentityConfig | None = None, **params: Any) -> dict[str, Any]:
    """Run one identity phase, as a learner with this seed would, and compare the groups with the true types.

    Args:
        env_id: registered id.
        seed: of the environment, the exploration, the encoder and the clusters.
        config: settings of the identity phase.
        **params: parameters of the environment.

    Returns:
        ``true`` and ``found`` numbers of groups, ``ari``, ``env_steps`` spent, ``verdict`` and its ``reason``, and the
        ``labels`` and true ``types`` of all agents.
    """
    env = make(env_id, api="sb3", num_envs=LANES, **params)
    env.seed(derived_seed(seed, "identity", "environment") % 2**31)
    actions = numpy_stream(seed, "identity", "actions")
    collector = Collector(env, env.num_agents, int(env.action_space.n), actions)
    found = identify(collector, config or IdentityConfig(), derived_seed(seed, "scheme"))
    types = env.batched.agent_types.tolist()
    return {
        "env": env_id,
        "params": params,
        "seed": seed,
        "true": len(set(types)),
        "found": found.num_groups,
        "ari": float(adjusted_rand_score(types, found.labels)),
        "env_steps": found.env_steps,
        "verdict": found.verdict,
        "reason": found.reason,
        "labels": found.labels.tolist(),
        "types": types,
    }


def print_study(
    env_id: str,
    seeds: Iterable[int],
    *,
    config: IdentityConfig,
    params: Mapping[str, Any],
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    """Say, for each seed, what the identity phase found; and in how many seeds it found exactly the hidden types.

    Args:
        env_id: registered id.
        seeds: seeds of whole identity phases.
        config: settings of the identity phase.
        params: parameters of the environment.
        as_json: say one JSON list of what :func:`identity_study` returns instead.
        say: takes one line.
    """
    torch.set_num_threads(1)  # the networks are far too small to gain from more
    rows = []
    for seed in seeds:
        row = identity_study(env_id, seed, config, **params)
        rows.append(row)
        if not as_json:
            say(
                f"seed {seed:<4} true types {row['true']:<3} found {row['found']:<3} ARI {row['ari']:.2f}  "
                f"environment steps {row['env_steps']:<7} {row['verdict']}: {row['reason']}"
            )
            say(f"          labels {' '.join(map(str, row['labels']))}")
    if as_json:
        say(json.dumps(rows))
        return
    exact = sum(row["ari"] == 1.0 and row["found"] == row["true"] for row in rows)
    say(f"{env_id}: exactly the hidden types in {exact} of {len(rows)} seeds")
