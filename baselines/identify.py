"""How well the identity phase recovers the hidden types: adjusted Rand index over seeds, beside the shuffled control."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import adjusted_rand_score

from adaps_agents.identity.collect import Collector
from adaps_agents.identity.phase import IdentityConfig, identify
from adaps_agents.streams import derived_seed, numpy_stream
from adaps_envs import make

__all__ = ["identity_study"]

LANES = 32


def identity_study(env_id: str, seed: int, config: IdentityConfig | None = None, **params: Any) -> dict[str, Any]:
    """Run one identity phase, as a learner with this seed would, and compare the groups with the true types.

    Args:
        env_id: registered id.
        seed: of the environment, the exploration, the encoder and the clusters.
        config: settings of the identity phase.
        **params: parameters of the environment.

    Returns:
        ``true`` and ``found`` numbers of groups, ``ari`` and ``env_steps`` spent.
    """
    env = make(env_id, api="sb3", num_envs=LANES, **params)
    env.seed(derived_seed(seed, "identity", "environment") % 2**31)
    actions = numpy_stream(seed, "identity", "actions")
    collector = Collector(env, env.num_agents, int(env.action_space.n), actions)
    found = identify(collector, config or IdentityConfig(), seed)
    types = env.batched.agent_types
    return {
        "env": env_id,
        "seed": seed,
        "true": len(set(types.tolist())),
        "found": found.num_groups,
        "ari": float(adjusted_rand_score(types, found.labels)),
        "env_steps": found.env_steps,
    }
