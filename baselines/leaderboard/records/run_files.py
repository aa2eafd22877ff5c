"""The table of a run's files. Whatever reads, writes, checks or packs them loops over it.

To store one more value, change its model in ``metadata_files.py``; to store one more file, add it here.
docs/reference/file-formats.md says what a file holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from baselines.leaderboard.files import pretty_json
from baselines.leaderboard.records import artifacts
from baselines.leaderboard.records.artifacts import WeightsFile
from baselines.leaderboard.records.metadata_files import (
    SCHEMA,
    Costs,
    MetadataFile,
    Provenance,
    Sharing,
    Status,
    decode_metadata,
    encode_metadata,
    versioned_object,
)
from baselines.leaderboard.spec.config import RunConfig, faults_of, seeds_of

__all__ = [
    "LEFT_OUT",
    "LIGHT_FILES",
    "LIGHT_SUMS",
    "RUN_FILES",
    "SUMS",
    "RunFile",
    "config_payload",
    "decode_config",
    "files_of",
    "max_bytes",
]

SUMS = "SHA256SUMS"
"""Lists the hash of every file of the table; ``sha256sum -c`` reads it."""

LIGHT_SUMS = "LIGHT256SUMS"
"""Says that a record is light, and lists the hashes of :data:`LIGHT_FILES`; ``sha256sum -c`` reads it."""

_KIB, _MIB = 1 << 10, 1 << 20
_MAX_SUMS_BYTES = 64 * _KIB
_MAX_OTHER_BYTES = 64 * _MIB


@dataclass(frozen=True)
class RunFile:
    """One file of a run.

    Attributes:
        part: what it holds, by its name in ``RunResult`` and ``FinishedRun``.
        encode: from the part to bytes.
        decode: from bytes and the run's configuration to the part; raises ValueError.
        max_bytes: size beyond which it is not read.
        written: from the start of a run on, when it has ended, or only when it has finished without a failure.
        repeats: whether two runs of one configuration on one machine give the same bytes.
        on_demand: whether a record in memory leaves it out, because it is large.
        light: whether a light record has it, too; of the others it keeps the hash.
    """

    name: str
    part: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, RunConfig], Any]
    max_bytes: int
    written: Literal["running", "ended", "finished"]
    repeats: bool = True
    on_demand: bool = False
    light: bool = True


def config_payload(config: RunConfig) -> dict[str, Any]:
    """Return the content of ``config.json``: the configuration, its hashes and the seeds that follow from it."""
    return {
        "schema": SCHEMA,
        "digest": config.digest,
        "context_digest": config.context_digest,
        "config": config.model_dump(mode="json"),
        "seeds": seeds_of(config).model_dump(mode="json"),
    }


def decode_config(data: bytes) -> RunConfig:
    """Read ``config.json``.

    Raises:
        ValueError: it breaks a rule, or its hashes or seeds are not those of the configuration.
    """
    payload = versioned_object(data)
    try:
        config = RunConfig.model_validate(payload.get("config"))
    except ValidationError as error:
        raise ValueError(faults_of(error, RunConfig)) from None
    if {"schema": SCHEMA, **payload} != config_payload(config):
        raise ValueError("digest or seeds do not belong to the configuration")
    return config


def _decode_status(data: bytes, config: RunConfig) -> Status:
    status = decode_metadata(data, Status)
    if status.run_id != config.run_id:
        raise ValueError(f"run_id is {status.run_id!r}; config.json is of {config.run_id!r}")
    return status


def _metadata(model: type[MetadataFile]) -> Callable[[bytes, RunConfig], Any]:
    return lambda data, config: decode_metadata(data, model)


def _encode_weights(weights: WeightsFile) -> bytes:
    return artifacts.encode_weights(weights.arrays, weights.metadata or None)


def _decode_weights(data: bytes, config: RunConfig) -> WeightsFile:
    return WeightsFile(artifacts.decode_weights(data), artifacts.decode_weights_metadata(data))


_TABLE = (
    RunFile(
        "config.json", "config", lambda config: pretty_json(config_payload(config)),
        lambda data, _: decode_config(data), _MIB, "running",
    ),
    RunFile(
        "metrics.jsonl", "metrics", artifacts.encode_metrics, lambda data, _: artifacts.decode_metrics(data),
        64 * _MIB, "running",
    ),
    RunFile(
        "evaluation.npz", "evaluation", artifacts.encode_arrays,
        lambda data, config: artifacts.decode_evaluation(data, config.task),
        512 * _MIB, "finished",
    ),
    RunFile(
        "actions.npz", "actions", artifacts.encode_arrays,
        lambda data, config: artifacts.decode_actions(data, config.task),
        512 * _MIB, "finished",
        on_demand=True, light=False,
    ),
    RunFile(
        "policy.safetensors", "final_weights", _encode_weights, _decode_weights, 1024 * _MIB, "finished",
        on_demand=True, light=False,
    ),
    RunFile(
        "policy_best.safetensors", "best_weights", _encode_weights, _decode_weights, 1024 * _MIB, "finished",
        on_demand=True, light=False,
    ),
    RunFile(
        "sharing.json", "sharing", encode_metadata, _metadata(Sharing), 32 * _MIB, "finished",
    ),
    RunFile(
        "status.json", "status", encode_metadata, _decode_status, _MIB, "ended",
    ),
    RunFile(
        "costs.json", "costs", encode_metadata, _metadata(Costs), 64 * _KIB, "ended",
        repeats=False,
    ),
    RunFile(
        "provenance.json", "provenance", encode_metadata, _metadata(Provenance), 64 * _KIB, "ended",
        repeats=False,
    ),
)  # fmt: skip

RUN_FILES = {file.name: file for file in _TABLE}
"""All files of a run but ``SHA256SUMS``, by name."""

LEFT_OUT = frozenset(file.name for file in _TABLE if not file.light)
"""Files that a light record leaves out; its ``SHA256SUMS`` has their hashes."""

_LIGHT_TABLE = (
    RunFile(
        "actions_final.npz", "final_actions", artifacts.encode_arrays,
        lambda data, config: artifacts.decode_final_actions(data, config.task),
        512 * _MIB, "finished",
        on_demand=True,
    ),
)  # fmt: skip

LIGHT_FILES = {file.name: file for file in _LIGHT_TABLE}
"""Files that a light record has in place of those that it leaves out, by name."""


def files_of(*, failed: bool, light: bool = False) -> list[RunFile]:
    """Return the files that a run which has ended holds; a failed run is never light."""
    table = [*(file for file in _TABLE if file.light), *_LIGHT_TABLE] if light else list(_TABLE)
    return [file for file in table if not failed or file.written != "finished"]


def max_bytes(name: str) -> int:
    """Return how many bytes a file of a run may have; names that other versions gave get what a log may have."""
    if name in (SUMS, LIGHT_SUMS):
        return _MAX_SUMS_BYTES
    file = RUN_FILES.get(name) or LIGHT_FILES.get(name)
    return _MAX_OTHER_BYTES if file is None else file.max_bytes
