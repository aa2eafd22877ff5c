"""Named random streams derived from one seed, so that the extra draws of one part never shift another's."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn

__all__ = ["MAX_ENV_SEED", "default_linear", "derived_seed", "numpy_stream", "torch_stream"]

# stable-baselines3 seeds environments with 32-bit numbers.
MAX_ENV_SEED = 2**31


def derived_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every name, stable over runs and machines."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator of its own for ``names`` (draws are made on the CPU so that devices agree)."""
    return torch.Generator().manual_seed(derived_seed(seed, *names))


def numpy_stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator of its own for ``names``."""
    return np.random.default_rng(derived_seed(seed, *names))


def default_linear(fan_in: int, out: int, generator: torch.Generator) -> nn.Linear:
    """Return torch's default linear layer, drawn from ``generator`` instead of the global one."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, fan_in, out)
    bound = fan_in**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
