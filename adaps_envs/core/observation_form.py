"""In which form an observation's F entries are shown: as a vector, as an image, or as named parts.

The batched interface always carries flat vectors ``[..., F]``. A family whose observations users know as images or
dictionaries declares their form once, as :data:`Form`; the single faces' values and spaces both follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Form", "Part", "shown"]

Kind: TypeAlias = Literal["numbers", "flags", "choice"]


@dataclass(frozen=True)
class Part:
    """Consecutive entries of an observation that are shown as one array.

    Attributes:
        start: index of the first entry.
        shape: shape of the array; of a ``choice``, the number of options.
        kind: ``numbers`` shows the entries themselves, ``flags`` as int8, and ``choice`` the index of the entry that is
            1 in a one-hot block, as int64.
        dtype: type of ``numbers``; float32 shows a view.
    """

    start: int
    shape: tuple[int, ...]
    kind: Kind = "numbers"
    dtype: str = "float32"

    @property
    def entries(self) -> slice:
        """The entries that belong to it."""
        return slice(self.start, self.start + math.prod(self.shape))

    def of(self, obs: NDArray[np.float32]) -> NDArray[Any]:
        """Return the part of observations ``[..., F]`` as ``[..., *shape]``, or ``[...]`` for a ``choice``."""
        own = obs[..., self.entries]
        if self.kind == "choice":
            index: NDArray[Any] = own.argmax(axis=-1)
            return index
        return own.reshape(*obs.shape[:-1], *self.shape).astype(
            "int8" if self.kind == "flags" else self.dtype, copy=False
        )


Form: TypeAlias = "Part | Mapping[str, Form] | tuple[Form, ...]"


def shown(form: Form, obs: NDArray[np.float32]) -> Any:
    """Return observations ``[..., F] float32`` in their form; leading axes stay in front of every array."""
    if isinstance(form, Part):
        return form.of(obs)
    if isinstance(form, tuple):
        return tuple(shown(inner, obs) for inner in form)
    return {name: shown(inner, obs) for name, inner in form.items()}
