"""The typed JSON files beside a run's arrays: what is shared, what it cost, where it comes from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from baselines.leaderboard.bounds import MAX_COUNT, Count, Seconds
from baselines.leaderboard.files import check_storable, parse_json, pretty_json
from baselines.leaderboard.spec.config import faults_of

__all__ = [
    "SCHEMA",
    "Costs",
    "Diagnostics",
    "Provenance",
    "Sharing",
    "decode_sidecar",
    "encode_sidecar",
    "versioned_object",
]

SCHEMA = 1
"""Version of the record layout; a reader refuses any other."""


# A value is a part of its file, which has some levels more.
_MAX_DEPTH = 60


class _Sidecar(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        check_storable(value, _MAX_DEPTH)
        return value


Share = Annotated[float, Field(ge=0, le=1)]


class Diagnostics(_Sidecar):
    """How differently the agents of the final policy act, and who shares what with whom.

    ``snd`` is System Neural Diversity: the mean over pairs of agents, and over ``pool`` observations that are the same
    for all schemes of a task, of the Jensen-Shannon distance (base 2) of their action distributions.
    """

    pool: int = Field(ge=1, le=MAX_COUNT)
    snd: Share
    action_disagreement: Share
    within_type: Share | None
    between_type: Share | None
    within_group: Share | None
    between_group: Share | None
    memory_bytes: int = Field(ge=0, le=MAX_COUNT)
    masks: dict[str, JsonValue]
    sharing: dict[str, JsonValue]


class Sharing(_Sidecar):
    """``sharing.json``: what the scheme shares, counts and found.

    ``assignment`` gives the group of each agent, or null for a scheme that looks for none; ``ari`` compares it with
    ``agent_types``, which are the hidden types and were looked up after training, for this comparison alone.
    ``diagnostics`` is absent from records that were made before it was measured.
    """

    scheme: str
    env_steps: int = Field(ge=0, le=MAX_COUNT)
    identity_steps: int = Field(ge=0, le=MAX_COUNT)
    parameters: dict[str, Count]
    assignment: list[Count] | None
    agent_types: list[Count]
    ari: Annotated[float, Field(ge=-2, le=2)] | None
    summary: dict[str, JsonValue]
    diagnostics: Diagnostics | None = None


class Costs(_Sidecar):
    """``costs.json``: wall and CPU time of the job, evaluation included, and its peak resident memory."""

    started_at: str = ""
    finished_at: str = ""
    wall_seconds: Seconds | None = None
    cpu_seconds: Seconds | None = None
    evaluation_seconds: Seconds | None = None
    peak_memory_bytes: Count | None = None


class Git(_Sidecar):
    """Commit of a source checkout, and whether tracked files were modified."""

    commit: str
    modified: bool


class Provenance(_Sidecar):
    """``provenance.json``: environment (with the digest of a scripted rollout), versions, commit and machine.

    ``variables`` are the environment variables that were set and choose other instructions of the processor, and so
    other roundings; records from before they were noted do not have the key.
    """

    environment: str
    trace_digest: str | None
    packages: dict[str, str]
    git: Git | None
    python: str
    system: str
    machine: str
    processor: str
    cores: Count | None
    variables: dict[str, str] = {}


def encode_sidecar(sidecar: _Sidecar) -> bytes:
    """Return the file: indented JSON with sorted keys."""
    values = sidecar.model_dump(mode="json")
    for name in ("diagnostics", "variables"):
        if name in values and not values[name]:
            del values[name]
    return pretty_json({"schema": SCHEMA, **values})


def decode_sidecar(data: bytes, model: type[_Sidecar]) -> Any:
    """Read a file back into its model.

    Raises:
        ValueError: no JSON object of this schema, or a key missing, unknown or of the wrong type.
    """
    payload = versioned_object(data)
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise ValueError(faults_of(error)) from None


def versioned_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object and take off its schema number.

    Raises:
        ValueError: it is none, or another version wrote it.
    """
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if value.pop("schema", None) != SCHEMA:
        raise ValueError(f"schema is not {SCHEMA}; it was written by another version of this leaderboard")
    return value
