"""A run directory: what it holds, and how it is read back with every byte checked.

``SHA256SUMS`` lists every other file (``sha256sum -c`` reads it), so a changed byte is noticed.

Reproducible content (configuration, points, returns, actions, weights, sharing, status) and what depends on clock and
machine (``costs.json``, ``provenance.json``) are different files: the former are equal byte for byte between two runs
of one configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from baselines.leaderboard.bounds import max_bytes
from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.files import read_plain_file, sha256_hex
from baselines.leaderboard.records.artifacts import (
    ActionLog,
    Evaluation,
    Weights,
    decode_actions,
    decode_evaluation,
    decode_metrics,
    decode_weights,
)
from baselines.leaderboard.records.metadata_files import (
    SCHEMA,
    Costs,
    Provenance,
    Sharing,
    decode_sidecar,
    versioned_object,
)
from baselines.leaderboard.spec.config import RunConfig, faults_of, seeds_of
from baselines.text import storable

__all__ = [
    "COMMON_FILES",
    "REPRODUCIBLE_FILES",
    "RESULT_FILES",
    "SUMS",
    "Failure",
    "RunRecord",
    "checked_files",
    "check_readable",
    "config_payload",
    "encode_digests",
    "encode_sums",
    "find_runs",
    "read_actions",
    "read_run",
    "read_weights",
]

SUMS = "SHA256SUMS"
COMMON_FILES = ("config.json", "metrics.jsonl", "status.json", "provenance.json", "costs.json")
RESULT_FILES = ("evaluation.npz", "actions.npz", "policy.safetensors", "policy_best.safetensors", "sharing.json")
REPRODUCIBLE_FILES = ("config.json", "metrics.jsonl", "status.json", *RESULT_FILES)

_RUN_NAME = re.compile(r"seed-\d+")
_SUMS_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[A-Za-z0-9_.]+)")


@dataclass(frozen=True)
class Failure:
    """Why a job failed: type and text of the exception, and where it was raised."""

    type: str
    message: str
    traceback: str = ""

    def storable(self) -> Failure:
        """Return it as a record can hold it: texts of exceptions may hold anything, and be of any length."""
        return Failure(storable(self.type, 200), storable(self.message, 5_000), storable(self.traceback, 50_000))


@dataclass(frozen=True)
class RunRecord:
    """A run directory as read back. ``evaluation`` and ``sharing`` are there exactly if ``status`` is ``"done"``."""

    directory: Path
    config: RunConfig
    status: Literal["done", "failed"]
    failure: Failure | None
    evaluation: Evaluation | None
    sharing: Sharing | None
    metrics: list[dict[str, Any]]
    costs: Costs
    provenance: Provenance


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
    config = _read_config(directory, files["config.json"])
    status = _decode(directory, "status.json", files, versioned_object)
    failure = _read_failure(directory, status)
    done = failure is None
    return RunRecord(
        directory=directory,
        config=config,
        status="done" if done else "failed",
        failure=failure,
        evaluation=_decode(directory, "evaluation.npz", files, lambda data: decode_evaluation(data, config.task))
        if done
        else None,
        sharing=_sidecar(directory, "sharing.json", files, Sharing) if done else None,
        metrics=_decode(directory, "metrics.jsonl", files, decode_metrics) if metrics else [],
        costs=_sidecar(directory, "costs.json", files, Costs),
        provenance=_sidecar(directory, "provenance.json", files, Provenance),
    )


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
        if record.status == "done":
            _decode(Path(), "actions.npz", files, lambda data: decode_actions(data, record.config.task))
            for name in ("policy.safetensors", "policy_best.safetensors"):
                _decode(Path(), name, files, decode_weights)
    except DamagedRecordError as error:
        raise ValueError(f"{error.file} cannot be stored: {error.fault}") from None


def checked_files(directory: Path) -> dict[str, bytes]:
    """Return every file that ``SHA256SUMS`` lists, its bytes held to the listed hash.

    Raises:
        DamagedRecordError: naming the file and the fault.
    """
    sums = _read_bytes(directory, SUMS)
    files: dict[str, bytes] = {}
    for number, line in enumerate(sums.decode("ascii", "replace").splitlines(), start=1):
        match = _SUMS_LINE.fullmatch(line)
        if match is None or match["name"] in files:
            raise _damaged(directory, SUMS, f"line {number} is not '<sha256>  <file>' for a new file")
        data = _read_bytes(directory, match["name"])
        if sha256_hex(data) != match["digest"]:
            raise _damaged(directory, match["name"], f"its bytes are not those that {SUMS} lists")
        files[match["name"]] = data
    for name in COMMON_FILES:
        if name not in files:
            raise _damaged(directory, SUMS, f"does not list {name}")
    if sums != encode_sums(files):
        raise _damaged(directory, SUMS, "its lines are not those of the files in alphabetical order")
    return files


def read_actions(record: RunRecord) -> ActionLog:
    """Read the action log of a finished run.

    Raises:
        DamagedRecordError: it is missing or damaged.
    """
    files = checked_files(record.directory)
    return _decode(record.directory, "actions.npz", files, lambda data: decode_actions(data, record.config.task))


def read_weights(record: RunRecord, *, best: bool = False) -> Weights:
    """Read the final policy's weights by parameter name, or the best evaluation point's.

    Raises:
        DamagedRecordError: they are missing or damaged.
    """
    name = "policy_best.safetensors" if best else "policy.safetensors"
    return _decode(record.directory, name, checked_files(record.directory), decode_weights)


def find_runs(out: Path) -> list[Path]:
    """Return every run directory ``<task>/<scheme>/seed-<s>`` below ``out``, sorted; partial ones are not runs."""
    return sorted(path for path in out.glob("*/*/seed-*") if path.is_dir() and _RUN_NAME.fullmatch(path.name))


def encode_sums(files: Mapping[str, bytes]) -> bytes:
    """Return ``SHA256SUMS`` of files given by name; the same files give the same bytes."""
    return encode_digests({name: sha256_hex(data) for name, data in files.items()})


def encode_digests(digests: Mapping[str, str]) -> bytes:
    """Return ``SHA256SUMS`` of files whose hashes are given by name; names are of ASCII."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode("ascii")


