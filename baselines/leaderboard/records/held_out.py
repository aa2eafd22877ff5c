"""Scores in held-out episodes, drawn when a row was added to a board: ``held_out.json``, next to its runs.

The episodes of a record are public while it is made, so a policy can be fitted to them. These are drawn afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from baselines.leaderboard.bounds import MAX_COUNT, Score
from baselines.leaderboard.errors import DamagedRecordError
from baselines.leaderboard.files import read_plain_file, replace_file
from baselines.leaderboard.records.metadata_files import MetadataFile, decode_metadata, encode_metadata
from baselines.leaderboard.records.reader import FinishedRun, RunRecord, find_runs, listed_digests, read_run
from baselines.leaderboard.spec.config import HELD_OUT, StoredModel

__all__ = ["MOST_LUCK", "HeldOut", "copy_held_out", "held_out_of", "read_held_out", "write_held_out"]

MOST_LUCK = 0.1
"""By how much the ARI of a row with a rank may lie above that of its identity phase with other seeds."""

_MAX_BYTES = 16 << 20
_POLICY = "policy.safetensors"


class HeldOut(StoredModel):
    """Mean team return of a run's final policy in held-out episodes, played as its task is scored.

    ``weights`` is the SHA-256 of the policy; the episodes and their noise follow from ``seed``. ``ari`` is how well the
    groups agree with the hidden types that its identity phase finds with other run seeds, which follow from ``seed``,
    too: their mean adjusted Rand index, None where no such phases were run. ``retrained``: it was drawn to be trained
    again, with the same bytes.
    """

    weights: str = Field(pattern="^[0-9a-f]{64}$")
    seed: Annotated[int, Field(ge=0, lt=1 << 62)]
    episodes: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    mean: Score
    ari: Annotated[float, Field(ge=-1, le=1)] | None = None
    retrained: bool = False


class _File(MetadataFile):
    runs: dict[str, HeldOut]


def held_out_of(record: FinishedRun, seed: int, returns: NDArray[np.float64], aris: Sequence[float] = ()) -> HeldOut:
    """Return what is stored of returns ``[N]`` in the held-out episodes of a seed, and of the ARIs of other phases."""
    weights = listed_digests(record.directory)[_POLICY]
    ari = float(np.mean(aris)) if len(aris) else None
    return HeldOut(weights=weights, seed=seed, episodes=len(returns), mean=float(returns.mean()), ari=ari)


def read_held_out(out: Path, records: Iterable[RunRecord]) -> dict[str, HeldOut]:
    """Return what is stored of the finished runs among ``records``, by run; nothing where there is no file.

    Raises:
        DamagedRecordError: it cannot be read, or tells of another policy of a run.
    """
    try:
        stored = decode_metadata(read_plain_file(out / HELD_OUT, _MAX_BYTES), _File).runs
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _damaged(out, str(error)) from None
    # A run that was taken off the board leaves its entry behind.
    found = {}
    for record in records:
        run = record.config.run_id
        if isinstance(record, FinishedRun) and run in stored:
            if listed_digests(record.directory)[_POLICY] != stored[run].weights:
                raise _damaged(out, f"it tells of another {_POLICY} of {run}")
            found[run] = stored[run]
    return found


def write_held_out(out: Path, runs: Mapping[str, HeldOut]) -> None:
    """Write the file, in the order of the runs' names."""
    replace_file(out / HELD_OUT, encode_metadata(_File(runs=dict(sorted(runs.items())))))


def copy_held_out(source: Path, out: Path) -> None:
    """Copy what is stored of the runs that ``out`` has; what is there already stays."""
    records = [read_run(path, metrics=False) for path in find_runs(out)]
    if copied := read_held_out(source, records):
        write_held_out(out, {**copied, **read_held_out(out, records)})


def _damaged(out: Path, fault: str) -> DamagedRecordError:
    message = f"damaged {out / HELD_OUT}: {fault}. Move it away, and add the submissions again with --deep."
    return DamagedRecordError(message, file=HELD_OUT, fault=fault)
