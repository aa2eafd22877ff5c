"""The leaderboard's exceptions; the command line turns each into one line and exit code 2."""

from __future__ import annotations

from adaps_envs.errors import AdapsError, InvalidParameterError

__all__ = ["ConfigError", "ConfigMismatchError", "DamagedRecordError", "DirectoryLockedError", "OutputDirectoryError"]


class ConfigError(InvalidParameterError):
    """A task, suite or run configuration that breaks a rule."""


class ConfigMismatchError(AdapsError, ValueError):
    """A run directory that was written for another configuration than the one asked for."""


class DamagedRecordError(AdapsError, ValueError):
    """A run directory whose files are missing, altered, truncated or not what they claim to be."""


class OutputDirectoryError(AdapsError, OSError):
    """The output directory cannot be created or written: permissions, a full disk, a file in its place."""


class DirectoryLockedError(AdapsError, RuntimeError):
    """Another process is running jobs in this output directory."""
