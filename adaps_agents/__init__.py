"""AdaPS, the interface by which any sharing scheme plugs into stable-baselines3, and the learners that run them.

>>> import adaps_envs
>>> from adaps_agents import SharingA2C
>>> env = adaps_envs.make("BPS-1", api="sb3", num_envs=8)
>>> model = SharingA2C("adaps", env, seed=0).learn(20_000)
"""

from __future__ import annotations

from adaps_envs.installation import require

require("adaps_agents", "agents", "torch", "stable_baselines3", "sklearn", "scipy", "safetensors", "pydantic")

from adaps_agents.export import TeamPolicy
from adaps_agents.learners.a2c import SharingA2C
from adaps_agents.learners.evaluation import TeamEvalCallback, evaluate_team
from adaps_agents.learners.ppo import SharingPPO
from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.policy.sb3_policy import IdentityPhase
from adaps_agents.schemes import AgentSpaces, SchemeSpec, SharingScheme, list_schemes, make_scheme, scheme_spec
from adaps_agents.schemes.group_source import GroupSource

__all__ = [
    "GroupSource",
    "IdentityPhase",
    "SharingA2C",
    "SharingPPO",
    "SharingPolicy",
    "SharingScheme",
    "TeamEvalCallback",
    "TeamPolicy",
    "AgentSpaces",
    "SchemeSpec",
    "evaluate_team",
    "list_schemes",
    "make_scheme",
    "scheme_spec",
]
