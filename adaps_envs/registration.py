"""Make every id known to Gymnasium and PettingZoo. Nothing is compiled: their entry points are strings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import pettingzoo

from adaps_envs.adapters import FACES
from adaps_envs.registry import broken_plugins, families, list_envs, spec

__all__ = ["register_all", "module_constructors"]

Constructor = Callable[..., Any]


def register_all() -> None:
    """Register every id of :func:`~adaps_envs.registry.list_envs`; ids that are known already are left alone.

    PettingZoo has a registry from 1.27 on. A warning names plug-ins that failed to load.
    """
    for plugin, reason in broken_plugins().items():
        # A plug-in that imports us before it has come to its family is not broken: it is found later.
        if not reason.startswith("AttributeError: partially initialized module"):
            warnings.warn(f"environment plug-in {plugin!r} failed to load and is left out ({reason}).", stacklevel=2)
    registries = {api: getattr(pettingzoo, f"{api}_registry", None) for api in ("parallel", "aec")}
    for env_id in list_envs():
        known, kwargs = spec(env_id), {"env_id": env_id}
        if known.gym_id not in gymnasium.registry:
            gymnasium.register(
                known.gym_id, entry_point=FACES["gym"], vector_entry_point=FACES["gym_vector"], kwargs=kwargs
            )
        if known.tuple_id not in gymnasium.registry:
            gymnasium.register(known.tuple_id, entry_point=FACES["gym_tuple"], kwargs=kwargs)
        for api, registry in registries.items():
            if registry is not None and known.pz_id not in registry:
                pettingzoo.register(api, known.pz_id, FACES[api], kwargs=kwargs)


def module_constructors(family: str, version: int) -> tuple[Constructor, Constructor, Constructor]:
    """Return ``env``, ``parallel_env`` and ``raw_env`` as PettingZoo's environment modules offer them.

    They take ``env_id`` (by default the family's first id of that version), ``render_mode`` and parameters.
    """
    default = next(name for name in families()[family].presets if name.endswith(f"-v{version}"))

    def env(env_id: str = default, **kwargs: Any) -> Any:
        """Create the environment behind PettingZoo's AEC API, call order enforced."""
        from adaps_envs.adapters.aec import make_aec

        return make_aec(env_id, **kwargs)

    def parallel_env(env_id: str = default, **kwargs: Any) -> Any:
        """Create the environment behind PettingZoo's parallel API."""
        from adaps_envs.adapters.parallel import make_parallel

        return make_parallel(env_id, **kwargs)

    def raw_env(env_id: str = default, **kwargs: Any) -> Any:
        """Create the environment behind PettingZoo's AEC API, call order not enforced."""
        from adaps_envs.adapters.aec import make_raw_aec

        return make_raw_aec(env_id, **kwargs)

    return env, parallel_env, raw_env
