"""``check_scheme``: every invariant of a sharing scheme, on teams with equal, unequal and unsorted groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from adaps_agents.schemes import SharingScheme
from adaps_agents.testing import function_checks, memory_checks, preparation_checks, state_checks
from adaps_agents.testing.subject import GROUP_OPTIONS, SchemeCheckError, Subject
from adaps_envs.errors import AdapsError, InvalidParameterError
from adaps_envs.testing import CheckResult, Report

__all__ = ["CHECKS", "SchemeReport", "check_scheme"]

Check = Callable[[Subject], str | None]

TEAMS = ((0, 2, 1, 0, 2, 0, 1), (0, 0, 1, 1))
RECURRENT_TEAM = (1, 0, 1)
STATE_DIM = 3
CHECKS: Mapping[str, Check] = {
    name.removeprefix("check_"): getattr(module, name)
    for module in (function_checks, state_checks, memory_checks, preparation_checks)
    for name in module.__all__
}


@dataclass(frozen=True, repr=False)
class SchemeReport(Report):
    """All checks of one scheme.

    Attributes:
        scheme: its name.
        results: one a check; the message says what was seen where it failed, and why where it does not apply.
    """

    scheme: str
    results: tuple[CheckResult, ...]

    @property
    def subject(self) -> str:
        """The scheme's name."""
        return self.scheme

    def raise_if_failed(self) -> None:
        """Raise SchemeCheckError with every failure, if there is one."""
        failures = [f"{result.name}: {result.message}" for result in self.failures]
        if failures:
            raise SchemeCheckError(f"scheme {self.scheme!r} fails {len(failures)} checks:\n" + "\n".join(failures))


def check_scheme(scheme: str | type[SharingScheme], **scheme_kwargs: Any) -> SchemeReport:
    """Check a scheme's invariants on small teams, with local, centralised and recurrent networks, in about a second.

    Batched forward against a loop over effective parameters, the full-sharing limit, permutation of agents, gradients
    that reach what an agent uses and nothing else, counts, determinism, checkpoints, and compact against dense
    execution; sequences against single steps, and that memory lasts as long as an episode; that preparation tells the
    steps that it spent, and does not look up hidden types. Groups are handed over if the scheme takes ``labels`` or
    ``types``; a scheme that refuses recurrent networks is checked without them.

    Args:
        scheme: registered name, or a class that is not registered yet.
        **scheme_kwargs: options of the scheme; with ``labels`` or ``types`` they make the team.

    Raises:
        UnknownNameError: no such scheme.
        InvalidParameterError: options that the scheme does not take.
    """
    given = next((scheme_kwargs[option] for option in GROUP_OPTIONS if scheme_kwargs.get(option) is not None), None)
    teams = TEAMS if given is None else (tuple(given),)
    subjects = [Subject(scheme, scheme_kwargs, team) for team in teams]
    subjects.append(Subject(scheme, scheme_kwargs, teams[-1], state_dim=STATE_DIM))
    for subject in subjects:
        subject.make()
    with suppress(InvalidParameterError):
        recurrent = Subject(scheme, scheme_kwargs, RECURRENT_TEAM if given is None else teams[0], recurrent="gru")
        recurrent.make()
        subjects.append(recurrent)
    name = scheme if isinstance(scheme, str) else scheme.__name__
    return SchemeReport(name, tuple(_result(check_name, check, subjects) for check_name, check in CHECKS.items()))


def _result(name: str, check: Check, subjects: list[Subject]) -> CheckResult:
    reason: str | None = None
    for subject in subjects:
        try:
            reason = check(subject)
        except AdapsError as error:
            return CheckResult(name, False, f"{error} ({subject})")
        except Exception as error:  # a broken scheme may fail in any way; the other checks still tell something
            return CheckResult(name, False, f"{type(error).__name__}: {error} ({subject})")
    return CheckResult(name, True, f"not applicable: {reason}" if reason else "", skipped=bool(reason))