def config_payload(config: RunConfig) -> dict[str, Any]:
    """Return the content of ``config.json``: the configuration, its hashes and the seeds that follow from it."""
    return {
        "schema": SCHEMA,
        "digest": config.digest,
        "context_digest": config.context_digest,
        "config": config.model_dump(mode="json"),
        "seeds": seeds_of(config).model_dump(mode="json"),
    }


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


def _decode(directory: Path, name: str, files: Mapping[str, bytes], decoder: Any) -> Any:
    if name not in files:
        raise _damaged(directory, name, "missing")
    try:
        return decoder(files[name])
    except ValueError as error:
        raise _damaged(directory, name, str(error)) from None


def _sidecar(directory: Path, name: str, files: Mapping[str, bytes], model: Any) -> Any:
    return _decode(directory, name, files, lambda data: decode_sidecar(data, model))


def _read_config(directory: Path, data: bytes) -> RunConfig:
    payload = _decode(directory, "config.json", {"config.json": data}, versioned_object)
    try:
        config = RunConfig.model_validate(payload.get("config"))
    except ValidationError as error:
        raise _damaged(directory, "config.json", faults_of(error)) from None
    if payload != {key: value for key, value in config_payload(config).items() if key != "schema"}:
        raise _damaged(directory, "config.json", "digest or seeds do not belong to the configuration")
    return config


def _read_failure(directory: Path, status: dict[str, Any]) -> Failure | None:
    if status.get("status") == "done":
        return None
    error = status.get("error")
    if status.get("status") != "failed" or not isinstance(error, dict):
        raise _damaged(directory, "status.json", f"status is {status.get('status')!r}, neither done nor failed")
    return Failure(**{key: str(error.get(key, "")) for key in ("type", "message", "traceback")})
