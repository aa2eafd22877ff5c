"""Small learners for the tests of this folder."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from stable_baselines3.common.vec_env import VecEnv
from type_game import type_game

from adaps_agents import SharingA2C, SharingPPO, list_schemes, make_scheme

QUICK_IDENTITY = {"env_steps": 160, "encoder": {"latent": 4, "hidden": 16, "updates": 60, "batch_size": 128}}
SEVEN = ("adaps", "fups", "fups_id", "nops", "oracle", "seps", "snp_ps")
IDENTIFIED = tuple(name for name in list_schemes() if name != "oracle" and make_scheme(name).group_source)
ALGORITHMS = (SharingA2C, SharingPPO)


def scheme_kwargs(scheme: str, **options: Any) -> dict[str, Any]:
    """Return the options of a scheme with an identity phase of a tenth of a second."""
    return {"identity": QUICK_IDENTITY, **options} if scheme in IDENTIFIED else options


def small_model(
    algorithm: Any,
    scheme: str,
    env: VecEnv | None = None,
    *,
    seed: int | None = 0,
    scheme_options: dict[str, Any] | None = None,
    policy_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Return an untrained learner on the game of hidden types."""
    policy = {"net_arch": [16, 12], "scheme_kwargs": scheme_kwargs(scheme, **(scheme_options or {}))}
    policy |= policy_options or {}
    settings: dict[str, Any] = {"n_steps": 5, "device": "cpu"}
    if algorithm is SharingPPO:
        settings |= {"n_epochs": 2, "batch_size": 60}
    return algorithm(scheme, env or type_game(4), seed=seed, policy_kwargs=policy, **{**settings, **kwargs})


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """Return a digest of every byte of a ``state_dict``."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
