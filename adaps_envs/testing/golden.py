"""Replay of recorded trajectories of the original environments, transition by transition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import InvalidParameterError, UnknownNameError, suggest
from adaps_envs.registry import families, load

__all__ = ["load_golden", "make_env"]


def make_env(config: Mapping[str, Any], num_envs: int) -> BatchedEnv:
    """Build the environment that a golden file's ``config`` describes.

    Args:
        config: the parsed JSON of the file's ``config`` array; ``config["family"]`` names the family.
        num_envs: B.

    Raises:
        UnknownNameError: the family is unknown or has no recorded trajectories.
    """
    replayable = {name: family for name, family in families().items() if family.golden is not None}
    name = config.get("family")
    if name not in replayable:
        raise UnknownNameError(f"no family {name!r} with golden trajectories. {suggest(name, replayable)}")
    family = replayable[name]
    env: BatchedEnv = load(family.env)(num_envs, load(str(family.golden))(config))
    return env


def load_golden(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the configuration and the arrays of a golden file; nothing is unpickled.

    Raises:
        InvalidParameterError: the file has no ``config``.
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    if "config" not in arrays:
        raise InvalidParameterError(f"{path} has no 'config' array; it is not a golden trajectory.")
    return json.loads(str(arrays.pop("config"))), arrays
