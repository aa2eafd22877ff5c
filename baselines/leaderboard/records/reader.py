"""A run directory: what it holds, and how it is read back with every byte checked.

``SHA256SUMS`` lists every other file (``sha256sum -c`` reads it), so a changed byte is noticed. A light record leaves
out the large ones and has ``LIGHT256SUMS``, which says so; see :mod:`~baselines.leaderboard.records.light`.

Reproducible content (configuration, points, returns, actions, weights, sharing, status) and what depends on clock and
machine (``costs.json``, ``provenance.json``) are different files: the former are equal byte for byte between two runs
of one configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.files import read_plain_file, sha256_hex
from baselines.leaderboard.records.artifacts import (
    ActionLog,
    Evaluation,
    FinalActions,
    Weights,
    WeightsFile,
)
from baselines.leaderboard.records.metadata_files import Costs, Failure, Provenance, Sharing, Status
from baselines.leaderboard.records.run_files import (
    LEFT_OUT,
    LIGHT_FILES,
    LIGHT_SUMS,
    RUN_FILES,
    SUMS,
    decode_config,
    files_of,
    max_bytes,
)
from baselines.leaderboard.spec.config import RESERVED_NAMES, RunConfig

__all__ = [
    "REPRODUCIBLE_FILES",
    "SUMS",
    "FailedRun",
    "Failure",
    "FinishedRun",
    "RunRecord",
    "check_readable",
    "checked_files",
    "encode_digests",
    "encode_sums",
    "find_runs",
    "listed_digests",
    "places_of_runs",
    "read_actions",
    "read_final_actions",
    "read_run",
    "read_weights",
]

REPRODUCIBLE_FILES = tuple(file.name for file in RUN_FILES.values() if file.repeats)
"""Files that two runs of one configuration on one machine give the same bytes."""

_RUN_NAME = re.compile(r"seed-\d+")
_SUMS_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[A-Za-z0-9_.]+)")


@dataclass(frozen=True)
class _Run:
    directory: Path
    config: RunConfig
    metrics: list[dict[str, Any]]
    costs: Costs
    provenance: Provenance
    light: bool


@dataclass(frozen=True)
class FinishedRun(_Run):
    """A run that has a result; :func:`read_actions` and :func:`read_weights` give what is too large to be held."""

    status: ClassVar[Literal["done"]] = "done"
    failure: ClassVar[None] = None
    evaluation: Evaluation
    sharing: Sharing


@dataclass(frozen=True)
class FailedRun(_Run):
    """A run that failed."""

    status: ClassVar[Literal["failed"]] = "failed"
    evaluation: ClassVar[None] = None
    sharing: ClassVar[None] = None
    failure: Failure


RunRecord = FinishedRun | FailedRun
"""A run directory as read back."""


def read_run(directory: Path, *, metrics: bool = True) -> RunRecord:
    """Read a run directory and check every file against ``SHA256SUMS``, the schema and the configuration.

    Args:
        directory: of the run.
        metrics: whether to parse ``metrics.jsonl``, too, the slowest of all; if not, ``metrics`` is empty.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    return decode_run(directory, checked_files(directory), metrics=metrics)


def decode_run(directory: Path, files: Mapping[str, bytes], *, metrics: bool = True) -> RunRecord:
    """Return the run whose files, by name, are given, as :func:`read_run` does.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    try:
        config = decode_config(files["config.json"])
    except ValueError as error:
        raise _damaged(directory, "config.json", str(error)) from None
    status: Status = _decode(directory, "status.json", files, config)
    light = LIGHT_SUMS in files
    parts = {
        file.part: _decode(directory, file.name, files, config)
        for file in files_of(failed=status.status == "failed", light=light)
        if not file.on_demand and file.part not in ("config", "status", "metrics")
    }
    parts["metrics"] = _decode(directory, "metrics.jsonl", files, config) if metrics else []
    if status.error is not None:
        return FailedRun(directory, config, light=light, failure=status.error, **parts)
    return FinishedRun(directory, config, light=light, **parts)


def check_readable(files: Mapping[str, bytes]) -> None:
    """Hold the files of a run, by name, to what every reader asks of them, before they are written.

    Raises:
        ValueError: naming the file that could not be read back, and why.
    """
    for name, data in files.items():
        if len(data) > max_bytes(name):
            raise ValueError(f"{name} cannot be stored: {len(data):,} bytes, at most {max_bytes(name):,} are read")
    try:
        record = decode_run(Path(), files)
        for file in files_of(failed=record.failure is not None):
            if file.on_demand:
                _decode(Path(), file.name, files, record.config)
    except DamagedRecordError as error:
        raise ValueError(f"{error.file} cannot be stored: {error.fault}") from None


def checked_files(directory: Path) -> dict[str, bytes]:
    """Return every file that ``SHA256SUMS`` lists, its bytes held to the listed hash.

    Of a light record, those that it leaves out are missing; those in their place, and ``LIGHT256SUMS``, are there.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    listed = listed_digests(directory)
    for file in files_of(failed=True):
        if file.name not in listed:
            raise _damaged(directory, SUMS, f"does not list {file.name}")
    light = _light_sums(directory)
    if light is None:
        return _hashed(directory, listed, SUMS)
    for name in sorted(LEFT_OUT):
        if name not in listed:
            raise _damaged(directory, SUMS, f"does not list {name}, which a light record leaves out")
    kept = {name: digest for name, digest in listed.items() if name not in LEFT_OUT}
    instead = _digests(directory, LIGHT_SUMS, light)
    if instead.keys() != LIGHT_FILES.keys():
        raise _damaged(directory, LIGHT_SUMS, f"lists {', '.join(instead)}, not {', '.join(LIGHT_FILES)}")
    return {
        **_hashed(directory, kept, SUMS),
        **_hashed(directory, instead, LIGHT_SUMS),
        LIGHT_SUMS: light,
    }


