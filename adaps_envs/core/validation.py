"""How large a game may be: beyond these limits one lane takes hundreds of megabytes, or its counters overflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import numpy as np

from adaps_envs.errors import AdapsError, InvalidParameterError, quoted

__all__ = ["MAX_STEPS", "MAX_THREADS", "check_observation_size", "lane_count", "refuses_oddities", "whole_number"]

# Steps are counted in int32, one more than the limit where a lane is stepped past its end.
MAX_STEPS = 2**31 - 2
MAX_LANES = 2**24
MAX_THREADS = 1024
MAX_ENTRIES = 100_000
MAX_LANE_ENTRIES = 50_000_000


def check_observation_size(num_agents: int, entries: int, way_out: str) -> None:
    """Refuse observations that are too long, for one agent or for all N together.

    Args:
        num_agents: N.
        entries: F.
        way_out: what the caller may lower, ending the sentence.

    Raises:
        InvalidParameterError: F or N * F is above its limit.
    """
    if entries > MAX_ENTRIES or entries * num_agents > MAX_LANE_ENTRIES:
        raise InvalidParameterError(
            f"an observation would have {entries} entries for each of {num_agents} agents; the limits are "
            f"{MAX_ENTRIES} an agent and {MAX_LANE_ENTRIES} together: {way_out}."
        )


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return ``value``, Python's integer or a NumPy scalar, as Python's integer.

    Raises:
        InvalidParameterError: ``value``, called ``name``, is no such integer, or lies outside ``least..most``.
    """
    try:
        number = int(value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else None
        legal = number is not None and least <= number and (most is None or number <= most)
    except Exception:  # a subclass of int may do anything
        legal = False
    if not legal:
        bound = f"an integer >= {least}" if most is None else f"an integer from {least} to {most}"
        raise InvalidParameterError(f"{name} is {quoted(value)}; it must be {bound}.")
    assert number is not None
    return number


def lane_count(value: Any) -> int:
    """Return a number of lanes as Python's integer.

    Raises:
        InvalidParameterError: it is no integer >= 1, or more than any machine holds.
    """
    lanes = whole_number("num_envs", value, 1)
    if lanes > MAX_LANES:
        raise InvalidParameterError(
            f"num_envs is {quoted(lanes)}, and the state of so many lanes does not fit in memory; give fewer, at most "
            f"{MAX_LANES}."
        )
    return lanes


def refuses_oddities(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Decorate ``__post_init__`` of a parameter dataclass: whatever else it raises becomes InvalidParameterError.

    Checks compare, measure and print values of anybody's class, each of which may fail in any way.
    """

    @wraps(check)
    def checked(self: Any) -> None:
        try:
            check(self)
        except AdapsError:
            raise
        except Exception as error:
            given = ", ".join(
                f"{item.name}={quoted(value)}"
                for item in fields(self)
                if (value := getattr(self, item.name)) is not item.default
            )
            raise InvalidParameterError(
                f"{type(self).__name__} cannot read one of {given[:400]} ({type(error).__name__}: {quoted(error)}); "
                "give plain numbers, texts and lists."
            ) from error

    return checked
