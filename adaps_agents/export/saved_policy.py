"""Opening what was saved, to play it: the network that a file describes, built for an environment.

Weights come from safetensors and everything else from JSON; nothing is unpickled.
"""

from __future__ import annotations

import tempfile
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from gymnasium import spaces
from torch import Tensor, nn

from adaps_agents.export.weights import MEMBER, WeightsHeader, read_weights
from adaps_agents.policy.policy import SharingPolicy
from adaps_envs import spec
from adaps_envs.adapters.sb3_index import declared_action_mask
from adaps_envs.core.batched import BatchedEnv
from adaps_envs.errors import AdapsError, InvalidParameterError, InvalidWeightsError

__all__ = ["load_policy", "saved_header"]

MAX_BYTES = 1 << 31
# Weights of one network that a file may ask for; see also the units of `adaps leaderboard verify --deep`.
MAX_NETWORK_WEIGHTS = 1 << 28
_NETWORK = ("net_arch", "critic", "state_dim", "recurrent")
_ACTIVATIONS = "torch.nn.modules.activation."


def saved_header(path: str | Path) -> WeightsHeader:
    """Return for what a saved policy is: scheme, environment with its parameters, team and networks.

    Args:
        path: as for :func:`load_policy`.

    Raises:
        InvalidWeightsError, FileNotFoundError: as for :func:`load_policy`.
    """
    return _read(Path(path))[0]


def load_policy(path: str | Path, env: Any) -> SharingPolicy:
    """Return a saved policy for an environment of the family and the sizes that it was trained in.

    Args:
        path: a ``.safetensors`` file of ``save_weights``; a ``.zip`` of a sharing learner's ``save``; or the directory
            of a run of the leaderboard or of ``adaps train``.
        env: a :class:`~adaps_envs.core.batched.BatchedEnv`, or an environment that is made from one.

    Raises:
        InvalidWeightsError: the file is damaged, holds no sharing policy, or is for another family, team or size.
        FileNotFoundError: there is none.
        InvalidParameterError: an environment of another library.
        UnknownNameError: its scheme is not installed.
    """
    header, tensors = _read(Path(path))
    batched = env if isinstance(env, BatchedEnv) else getattr(getattr(env, "unwrapped", env), "batched", None)
    if not isinstance(batched, BatchedEnv):
        raise InvalidParameterError(f"a {type(env).__name__} is not an environment of adaps_envs; make it by make(id).")
    _check_fit(path, header, batched)
    policy = _built(path, header, batched)
    try:
        policy.load_state_dict(tensors)
    except (RuntimeError, ValueError, LookupError) as error:
        raise InvalidWeightsError(f"{path} does not fit its own header: {' '.join(str(error).split())}") from None
    policy.set_training_mode(False)
    return policy


def _read(path: Path) -> tuple[WeightsHeader, dict[str, Tensor]]:
    if path.is_dir():
        return _read(_file_in(path))
    if path.suffix != ".zip":
        return read_weights(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if MEMBER not in archive.namelist():
                raise InvalidWeightsError(
                    f"{path} holds no {MEMBER}, which save() of a sharing learner writes. If it is an older file that "
                    "you trust, open it with SharingA2C.load() and save it again."
                )
            if archive.getinfo(MEMBER).file_size > MAX_BYTES:
                raise InvalidWeightsError(f"{path}: {MEMBER} has more than {MAX_BYTES:,} bytes, the most that is read.")
            with tempfile.TemporaryDirectory() as folder:
                return read_weights(Path(archive.extract(MEMBER, folder)))
    except (zipfile.BadZipFile, EOFError) as error:
        raise InvalidWeightsError(f"{path} is not a whole .zip ({error}); copy or save it again.") from None


def _file_in(folder: Path) -> Path:
    for name in (MEMBER, "model.zip"):
        if (folder / name).is_file():
            return folder / name
    raise InvalidWeightsError(
        f"{folder} holds neither {MEMBER} nor model.zip; give the directory of a finished run, such as "
        "runs/quick/BPS-1/adaps/seed-0."
    )


def _check_fit(path: str | Path, header: WeightsHeader, env: BatchedEnv) -> None:
    if header.environment not in (None, env.spec_id) and _family(str(header.environment)) != env.family:
        raise InvalidWeightsError(
            f"{path} was trained in {header.environment}, which is no {env.family}; play it there."
        )
    where = f"{header.environment} with other parameters" if header.environment == env.spec_id else header.environment
    for name, meaning in (("num_agents", "agents"), ("obs_dim", "observed entries"), ("num_actions", "actions")):
        theirs, ours = getattr(header, name), getattr(env, name)
        if theirs != ours:
            raise InvalidWeightsError(
                f"{path} is for {theirs} {meaning}, {env.spec_id} here has {ours}; it was trained in {where}."
            )


def _family(env_id: str) -> str:
    try:
        return spec(env_id).family
    except AdapsError:
        return env_id


def _built(path: str | Path, header: WeightsHeader, env: BatchedEnv) -> SharingPolicy:
    network: dict[str, Any] = {name: header.network[name] for name in _NETWORK if name in header.network}
    try:
        widths = [env.obs_dim + network.get("state_dim", 0), *network.get("net_arch", ()), env.num_actions]
        size = sum(left * right for left, right in pairwise(widths)) + 6 * widths[-2] ** 2
        if not 0 < size <= MAX_NETWORK_WEIGHTS // (2 * env.num_agents):
            raise ValueError(f"widths {widths} for {env.num_agents} agents are more than can be built")
        return SharingPolicy(
            spaces.Box(env.obs_space_low, env.obs_space_high),
            spaces.Discrete(env.num_actions),
            lambda _: 0.0,
            scheme=header.scheme,
            scheme_kwargs=header.scheme_options,
            num_agents=env.num_agents,
            activation_fn=_activation(header.network.get("activation_fn", f"{_ACTIVATIONS}ReLU")),
            action_mask=declared_action_mask(_Holder(env)),
            **network,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidWeightsError(f"{path} has a header that no network can be built from: {error}") from None


class _Holder:
    """What a vectorised environment is to those that ask it for its core."""

    def __init__(self, env: BatchedEnv) -> None:
        self.batched = env


def _activation(name: Any) -> type[nn.Module]:
    known = getattr(nn, str(name).removeprefix(_ACTIVATIONS), None) if str(name).startswith(_ACTIVATIONS) else None
    if not (isinstance(known, type) and issubclass(known, nn.Module)):
        raise ValueError(f"activation_fn {name!r} is not one of torch.nn's")
    return known
