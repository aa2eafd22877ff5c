"""The leaderboard's exceptions; the command line turns each into one line and exit code 2, or 130."""

from __future__ import annotations

from adaps_envs.errors import AdapsError, InvalidParameterError
from baselines.errors import InterruptedCommandError

__all__ = [
    "ConfigError",
    "ConfigMismatchError",
    "DamagedRecordError",
    "DirectoryLockedError",
    "EngineLostError",
    "InterruptedCommandError",
    "OutputDirectoryError",
]


class ConfigError(InvalidParameterError):
    """A task, suite or run configuration that breaks a rule."""


class ConfigMismatchError(AdapsError, ValueError):
    """A run directory that was written for another configuration than the one asked for."""


class DamagedRecordError(AdapsError, ValueError):
    """A run directory whose files are missing, altered, truncated or not what they claim to be.

    Attributes:
        file: name of the file inside the directory, empty if the fault lies in no single one.
        fault: what is wrong with it, without the advice that the message ends with.
    """

    def __init__(self, message: str, *, file: str = "", fault: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.fault = fault or message


class OutputDirectoryError(AdapsError, OSError):
    """The output directory cannot be created or written: permissions, a full disk, a file in its place."""


class DirectoryLockedError(AdapsError, RuntimeError):
    """Another process is running jobs in this output directory."""


class EngineLostError(AdapsError, RuntimeError):
    """What ran the jobs has failed, and no job is to blame; jobs that have not ended stay open."""
