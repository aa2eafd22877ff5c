"""Light records: a run without its weights and without the actions of its absolute episodes.

They are small enough for a repository and still show how the score came about: the actions of the last evaluation can
be replayed. ``SHA256SUMS`` stays as it was, so that the full record, wherever it is, can be told from any other.
``LIGHT256SUMS`` says that files were left out.
"""

from __future__ import annotations

from pathlib import Path

from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.records.artifacts import ActionLog, FinalActions
from baselines.leaderboard.records.reader import checked_files, decode_run, encode_sums, listed_digests
from baselines.leaderboard.records.run_files import LEFT_OUT, LIGHT_FILES, LIGHT_SUMS, RUN_FILES, SUMS
from baselines.leaderboard.records.writer import install_files

__all__ = ["light_files", "write_light_runs"]


def light_files(directory: Path) -> dict[str, bytes]:
    """Return the files of a run's light record by name; a failed or light run stays as it is.

    Raises:
        DamagedRecordError: the run cannot be trusted.
    """
    files = checked_files(directory)
    sums = (directory / SUMS).read_bytes()
    record = decode_run(directory, files, metrics=False)
    if record.light or record.failure is not None:
        return {**files, SUMS: sums}
    log: ActionLog = RUN_FILES["actions.npz"].decode(files["actions.npz"], record.config)
    final = FinalActions(log.final, log.final_lengths)
    instead = {name: file.encode(final) for name, file in LIGHT_FILES.items()}
    kept = {name: data for name, data in files.items() if name not in LEFT_OUT}
    return {**kept, **instead, SUMS: sums, LIGHT_SUMS: encode_sums(instead)}


def write_light_runs(runs: list[Path], source: Path, out: Path) -> int:
    """Write the light records of some runs below ``source`` to the same places below ``out``; return how many are new.

    A run that is there already must be the same.

    Raises:
        DamagedRecordError: a run cannot be trusted.
        OutputDirectoryError: ``out`` has another run in its place, or cannot be written.
    """
    new = 0
    for run in runs:
        place = out / run.relative_to(source)
        if not place.exists():
            install_files(light_files(run), place)
            new += 1
        elif listed_digests(place) != listed_digests(run):
            raise OutputDirectoryError(
                f"{place} is of another run than {run}; it is never overwritten. Move it away, or choose another --out."
            )
    return new
