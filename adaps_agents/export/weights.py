"""Weights as safetensors: tensors by name, and a header that says for what they are. Nothing is ever unpickled.

The header is one JSON text under one metadata key, because safetensors does not fix the order of several: the same
policy always gives the same bytes.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.schemes.registry import make_scheme
from adaps_envs.core.json_values import json_values
from adaps_envs.errors import AdapsError, InvalidWeightsError
from adaps_envs.installation import version

__all__ = [
    "MEMBER",
    "METADATA_KEY",
    "WeightsHeader",
    "encode_weights",
    "load_weights",
    "read_weights",
    "save_weights",
    "weights_header",
]

METADATA_KEY = "adaps"
MEMBER = "policy.safetensors"
"""What a file of weights is called in a run's directory, and in the ``.zip`` that ``save`` of a learner writes."""
FORMAT = 1
SUFFIX = ".safetensors"
# Options that say where groups come from. The groups themselves are in the file, so these need not agree.
GROUP_SOURCES = ("identity", "labels", "types")
# Arguments of the policy that other entries of the header tell, or that concern training alone.
_TOLD_APART = {
    "observation_space", "action_space", "lr_schedule", "num_agents", "scheme", "scheme_kwargs", "seed", "use_sde",
    "action_mask",
}  # fmt: skip


@dataclass(frozen=True)
class WeightsHeader:
    """For what a file of weights is.

    Attributes:
        scheme: registered name.
        scheme_options: the scheme's options.
        environment: id, or None if the environment is not one of ``adaps_envs``.
        environment_params: its parameters.
        num_agents, obs_dim, num_actions: N, F, A.
        network: what else the policy was built with, e.g. ``net_arch``.
        library: version of this package.
        format: version of the header.
    """

    scheme: str
    scheme_options: dict[str, Any]
    environment: str | None
    environment_params: dict[str, Any]
    num_agents: int
    obs_dim: int
    num_actions: int
    network: dict[str, Any]
    library: str
    format: int = FORMAT

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the safetensors file."""
        return {METADATA_KEY: json.dumps(asdict(self), sort_keys=True)}


_HEADER = TypeAdapter(WeightsHeader)


def weights_header(policy: SharingPolicy, env: Any = None) -> WeightsHeader:
    """Return the header for a policy that was made for the vectorised environment ``env``."""
    assert isinstance(policy.action_space, spaces.Discrete)
    batched = getattr(getattr(env, "unwrapped", env), "batched", None)
    built_with = policy._get_constructor_parameters()
    own = [name for name in inspect.signature(type(policy).__init__).parameters if name in built_with]
    network = {name: built_with[name] for name in own if name not in _TOLD_APART}
    if not policy.recurrent_parts:
        # Files from before there were recurrent networks do not name it.
        del network["recurrent"]
    return WeightsHeader(
        scheme=policy.scheme_name,
        scheme_options=json_values(policy.scheme_kwargs),
        environment=None if batched is None else batched.spec_id,
        environment_params={} if batched is None else json_values(batched.params),
        num_agents=policy.num_agents,
        obs_dim=int(np.prod(policy.observation_space.shape or ())),
        num_actions=int(policy.action_space.n),
        network=json_values(network),
        library=version(),
    )


def encode_weights(policy: SharingPolicy, env: Any = None) -> bytes:
    """Return what :func:`save_weights` writes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    return save({name: tensor.clone() for name, tensor in tensors.items()}, weights_header(policy, env).metadata())


def save_weights(policy: SharingPolicy, path: str | Path, env: Any = None) -> None:
    """Write a policy's weights, groups and masks as one safetensors file, in one step.

    Args:
        policy: the policy of a sharing learner.
        path: ``.safetensors`` is appended where a suffix is missing; missing folders are made.
        env: the vectorised environment that it was trained in.
    """
    target = _with_suffix(path)
    data = encode_weights(policy, env)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def load_weights(policy: SharingPolicy, path: str | Path, env: Any = None, *, other_environment: bool = False) -> None:
    """Load weights, groups and masks into a policy of the same scheme, task and networks; all of them or none.

    Args:
        policy: the policy of a sharing learner.
        path: what :func:`save_weights` wrote, or a ``policy.safetensors`` of the leaderboard.
        env: the vectorised environment that the policy is for.
        other_environment: take weights that were trained in another environment of the same spaces and team.

    Raises:
        InvalidWeightsError: the file is damaged, or is for another scheme, environment, team or network.
        FileNotFoundError: there is none.
    """
    source = _with_suffix(path)
    header, tensors = read_weights(source)
    here = weights_header(policy, env)
    _check_task(source, header, here, other_environment=other_environment)
    _check_options(source, header, policy)
    if header.network != here.network:
        raise InvalidWeightsError(f"{source} has other networks: {_differences(header.network, here.network)}.")
    trial = type(policy)(**policy._get_constructor_parameters())
    try:
        trial.load_state_dict(tensors)
    except (RuntimeError, ValueError, LookupError) as error:
        raise InvalidWeightsError(f"{source} does not fit the policy: {' '.join(str(error).split())}") from None
    policy.load_state_dict(tensors)


