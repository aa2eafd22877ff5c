"""What a record may hold: the range of its numbers, and the size of its files.

The one home of these bounds. Models and decoders refuse what is beyond them, so that a run with such a number fails
when it is written, verification names the number, and a report can draw everything that can be read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = [
    "MAX_BYTES",
    "MAX_COUNT",
    "MAX_RETURN",
    "MAX_SECONDS",
    "MAX_VALUES",
    "MIN_SPAN",
    "Count",
    "Score",
    "Seconds",
    "max_bytes",
]

MAX_RETURN = 1e12
"""Largest team return, and largest reference score, up or down."""

MIN_SPAN = 1e-9
"""Smallest distance of a task's two reference scores, by which returns are divided."""

MAX_SECONDS = 1e10
MAX_COUNT = 10**15

MAX_VALUES = 500_000
"""Values in one JSON file: every one takes up to 200 bytes of memory, however short its text is."""

Score = Annotated[float, Field(ge=-MAX_RETURN, le=MAX_RETURN, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT)]

_MIB = 1 << 20
MAX_BYTES = {
    "SHA256SUMS": 1 << 16,
    "config.json": _MIB,
    "status.json": _MIB,
    "costs.json": 1 << 16,
    "provenance.json": 1 << 16,
    "sharing.json": 32 * _MIB,
    "metrics.jsonl": 64 * _MIB,
    "evaluation.npz": 512 * _MIB,
    "actions.npz": 512 * _MIB,
    "policy.safetensors": 1024 * _MIB,
    "policy_best.safetensors": 1024 * _MIB,
    "suite.json": 4 * _MIB,
    "MANIFEST.json": 16 * _MIB,
}
"""Bytes that a file of a record or a submission may have, by its name."""


def max_bytes(name: str) -> int:
    """Return how many bytes a file of this name may have; names of other versions get what a log may have."""
    return MAX_BYTES.get(name, 64 * _MIB)
