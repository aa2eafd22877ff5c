"""What a record may hold: the range of its numbers.

The one home of these bounds. Models and decoders refuse what is beyond them, so that a run with such a number fails
when it is written, verification names the number, and a report can draw everything that can be read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = [
    "MAX_COUNT",
    "MAX_RETURN",
    "MAX_SECONDS",
    "MAX_SUITE_BYTES",
    "MAX_VALUES",
    "MIN_SPAN",
    "Count",
    "Score",
    "Seconds",
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

MAX_SUITE_BYTES = 4 << 20
"""Bytes of a suite's file; those of a run's files are in :mod:`~baselines.leaderboard.records.run_files`."""
