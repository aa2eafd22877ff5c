"""What a trained policy shares and how differently its agents act, all of it from the policy and its environment.

Agents are compared on observations that are the same for every scheme of a task.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from adaps_agents.diagnostics import diagnose, sharing_map
from adaps_agents.diagnostics.diagnose import spread_rows
from adaps_envs import list_policies, make_batched, make_policy
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidStateError
from baselines.leaderboard.execution.references import POLICY_OF_FIELD
from baselines.leaderboard.files import canonical_json, finite_or_null, parse_json
from baselines.leaderboard.records.metadata_files import Diagnostics, Sharing
from baselines.leaderboard.spec.config import REFERENCE_SEED_START, RunConfig, TaskConfig

__all__ = ["common_observations", "comparisons", "diagnostics_of", "pool_bytes", "scripted_work", "sharing_of"]

_LANES = 8
_STEPS = 64
_LARGEST_POOL, _SMALLEST_POOL = 512, 16
# Distributions that are compared, pairs of agents times observations.
_COMPARISONS = 1 << 22
# Values of the state that a scripted policy looks at in the time of a decision of a network.
_LOOKED_AT = 1 << 3


def sharing_of(config: RunConfig, policy: Any, env_steps: int, agent_types: NDArray[np.int64]) -> Sharing:
    """Return what the scheme of a policy shares, counts and found.

    Args:
        config: the run.
        policy: sharing policy.
        env_steps: environment steps of its training.
        agent_types: ``[N]`` hidden types, looked up after training, for scoring alone.
    """
    scheme = policy.scheme
    assignment = scheme.assignment()
    types = [int(value) for value in agent_types]
    groups = None if assignment is None else [int(value) for value in assignment]
    return Sharing(
        scheme=config.scheme.label,
        env_steps=env_steps,
        identity_steps=int(scheme.identity_steps),
        parameters={name: int(value) for name, value in scheme.param_report().items()},
        assignment=groups,
        agent_types=types,
        ari=None if groups is None else float(adjusted_rand_score(types, groups)),
        summary=finite_or_null(scheme.sharing_summary()),
        diagnostics=diagnostics_of(config.task, policy, agent_types),
    )


def diagnostics_of(task: TaskConfig, policy: Any, agent_types: NDArray[np.int64]) -> Diagnostics:
    """Measure a trained policy; the hidden types serve the comparison with them alone.

    Args:
        task: what it was trained on.
        policy: sharing policy.
        agent_types: ``[N]``.

    Raises:
        InvalidStateError: its logits are not finite.
    """
    pool = common_observations(task.env, canonical_json(task.params), _pool_size(len(agent_types)))
    found = diagnose(policy, pool, types=agent_types)
    if not np.isfinite(found.snd):
        raise InvalidStateError(
            "the policy's logits are not finite on the task's observations: its training has diverged; lower the "
            "learning rate."
        )
    return Diagnostics(
        pool=found.pool,
        snd=found.snd,
        action_disagreement=found.action_disagreement,
        within_type=found.within_type,
        between_type=found.between_type,
        within_group=found.within_group,
        between_group=found.between_group,
        memory_bytes=found.memory.parameters + found.memory.buffers,
        masks=finite_or_null(found.as_json()["masks"]),
        sharing=finite_or_null(sharing_map(policy).as_json()),
    )


def comparisons(number: int) -> int:
    """Return how many distributions of two agents are compared at most in a team of ``number``."""
    return _pairs(number) * _pool_size(number)


def pool_bytes(env: BatchedEnv) -> int:
    """Return how large the common observations are when every agent sees them all, as private networks do."""
    return _pool_size(env.num_agents) * env.num_agents * env.obs_dim * np.dtype(np.float32).itemsize


def scripted_work(env: BatchedEnv) -> int:
    """Return how many decisions of single agents the scripted policy's part of the common observations counts as.

    Planners walk over the whole board for each robot, or for each food. An observation has entries of these, but need
    not have those of all: what is not 0 in a state counts, too.
    """
    env.reset(seed=REFERENCE_SEED_START)
    state = env.get_state().values()
    values = sum(array.size for array in state) // env.num_envs
    things = max(int(np.count_nonzero(array)) for array in state) // env.num_envs
    return _LANES * min(env.max_cycles, _STEPS) * values * max(things, env.obs_dim, env.num_agents) // _LOOKED_AT


def _pairs(number: int) -> int:
    return max(1, number * (number - 1) // 2)


def _pool_size(number: int) -> int:
    return min(_LARGEST_POOL, max(_SMALLEST_POOL, _COMPARISONS // _pairs(number)))


@lru_cache(maxsize=4)
def common_observations(env_id: str, params: bytes, size: int) -> NDArray[np.float32]:
    """Return ``[S, F]`` observations, half of random play and half of the scripted policy that the scores refer to.

    They depend on the task alone, so that diversities of different schemes are means over the same observations.

    Args:
        env_id: environment id.
        params: its parameters as canonical JSON.
        size: S at most.
    """
    known = [name for name in POLICY_OF_FIELD.values() if name in list_policies(env_id)]
    return np.concatenate([_observations(env_id, parse_json(params), name, size // len(known)) for name in known])


def _observations(env_id: str, params: dict[str, Any], policy: str, number: int) -> NDArray[np.float32]:
    """Return ``[S, F]``, S at most ``number``, of what all agents see while a scripted policy plays."""
    env = make_batched(env_id, _LANES, **params)
    scripted = make_policy(policy, env)
    generator = np.random.default_rng(REFERENCE_SEED_START)
    steps, rows = min(env.max_cycles, _STEPS), env.num_envs * env.num_agents
    at, chosen = np.divmod(spread_rows(steps * rows, number), rows)
    obs, seen = env.reset(seed=REFERENCE_SEED_START), []
    for step in range(steps):
        seen.append(obs.reshape(rows, -1)[chosen[at == step]])
        obs, _, terminated, truncated = env.step(scripted(obs, generator))
        ended = terminated | truncated
        if ended.any():
            obs = env.reset(mask=ended)
    return np.concatenate(seen)