def listed_digests(directory: Path) -> dict[str, str]:
    """Return the hashes that ``SHA256SUMS`` lists, by name, those of left-out files included.

    Raises:
        DamagedRecordError: it is missing, or not laid out as it is written.
    """
    return _digests(directory, SUMS, _read_bytes(directory, SUMS))


def _light_sums(directory: Path) -> bytes | None:
    try:
        return read_plain_file(directory / LIGHT_SUMS, max_bytes(LIGHT_SUMS))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(directory, LIGHT_SUMS, str(error)) from None


def _digests(directory: Path, name: str, sums: bytes) -> dict[str, str]:
    digests: dict[str, str] = {}
    for number, line in enumerate(sums.decode("ascii", "replace").splitlines(), start=1):
        match = _SUMS_LINE.fullmatch(line)
        if match is None or match["name"] in digests:
            raise _damaged(directory, name, f"line {number} is not '<sha256>  <file>' for a new file")
        digests[match["name"]] = match["digest"]
    if sums != encode_digests(digests):
        raise _damaged(directory, name, "its lines are not those of the files in alphabetical order")
    return digests


def _hashed(directory: Path, digests: Mapping[str, str], sums: str) -> dict[str, bytes]:
    files = {}
    for name, digest in digests.items():
        files[name] = _read_bytes(directory, name)
        if sha256_hex(files[name]) != digest:
            raise _damaged(directory, name, f"its bytes are not those that {sums} lists")
    return files


def read_actions(record: FinishedRun) -> ActionLog:
    """Read the action log of a finished run that is not light; raises DamagedRecordError."""
    log: ActionLog = _read_part(record, "actions.npz")
    return log


def read_final_actions(record: FinishedRun) -> FinalActions:
    """Read the actions of the last evaluation of a finished run, light or not; raises DamagedRecordError."""
    actions: FinalActions = _read_part(record, "actions_final.npz" if record.light else "actions.npz")
    return actions


def read_weights(record: FinishedRun, *, best: bool = False) -> Weights:
    """Read the final policy's weights by parameter name, or the best ones, of a run that is not light.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    weights: WeightsFile = _read_part(record, "policy_best.safetensors" if best else "policy.safetensors")
    return weights.arrays


def find_runs(out: Path) -> list[Path]:
    """Return every run directory ``<task>/<scheme>/seed-<s>`` below ``out``, sorted; partial ones are not runs."""
    return [path for path in places_of_runs(out) if path.is_dir() and _RUN_NAME.fullmatch(path.name)]


def places_of_runs(out: Path) -> list[Path]:
    """Return what lies where runs do, sorted, the leaderboard's own folders (``site``, ``logs``, ...) left out."""
    return sorted(path for path in out.glob("*/*/seed-*") if path.parts[-3].casefold() not in RESERVED_NAMES)


def encode_sums(files: Mapping[str, bytes]) -> bytes:
    """Return ``SHA256SUMS`` of files given by name; the same files give the same bytes."""
    return encode_digests({name: sha256_hex(data) for name, data in files.items()})


def encode_digests(digests: Mapping[str, str]) -> bytes:
    """Return ``SHA256SUMS`` of files whose hashes are given by name; names are of ASCII."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode("ascii")


def _damaged(directory: Path, name: str, fault: str) -> DamagedRecordError:
    message = f"damaged run {directory}: {name}: {fault}. Move the directory away to have this run repeated."
    return DamagedRecordError(message, file=name, fault=fault)


def _read_bytes(directory: Path, name: str) -> bytes:
    try:
        return read_plain_file(directory / name, max_bytes(name))
    except FileNotFoundError:
        raise _damaged(directory, name, "missing") from None
    except ValueError as error:
        raise _damaged(directory, name, str(error)) from None


def _read_part(record: FinishedRun, name: str) -> Any:
    return _decode(record.directory, name, checked_files(record.directory), record.config)


def _decode(directory: Path, name: str, files: Mapping[str, bytes], config: RunConfig) -> Any:
    if name not in files:
        raise _damaged(
            directory, name, "missing" if LIGHT_SUMS not in files else "left out, because the record is light"
        )
    try:
        return {**RUN_FILES, **LIGHT_FILES}[name].decode(files[name], config)
    except ValueError as error:
        raise _damaged(directory, name, str(error)) from None
