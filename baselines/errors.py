"""Exceptions of the command line that need no extra."""

from __future__ import annotations

from adaps_envs.errors import AdapsError

__all__ = ["InterruptedCommandError"]


class InterruptedCommandError(AdapsError):
    """Ctrl-C or SIGTERM has ended a command; the message says how to go on. The command line's exit code is 130."""
