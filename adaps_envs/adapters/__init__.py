"""The faces of the batched core: each is written once, for every family, and is imported only when it is asked for.

=============  ===================================================================================================
``parallel``   PettingZoo parallel environment, one lane
``aec``        PettingZoo agent-environment-cycle environment, one lane
``gym``        Gymnasium environment, one lane, all agents as one team
``gym_vector`` Gymnasium vector environment, ``num_envs`` lanes, team view
``gym_tuple``  Gymnasium environment by the convention of rware and lbforaging: tuples of spaces, a reward an agent
``sb3``        stable-baselines3 ``VecEnv``, ``num_envs`` lanes, one slot for each agent of each lane
``batched``    the core itself
=============  ===================================================================================================
"""

from __future__ import annotations

import inspect
from typing import Any

from adaps_envs.errors import UnknownNameError, quoted, suggest
from adaps_envs.installation import require
from adaps_envs.registry import load, make_batched, spec, unknown_keyword

__all__ = ["FACES", "make_face"]

FACES: dict[str, str] = {
    "parallel": "adaps_envs.adapters.parallel:make_parallel",
    "aec": "adaps_envs.adapters.aec:make_aec",
    "gym": "adaps_envs.adapters.gym_single:RegisteredTeamEnv",
    "gym_vector": "adaps_envs.adapters.gym_vector:make_gym_vector",
    "gym_tuple": "adaps_envs.adapters.gym_tuple:RegisteredAgentsEnv",
    "sb3": "adaps_envs.adapters.sb3:make_sb3",
    "batched": "adaps_envs.registry:make_batched",
}


def make_face(api: str, env_id: str, **kwargs: Any) -> Any:
    """Create environment ``env_id`` behind the face ``api``, a key of :data:`FACES`.

    Raises:
        UnknownNameError: unknown face or id.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    if not isinstance(api, str) or api not in FACES:
        raise UnknownNameError(f"no face {quoted(api)}. {suggest(api, FACES)}")
    if api == "sb3":
        require("api='sb3'", "agents", "stable_baselines3")
    if api == "batched":
        kwargs.setdefault("num_envs", 1)
    make = load(FACES[api])
    own = _keywords(make) | (_keywords(make_batched) - {"num_envs"})
    known = own | set(spec(env_id).parameters)
    for name in kwargs:
        if name not in known:
            raise unknown_keyword(env_id, name, own | {"api"})
    return make(env_id, **kwargs)


def _keywords(make: Any) -> set[str]:
    """Return the named arguments of what makes an environment, but for the id."""
    found = inspect.signature(make).parameters.values()
    return {item.name for item in found if item.kind is not item.VAR_KEYWORD} - {"env_id"}
