"""Checks of scheme options that answer with the value, the rule and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from adaps_envs.errors import InvalidParameterError

__all__ = ["MAX_UNITS", "NETWORKS", "check_choice", "check_count", "check_fires", "check_flag", "check_number"]

NETWORKS = ("both", "actor")
"""Whether a method applies to actor and critic, or to the actor only."""

MAX_UNITS = 4_096
"""Most units of a layer, entries of a code or ranks that an option may ask for: options come from records, too."""


def check_choice(option: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise InvalidParameterError unless ``value`` is one of the strings ``allowed``."""
    choices = tuple(allowed)
    if not isinstance(value, str) or value not in choices:
        raise InvalidParameterError(f"{option} is {value!r}; choose one of {', '.join(choices)}.")


def check_count(option: str, value: Any, *, low: int = 1, high: int | None = None) -> None:
    """Raise InvalidParameterError unless ``value`` is an integer of at least ``low``, and at most ``high``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        rule = f"an integer >= {low}" + ("" if high is None else f" and <= {high:,}")
        raise InvalidParameterError(f"{option} is {value!r}; it must be {rule}.")


def check_fires(scheme: str, event: str, first: int, updates: int, way_out: str) -> None:
    """Raise InvalidParameterError unless an ``event`` at update ``first`` falls into a training of ``updates``."""
    if first > updates:
        raise InvalidParameterError(
            f"scheme {scheme!r} {event} at update {first:,}, and this training ends after {updates:,} (environment "
            f"steps / (n_steps * lanes)), so that it would never act; {way_out}, or train longer."
        )


def check_flag(option: str, value: Any) -> None:
    """Raise InvalidParameterError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{option} is {value!r}; it must be True or False.")


def check_number(
    option: str, value: Any, *, low: float = -np.inf, high: float = np.inf, above: float | None = None
) -> None:
    """Raise InvalidParameterError unless ``value`` is a finite number in ``[low, high]``, greater than ``above``."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if is_number and np.isfinite(value) and low <= value <= high and (above is None or value > above):
        return
    rules = [f"> {above:g}"] if above is not None else [f">= {low:g}"] if np.isfinite(low) else []
    rules += [f"<= {high:g}"] if np.isfinite(high) else []
    rule = f" {' and '.join(rules)}" if rules else ""
    raise InvalidParameterError(f"{option} is {value!r}; it must be a finite number{rule}.")
