"""The typed JSON files of a run: how it ended, what is shared, what it cost, where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError, model_validator

from baselines.leaderboard.bounds import MAX_COUNT, Count, Seconds
from baselines.leaderboard.files import parse_json, pretty_json
from baselines.leaderboard.spec.config import StoredModel, faults_of
from baselines.text import storable

__all__ = [
    "SCHEMA",
    "Costs",
    "Diagnostics",
    "Failure",
    "MetadataFile",
    "Provenance",
    "Sharing",
    "Status",
    "decode_metadata",
    "encode_metadata",
    "versioned_object",
]

SCHEMA = 1
"""Version of the layout of a stored JSON file; a file that has changed since has a version of its own."""

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""From the content of a file of one version to that of the next."""


class MetadataFile(StoredModel):
    """A typed JSON file. To change what one stores, raise its ``schema_version`` and add a step to its ``upgrades``.

    Attributes:
        schema_version: the version that is written.
        upgrades: by earlier version, the step to the next one.
    """

    schema_version: ClassVar[int] = SCHEMA
    upgrades: ClassVar[Mapping[int, Upgrade]] = MappingProxyType({})


Share = Annotated[float, Field(ge=0, le=1)]


class Diagnostics(StoredModel):
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


@dataclass(frozen=True)
class Failure:
    """Why a job failed: type and text of the exception, and where it was raised."""

    type: str
    message: str
    traceback: str = ""

    def storable(self) -> Failure:
        """Return it as a record can hold it: texts of exceptions may hold anything, and be of any length."""
        return Failure(storable(self.type, 200), storable(self.message, 5_000), storable(self.traceback, 50_000))


class Status(MetadataFile):
    """``status.json``: how the run ended, and why if it failed."""

    optional = frozenset({"error"})

    run_id: str
    status: Literal["done", "failed"]
    error: Failure | None = None

    @model_validator(mode="after")
    def _check(self) -> Status:
        if (self.status == "failed") != (self.error is not None):
            raise ValueError("a failed run gives an error, and no other run does")
        return self


class Sharing(MetadataFile):
    """``sharing.json``: what the scheme shares, counts and found.

    ``assignment`` gives the group of each agent, or null for a scheme that looks for none; ``ari`` compares it with
    ``agent_types``, which are the hidden types and were looked up after training, for this comparison alone.
    ``diagnostics`` is None where nothing was measured.
    """

    optional = frozenset({"diagnostics"})

    scheme: str
    env_steps: int = Field(ge=0, le=MAX_COUNT)
    identity_steps: int = Field(ge=0, le=MAX_COUNT)
    parameters: dict[str, Count]
    assignment: list[Count] | None
    agent_types: list[Count]
    ari: Annotated[float, Field(ge=-2, le=2)] | None
    summary: dict[str, JsonValue]
    diagnostics: Diagnostics | None = None


class Costs(MetadataFile):
    """``costs.json``: wall and CPU time of the job, evaluation included, and its peak resident memory."""

    started_at: str = ""
    finished_at: str = ""
    wall_seconds: Seconds | None = None
    cpu_seconds: Seconds | None = None
    evaluation_seconds: Seconds | None = None
    peak_memory_bytes: Count | None = None


class Git(StoredModel):
    """Commit of a source checkout, and whether tracked files were modified."""

    commit: str
    modified: bool


class Provenance(MetadataFile):
    """``provenance.json``: environment (with the digest of a scripted rollout), versions, commit and machine.

    ``variables`` are the environment variables that were set and choose other instructions of the processor, and so
    other roundings.
    """

    optional = frozenset({"variables"})

    environment: str
    trace_digest: str | None
    packages: dict[str, str]
    git: Git | None
    python: str
    system: str
    machine: str
    processor: str
    cores: Count | None
    variables: dict[str, str] = Field({})


def encode_metadata(values: MetadataFile) -> bytes:
    """Return the file: indented JSON with sorted keys."""
    return pretty_json({"schema": values.schema_version, **values.model_dump(mode="json")})


Metadata = TypeVar("Metadata", bound=MetadataFile)


def decode_metadata(data: bytes, model: type[Metadata]) -> Metadata:
    """Read a file back into its model; a file of an earlier version is upgraded step by step.

    Raises:
        ValueError: no JSON object of a version that can be read, or a key missing, unknown or of the wrong type.
    """
    try:
        return model.model_validate(versioned_object(data, model.schema_version, model.upgrades))
    except ValidationError as error:
        raise ValueError(faults_of(error, model)) from None


def versioned_object(
    data: bytes, version: int = SCHEMA, upgrades: Mapping[int, Upgrade] = MappingProxyType({})
) -> dict[str, Any]:
    """Parse a JSON object, take off its schema number, and bring it from an earlier version to this one.

    Raises:
        ValueError: it is none, or another version wrote it to which no upgrades lead.
    """
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    found = value.pop("schema", None)
    while isinstance(found, int) and found in upgrades:
        value, found = upgrades[found](value), found + 1
    if found != version:
        raise ValueError(f"schema is not {version}; it was written by another version of this leaderboard")
    return value
