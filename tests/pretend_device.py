"""A second device that holds its numbers on the CPU, so that what a GPU would refuse is refused without one.

``torch``'s own ``FakeTensorMode`` holds no values, on which regrouping, splitting and sampling depend, and autograd of
fake ``cuda`` tensors aborts where PyTorch is built without CUDA. Here a tensor of the device :data:`AWAY` is a wrapper
around a CPU tensor. Operations run on the CPU, with the same bits, once it is known that a GPU would have run them: all
tensors are on one device, and random numbers come from a generator of that device. Where CUDA is more lenient, so is
this: CPU tensors may index a tensor that is away, and CPU scalars may enter an elementwise operation of two tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

__all__ = ["AWAY", "away"]

# A name without a backend: what is not intercepted fails. (Autograd runs no other names without one.)
AWAY = torch.device("lazy", 0)
_HERE = torch.device("cpu")
_aten = torch.ops.aten
_TWO_DEVICES = {_aten.copy_, _aten._to_copy}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._unsafe_index}


class _AwayTensor(Tensor):
    """A tensor that says it is away."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _AwayTensor:
        layout: dict[str, Any] = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made = Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device=AWAY, **layout)
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], meta: None, size: Any, stride: Any) -> _AwayTensor:
        return _AwayTensor(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    # What PyTorch does in C++ without an operation, or not at all, for wrappers.
    def tolist(self) -> Any:
        return self.held.tolist()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.detach().held.__reduce_ex__(protocol)


class _Intercepted(TorchDispatchMode):
    """Makes new tensors on the device that was asked for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves = _leaves([*args, *kwargs.values()])
    is_away = any(isinstance(leaf, _AwayTensor) for leaf in leaves)
    wanted = kwargs.get("device")
    made_away = is_away if wanted is None else wanted.type == AWAY.type
    if is_away or made_away:
        _check_devices(func, args, kwargs, leaves)
        _check_generators(func, leaves, made_away)
    here = {name: _mapped(_here, value) for name, value in kwargs.items()}
    if wanted is not None:
        here["device"] = _HERE
    out = func(*_mapped(_here, args), **here)
    if not made_away:
        return out
    out = _mapped(_AwayTensor, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if is_away else out


def _here(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, _AwayTensor) else tensor


def _mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(_mapped(change, item) for item in value)
    return change(value) if isinstance(value, Tensor) else value


def _leaves(values: Any) -> list[Any]:
    """Return the arguments of an operation, with those in lists."""
    return [item for value in values for item in (value if isinstance(value, tuple | list) else [value])]


def _check_devices(func: Any, args: Any, kwargs: Any, leaves: list[Any]) -> None:
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    here = [tensor for tensor in tensors if not isinstance(tensor, _AwayTensor)]
    if not here or len(here) == len(tensors) or func.overloadpacket in _TWO_DEVICES:
        return
    if func.overloadpacket in _INDEXING and isinstance(args[0], _AwayTensor):
        here = [tensor for tensor in here if not any(tensor is index for index in args[1])]
    elif (
        torch.Tag.pointwise in func.tags and len(tensors) == 2 and not (func._schema.is_mutable and here[0] is args[0])
    ):
        here = [tensor for tensor in here if tensor.dim() > 0]
    if here:
        where = ", ".join(f"{list(tensor.shape)} on {tensor.device}" for tensor in tensors)
        raise RuntimeError(f"{func} was given tensors on two devices: {where}")


def _check_generators(func: Any, leaves: list[Any], made_away: bool) -> None:
    if made_away and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{func} was given a CPU generator for a tensor that is away")


def _moved(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)((name, _moved(item)) for name, item in value.items())
    return _mapped(lambda tensor: tensor.to(AWAY), value)


@contextmanager
def away() -> Iterator[torch.device]:
    """Make :data:`AWAY` a device within the block, for optimisers and ``torch.load`` too, and return it."""
    load: Callable[..., Any] = torch.load

    def loaded(*args: Any, map_location: Any = None, **kwargs: Any) -> Any:
        found = load(*args, map_location=_HERE, **kwargs)
        goes_away = map_location is not None and torch.device(map_location) == AWAY
        return _moved(found) if goes_away else found

    # The optimisers ask this function; where its name is imported depends on PyTorch's version.
    asks = [import_module(f"torch.optim.{name}") for name in ("optimizer", "adam")]
    with pytest.MonkeyPatch.context() as patch, _Intercepted():
        patch.setattr(torch, "load", loaded)
        for module in asks:
            if fused := getattr(module, "_get_fused_kernels_supported_devices", None):
                devices = [*fused(), AWAY.type]
                patch.setattr(module, fused.__name__, lambda devices=devices: devices)
        yield AWAY
