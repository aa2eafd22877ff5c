"""Which trainable parameters an agent uses, found by differentiating what its networks are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme, network
from adaps_envs.errors import InvalidParameterError

__all__ = ["evaluating", "gradients", "used_entries"]


def used_entries(scheme: SharingScheme, part: str, agent: int) -> dict[str, Tensor]:
    """Return which entries of each trainable parameter the agent's effective parameters are made of, bool of its shape.

    An entry behind a closed gate (a threshold, a dead unit of a hypernetwork) counts as unused for the time being.

    Args:
        scheme: a built scheme.
        part: ``actor`` or ``critic``.
        agent: index of the agent.

    Raises:
        InvalidParameterError: ``effective_params`` returns copies that know nothing of the parameters.
    """
    generator = torch_stream(0, "probe")
    total = torch.zeros(())
    for tensor in (tensor for layer in network(scheme, part).effective_params(agent) for tensor in layer):
        total = total + (tensor * (0.5 + torch.rand(tensor.shape, generator=generator)).to(tensor.device)).sum().cpu()
    if not total.requires_grad:
        raise InvalidParameterError(
            "effective_params returns detached copies; return functions of the parameters, so that gradients pass."
        )
    return {name: gradient != 0 for name, gradient in gradients(scheme, total).items()}


def gradients(scheme: SharingScheme, scalar: Tensor) -> dict[str, Tensor]:
    """Return the gradient of ``scalar`` on every trainable parameter by name, of its shape; zeros where it has none."""
    named = {name: parameter for name, parameter in scheme.named_parameters() if parameter.requires_grad}
    found = torch.autograd.grad(scalar, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(named.items(), found, strict=True)
    }


@contextmanager
def evaluating(scheme: SharingScheme) -> Iterator[None]:
    """Put a scheme into evaluation mode, and back into the mode that it had."""
    was_training = scheme.training
    scheme.eval()
    try:
        yield
    finally:
        scheme.train(was_training)
