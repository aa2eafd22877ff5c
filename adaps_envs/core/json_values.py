"""Values as JSON has them, so that what was written down and what is at hand can be compared."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["json_values"]


def json_values(value: Any) -> Any:
    """Return dataclasses as objects, arrays and tensors as lists, and what JSON has no word for by its class's name."""
    if hasattr(value, "tolist"):  # arrays, tensors and their numbers, of whatever library
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): json_values(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(entry) for entry in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    named = value if inspect.isclass(value) or inspect.isroutine(value) else type(value)
    return f"{named.__module__}.{named.__qualname__}"
