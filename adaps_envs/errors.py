"""The exceptions of the suite: each message gives the value, the rule and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AdapsError",
    "CompileCacheError",
    "InvalidActionError",
    "InvalidDeclarationError",
    "InvalidParameterError",
    "InvalidStateError",
    "InvalidWeightsError",
    "MissingExtraError",
    "ResetNeededError",
    "ShadowedPackageError",
    "UnknownNameError",
    "nearest",
    "quoted",
    "suggest",
]

_LONGEST = 200


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


class CompileCacheError(AdapsError, OSError):
    """A file of numba's compile cache that can be neither read nor removed."""


class MissingExtraError(AdapsError, ImportError):
    """A library that an extra installs is missing; the message names the extra."""


class ShadowedPackageError(AdapsError, ImportError):
    """A package of the suite that Python does not find, because another of the same name comes first."""


def quoted(value: object) -> str:
    """Return ``repr(value)`` for an error's text: one line of at most 200 printable characters. It never fails."""
    try:
        text = repr(value)
    except Exception as error:  # a number of 5,000 digits, or an object of anybody's class
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"
    line = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in " ".join(text.split())
    )
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4]} ..."


def nearest(name: object, names: Iterable[str]) -> str:
    """Return ``"Did you mean ...?"`` for an unknown ``name`` among ``names``; empty where none is near.

    A name that differs in case and separators alone is the only one that is offered.
    """
    lowered = {known.lower(): known for known in sorted(names)}
    text = name if isinstance(name, str) else quoted(name)
    same = [known for known in lowered.values() if _letters(known) == _letters(text)]
    if same:
        return f"Did you mean {same[0]!r}?"
    close = difflib.get_close_matches(text.lower(), list(lowered), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(repr(lowered[match]) for match in close)}?" if close else ""


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def suggest(name: object, names: Iterable[str]) -> str:
    """Return ``"Did you mean ...? Known: ..."`` for an unknown ``name`` among ``names``."""
    known = sorted(names)
    return f"{nearest(name, known)} Known: {', '.join(known) if known else '(none)'}.".lstrip()