def read_weights(path: Path) -> tuple[WeightsHeader, dict[str, Tensor]]:
    """Return header and tensors by name, of any shapes and dtypes, from a file of weights.

    Raises:
        InvalidWeightsError: it is damaged, or was not written by :func:`save_weights`.
        FileNotFoundError: there is none.
    """
    if path.is_dir():
        raise InvalidWeightsError(f"{path} is a directory; give the .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise InvalidWeightsError(f"{path} is not a whole safetensors file ({error}); copy or save it again.") from None
    if METADATA_KEY not in metadata:
        raise InvalidWeightsError(f"{path} does not say for which scheme it is; write weights by save_weights().")
    return _parsed(path, metadata[METADATA_KEY]), tensors


def _parsed(path: Path, text: str) -> WeightsHeader:
    try:
        header = _HEADER.validate_json(text, strict=True)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidWeightsError(f"{path} has a header that cannot be read ({faults}); save it again.") from None
    if header.format != FORMAT:
        raise InvalidWeightsError(
            f"{path} has format {header.format}, written by version {header.library} of this library; "
            f"this one reads format {FORMAT}. Install that version to load it."
        )
    return header


def _check_task(path: Path, there: WeightsHeader, here: WeightsHeader, *, other_environment: bool) -> None:
    if there.scheme != here.scheme:
        raise InvalidWeightsError(f"{path} is for scheme {there.scheme!r}, the policy runs {here.scheme!r}.")
    for name, meaning in (("num_agents", "agents"), ("obs_dim", "observed entries"), ("num_actions", "actions")):
        theirs, ours = getattr(there, name), getattr(here, name)
        if theirs != ours:
            raise InvalidWeightsError(f"{path} is for {theirs!r} {meaning}, the policy has {ours}.")
    if other_environment or None in (there.environment, here.environment):
        return
    way_out = "Pass other_environment=True if you mean to carry them over."
    if there.environment != here.environment:
        raise InvalidWeightsError(f"{path} is for {there.environment!r}, not {here.environment!r}. {way_out}")
    if there.environment_params != here.environment_params:
        differing = _differences(there.environment_params, here.environment_params)
        raise InvalidWeightsError(f"{path} is for another {here.environment}: {differing}. {way_out}")


def _check_options(path: Path, there: WeightsHeader, policy: SharingPolicy) -> None:
    ours = dict(policy.scheme_kwargs)
    try:
        theirs = {name: value for name, value in there.scheme_options.items() if name not in GROUP_SOURCES}
        theirs |= {name: value for name, value in ours.items() if name in GROUP_SOURCES}
        left, right = (_settings(there.scheme, options) for options in (theirs, ours))
    except (AdapsError, TypeError, AttributeError, ValueError) as error:
        raise InvalidWeightsError(f"{path} has options that {there.scheme!r} does not take: {error}") from None
    if left != right:
        raise InvalidWeightsError(f"{path} is for {there.scheme!r} with other options: {_differences(left, right)}.")


def _settings(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options amount to, defaults filled in: the public attributes of an unbuilt scheme."""
    unbuilt = make_scheme(scheme, **options)
    return {name: json_values(value) for name, value in vars(unbuilt).items() if not name.startswith("_")}


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    names = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    return "; ".join(f"{name} is {theirs.get(name)!r}, not {ours.get(name)!r}" for name in names)


def _with_suffix(path: str | Path) -> Path:
    given = Path(path)
    return given if given.suffix else given.with_name(given.name + SUFFIX)
