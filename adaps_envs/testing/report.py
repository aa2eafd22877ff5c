"""What a check found: passed, failed, or not applicable to this environment."""

from __future__ import annotations

import contextlib
import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from adaps_envs.errors import AdapsError
from adaps_envs.testing.rollout import ConformanceError

__all__ = [
    "FULL",
    "QUICK",
    "CheckReport",
    "CheckResult",
    "Effort",
    "NotApplicableError",
    "Report",
    "require",
    "run_check",
]


class NotApplicableError(AdapsError):
    """A check says nothing about this environment; the message tells why."""


@dataclass(frozen=True)
class Effort:
    """How long checks look.

    Attributes:
        seeds: how many seeds are compared.
        steps: how many steps are played with each of them; ended episodes start again.
    """

    seeds: int
    steps: int


FULL = Effort(seeds=20, steps=1000)
QUICK = Effort(seeds=3, steps=80)


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome.

    Attributes:
        name: ``group/check``.
        passed: False if the rule is broken.
        message: what was seen; why the check does not apply, if ``skipped``; else empty.
        skipped: the check does not apply, or needs a library that is not installed.
        rule: the rule in one sentence.
        notes: warnings that were raised on the way, each once.
        played: what was really played, in words; empty where the check did not come to its end or plays nothing.
    """

    name: str
    passed: bool
    message: str
    skipped: bool = False
    rule: str = ""
    notes: tuple[str, ...] = ()
    played: str = ""

    @property
    def status(self) -> str:
        """``passed``, ``failed`` or ``skipped``."""
        return "skipped" if self.skipped else "passed" if self.passed else "failed"


class Report(ABC):
    """The results of all checks of something; ``print`` shows one line a check."""

    results: tuple[CheckResult, ...]

    @property
    @abstractmethod
    def subject(self) -> str:
        """What was checked."""

    @property
    def passed(self) -> bool:
        """True if no check failed."""
        return all(result.passed for result in self.results)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if not result.passed)

    def counts(self) -> dict[str, int]:
        """Return how many checks passed, failed and were skipped."""
        statuses = [result.status for result in self.results]
        return {status: statuses.count(status) for status in ("passed", "failed", "skipped")}

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        failed = ", ".join(result.name for result in self.failures)
        return f"<{type(self).__name__} {self.subject}: {counts}{f' ({failed})' if failed else ''}>"

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        lines = [f"{result.name:<{width}}  {result.status:<7}  {result.message}".rstrip() for result in self.results]
        return "\n".join([repr(self), *lines])


@dataclass(frozen=True, repr=False)
class CheckReport(Report):
    """All checks of one environment, and the effort that was asked for; each result says what was really played."""

    env_id: str
    results: tuple[CheckResult, ...]
    effort: Effort = FULL

    @property
    def subject(self) -> str:
        """The environment's id."""
        return self.env_id


def require(holds: bool, message: str) -> None:
    """Raise :class:`ConformanceError` with ``message`` unless ``holds``."""
    if not holds:
        raise ConformanceError(f"{message}.")


def run_check(name: str, check: Callable[..., str], *args: Any) -> CheckResult:
    """Run one check; whatever it raises becomes its outcome, whatever it prints is dropped.

    A check returns what it played, in words.
    """
    rule = (check.__doc__ or "").strip().split("\n")[0]
    with warnings.catch_warnings(record=True) as seen, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        passed, message, skipped, played = _outcome(check, args)
    notes = tuple(dict.fromkeys(str(warning.message).strip() for warning in seen if not _about_us(warning)))
    return CheckResult(name, passed, message, skipped, rule, notes, played)


def _outcome(check: Callable[..., str], args: tuple[Any, ...]) -> tuple[bool, str, bool, str]:
    try:
        played = check(*args)
    except NotApplicableError as reason:
        return True, str(reason), True, ""
    except ConformanceError as error:
        return False, str(error), False, ""
    except Exception as error:  # an environment may break in any way; the other checks still run
        return False, f"{type(error).__name__}: {error}", False, ""
    return True, "", False, played


def _about_us(warning: warnings.WarningMessage) -> bool:
    """Return whether the warning is about how a check is written, not about the environment."""
    return issubclass(warning.category, (DeprecationWarning, ResourceWarning, ImportWarning))
