"""Stopping a training between two rollouts and going on from there, to the same bits as if it had never stopped."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from adaps_agents.schemes.base import PARTS, network
from adaps_envs.errors import InvalidParameterError, InvalidStateError

if TYPE_CHECKING:
    from adaps_agents.learners.on_policy import SharingOnPolicy

__all__ = ["Arrays", "capture_training", "restore_training", "with_prefix", "without_prefix"]

Arrays = dict[str, NDArray[Any]]

_POLICY = "policy/"
_SCHEME = "scheme/"
_OPTIMISER = "optimiser/"
# Statistics that an optimiser keeps as plain numbers, not as tensors, must come back as such.
_OPTIMISER_NUMBER = "optimiser number/"
_ENVIRONMENT = "environment/"
_MEMORY = "memory/"
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num")


def capture_training(model: SharingOnPolicy) -> Arrays:
    """Return copies of everything that a training depends on from here on, by name.

    Call it at the start of a rollout (``BaseCallback.on_rollout_start``), where the buffer is empty. The arrays hold
    weights, buffers, optimiser, random generators, environment lanes with their streams, observations, recurrent
    states and counters;
    what follows from the constructor's arguments is not among them.

    Raises:
        InvalidParameterError: the environment's state cannot be read (it was not made by ``adaps_envs.make``).
    """
    assert model.ep_info_buffer is not None
    episodes = [(episode["r"], episode["l"]) for episode in model.ep_info_buffer]
    return {
        **with_prefix(_POLICY, {name: _copied(tensor) for name, tensor in model.policy.state_dict().items()}),
        **with_prefix(_SCHEME, model.scheme.extra_state()),
        **_optimiser_state(model),
        **with_prefix(_ENVIRONMENT, _lanes(model).get_state()),
        "observations": np.array(model._last_obs),
        "episode starts": np.array(model._last_episode_starts),
        **with_prefix(_MEMORY, {part: _copied(state) for part, state in model._memory.items()}),
        "team returns": model._team_return.copy(),
        "team lengths": model._team_length.copy(),
        "episodes": np.array(episodes, np.float64).reshape(-1, 2),
        "counters": np.array([getattr(model, name) for name in _COUNTERS], np.int64),
        "progress remaining": np.array(model._current_progress_remaining, np.float64),
        "learner generator": np.asarray(model.generator.get_state()).copy(),
        "policy generator": np.asarray(model.policy.generator.get_state()).copy(),
    }


def restore_training(model: SharingOnPolicy, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Bring a freshly made learner, with the same arguments, to the point where ``arrays`` were captured.

    ``learn(remaining, reset_num_timesteps=False)`` then goes on; ``remaining`` is the budget less ``num_timesteps``.
    Names, shapes and dtypes of the arrays are those that :func:`capture_training` gave them.

    Raises:
        InvalidStateError: the arrays are not those of such a learner. The model is then of no further use.
    """
    try:
        _restore(model, arrays)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise InvalidStateError(
            f"the arrays do not fit this {type(model).__name__} ({error}); give those of capture_training() of a "
            "learner that was made with the same arguments."
        ) from error


def _restore(model: SharingOnPolicy, arrays: Mapping[str, NDArray[Any]]) -> None:
    assert model.env is not None
    weights = without_prefix(_POLICY, arrays)
    model.policy.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    model.scheme.load_extra_state(without_prefix(_SCHEME, arrays))
    model.policy.rebuild_optimizer()
    _load_optimiser(model, arrays)
    # The first reset uses up the seed that the constructor gave; the lanes' streams then come with their state.
    model.env.reset()
    _lanes(model).set_state(without_prefix(_ENVIRONMENT, arrays))
    for name, value in zip(_COUNTERS, arrays["counters"].tolist(), strict=True):
        setattr(model, name, value)
    model._last_obs = arrays["observations"].copy()
    model._last_episode_starts = arrays["episode starts"].copy()
    remembered = without_prefix(_MEMORY, arrays)
    model._memory = {part: _remembered(model, part, remembered[part]) for part in PARTS}
    model._team_return, model._team_length = arrays["team returns"].copy(), arrays["team lengths"].copy()
    model._current_progress_remaining = float(arrays["progress remaining"])
    episodes = [{"r": float(total), "l": int(length)} for total, length in arrays["episodes"]]
    model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    model.generator.set_state(torch.from_numpy(arrays["learner generator"].copy()))
    model.policy.generator.set_state(torch.from_numpy(arrays["policy generator"].copy()))


def with_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the same arrays, of any shapes and dtypes, with ``prefix`` before every name."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def without_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return the arrays, of any shapes and dtypes, whose names begin with ``prefix``, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _optimiser_state(model: SharingOnPolicy) -> Arrays:
    """By the parameters' names: their order is another one where parameters came and went during training."""
    arrays: Arrays = {}
    state = model.policy.optimizer.state
    for name, parameter in model.policy.named_parameters():
        for key, value in state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                arrays[f"{_OPTIMISER}{name}/{key}"] = _copied(value)
            else:
                arrays[f"{_OPTIMISER_NUMBER}{name}/{key}"] = np.array(value)
    return arrays


def _load_optimiser(model: SharingOnPolicy, arrays: Mapping[str, NDArray[Any]]) -> None:
    optimiser = model.policy.optimizer
    names = {parameter: name for name, parameter in model.policy.named_parameters()}
    held = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    place = {names[parameter]: index for index, parameter in enumerate(held)}
    state: dict[int, dict[str, Any]] = {}
    for path, array in without_prefix(_OPTIMISER, arrays).items():
        name, key = path.split("/")
        state.setdefault(place[name], {})[key] = _laid_out_as(held[place[name]], array)
    for path, array in without_prefix(_OPTIMISER_NUMBER, arrays).items():
        name, key = path.split("/")
        state.setdefault(place[name], {})[key] = array.item()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _laid_out_as(parameter: torch.Tensor, array: NDArray[Any]) -> torch.Tensor:
    """Fused optimisers walk through memory: statistics must lie as their parameter does, which may be transposed."""
    tensor = torch.from_numpy(array.copy())
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _remembered(model: SharingOnPolicy, part: str, array: NDArray[Any]) -> torch.Tensor:
    state = network(model.scheme, part).initial_state(model.num_lanes)
    if array.shape != state.shape:
        raise ValueError(f"the {part} remembers {list(array.shape)}, not {list(state.shape)}")
    return torch.from_numpy(array.copy()).to(state.device)


def _lanes(model: SharingOnPolicy) -> Any:
    batched = getattr(model.env, "batched", None)
    if batched is None:
        raise InvalidParameterError(
            f"the state of {type(model.env).__name__} cannot be read; make the environment with "
            "adaps_envs.make(id, api='sb3', num_envs=...)."
        )
    return batched


def _copied(tensor: torch.Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu()).copy()
