"""The strict gate for anybody's PettingZoo environment, and the stricter one for this suite's own.

>>> check_env("BPS-1", max_cycles=10).passed
True
>>> report = check_target("mpe2.simple_spread_v3", select=["parallel/*"])     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from adaps_envs.adapters import make_face
from adaps_envs.adapters.parallel import ParallelFace
from adaps_envs.errors import UnknownNameError, suggest
from adaps_envs.registry import make_batched, spec
from adaps_envs.testing import determinism
from adaps_envs.testing.adapter_checks import FACE_CHECKS
from adaps_envs.testing.library_checks import LIBRARY_CHECKS, PETTINGZOO_CHECKS
from adaps_envs.testing.parallel_checks import PARALLEL_CHECKS
from adaps_envs.testing.report import FULL, CheckReport, CheckResult, Effort, run_check
from adaps_envs.testing.suite_checks import OWN_CHECKS
from adaps_envs.testing.target import Target, resolve

__all__ = ["BATCHED_CHECKS", "GROUPS", "check_env", "check_target", "list_checks"]

BATCHED_CHECKS: Mapping[str, Callable[..., str]] = {
    "lanes_equal_singles": determinism.check_lanes_equal_singles,
    "threads": determinism.check_threads,
    "reseed_equals_fresh": determinism.check_reseed_equals_fresh,
    "stream_continues": determinism.check_stream_continues,
    "snapshot": determinism.check_snapshot,
    "pickle": determinism.check_pickle,
}

GROUPS: Mapping[str, Mapping[str, Callable[..., str]]] = {
    "pettingzoo": PETTINGZOO_CHECKS,
    "parallel": PARALLEL_CHECKS,
    "libraries": LIBRARY_CHECKS,
    "own": OWN_CHECKS,
    "batched": BATCHED_CHECKS,
    "faces": FACE_CHECKS,
}

Job = tuple[str, Callable[..., str], tuple[Any, ...]]


def check_env(env_id: str, **params: Any) -> CheckReport:
    """Run our own rules on one of our ids, and report all failures, not only the first; see also :func:`check_target`.

    Raises:
        UnknownNameError: unknown id.
        InvalidParameterError: an unknown keyword or an illegal value.
    """
    spec(env_id)
    return check_target(env_id, params=params, select=["parallel/*", "own/*", "batched/*"])


def check_target(
    target: str | Callable[..., Any],
    *,
    params: Mapping[str, Any] | None = None,
    effort: Effort = FULL,
    faces: bool = False,
    select: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> CheckReport:
    """Check any PettingZoo environment: PettingZoo's own tests, our gate, and the libraries that are installed.

    Args:
        target: one of our ids, an id of PettingZoo's registry, ``"module:callable"`` or such a callable, or a module
            with ``parallel_env`` or ``env``.
        params: keywords for the environment.
        effort: how long to look, :data:`~adaps_envs.testing.report.FULL` or ``QUICK``.
        faces: also check all faces of one of our ids.
        select: patterns of check names such as ``"parallel/*"``; only those run. None given means all.
        progress: called with each check's name before it runs.

    Raises:
        UnknownNameError: nothing goes by that name, or a pattern fits no check of this target.
        InvalidParameterError: the environment refuses ``params``, or is no PettingZoo environment.
    """
    subject = resolve(target, params)
    jobs = _chosen(list(_jobs(subject, faces)), select)
    results = []
    for name, check, args in jobs:
        if progress is not None:
            progress(name)
        results.append(_run(name, check, args, effort))
    return CheckReport(subject.name, tuple(results), effort)


def list_checks() -> dict[str, str]:
    """Return every check's name and the rule that it holds an environment to."""
    return {
        f"{group}/{name}": (check.__doc__ or "").strip().split("\n")[0]
        for group, checks in GROUPS.items()
        for name, check in checks.items()
    }


def _jobs(subject: Target, faces: bool) -> Iterator[Job]:
    subjects: dict[str, Any] = {"pettingzoo": subject, "parallel": subject.parallel, "libraries": subject}
    if subject.env_id is not None:
        subjects |= _own_subjects(subject.env_id, subject.params)
    for group, checks in GROUPS.items():
        if group not in subjects or (group == "faces" and not faces):
            continue
        for name, check in checks.items():
            special = {"digest": subject.env_id, "light_import": "adaps_envs"} if group == "own" else {}
            if name == "digest" and subject.params:
                continue
            yield f"{group}/{name}", check, (special.get(name, subjects[group]),)


def _own_subjects(env_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
    def batched(num_envs: int, *, num_threads: int = 1) -> Any:
        return make_batched(env_id, num_envs, num_threads=num_threads, **params)

    def parallel(**options: Any) -> ParallelFace:
        face: ParallelFace = make_face("parallel", env_id, **{**params, **options})
        return face

    def face(api: str, **options: Any) -> Any:
        return make_face(api, env_id, **{**params, **options})

    return {"own": parallel, "batched": batched, "faces": face}


def _chosen(jobs: list[Job], select: Sequence[str]) -> list[Job]:
    for pattern in select:
        if not any(fnmatchcase(name, pattern) for name, _, _ in jobs):
            names = [name for name, _, _ in jobs]
            raise UnknownNameError(f"no check of this environment fits {pattern!r}. {suggest(pattern, names)}")
    return [job for job in jobs if not select or any(fnmatchcase(job[0], pattern) for pattern in select)]


def _run(name: str, check: Callable[..., str], args: tuple[Any, ...], effort: Effort) -> CheckResult:
    if name.startswith("batched/"):  # they look at a fixed number of steps
        return run_check(name, check, *args)
    result = run_check(name, check, *args, effort)
    return replace(result, notes=tuple(note for note in result.notes if "no_such_option" not in note))
