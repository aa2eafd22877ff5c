"""Old import paths that the documentation once showed: they work for one version more, with a warning."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["moved"]


def moved(old: str, new: str) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that takes names from the module ``new`` and warns that ``old`` goes."""

    def look_up(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(new), name)
        warnings.warn(
            f"{old} is now {new} and goes with the next version; import {name} from there.",
            DeprecationWarning,
            stacklevel=2,
        )
        return found

    return look_up
