"""The exceptions of the suite: each message gives the value, the rule and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AdapsError",
    "InvalidActionError",
    "InvalidDeclarationError",
    "InvalidParameterError",
    "InvalidStateError",
    "InvalidWeightsError",
    "ResetNeededError",
    "UnknownNameError",
    "suggest",
]


class AdapsError(Exception):
    """Base of every error that the suite raises for its callers."""


class UnknownNameError(AdapsError, LookupError):
    """A name (environment, scheme, suite, policy) that is not registered."""


class InvalidDeclarationError(AdapsError, TypeError):
    """An environment family that lacks one of :class:`~adaps_envs.core.batched.BatchedEnv`'s declarations."""


class InvalidParameterError(AdapsError, ValueError):
    """A keyword or configuration value outside its rule."""


class InvalidActionError(AdapsError, ValueError):
    """Actions of the wrong shape, type or range."""


class InvalidStateError(AdapsError, ValueError):
    """A state handed to ``set_state`` with wrong names, shapes, types or ranges."""


class InvalidWeightsError(AdapsError, ValueError):
    """A file of weights that is damaged, or was written for another scheme, environment, team or network."""


class ResetNeededError(AdapsError, RuntimeError):
    """``step`` before the first ``reset``, or after the episode has ended."""


def suggest(name: object, names: Iterable[str]) -> str:
    """Return ``"Did you mean ...? Known: ..."`` for an unknown ``name`` among ``names``."""
    known = sorted(names)
    lowered = {known_name.lower(): known_name for known_name in known}
    close = difflib.get_close_matches(str(name).lower(), list(lowered), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(repr(lowered[match]) for match in close)}? " if close else ""
    return f"{hint}Known: {', '.join(known) if known else '(none)'}."
