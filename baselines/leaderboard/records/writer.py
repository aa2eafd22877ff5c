"""Writing a run directory once, in one step.

While a job works, its files lie in ``seed-<s>.partial-<pid>-<host>`` beside the place where they will go. When it is
done, or has failed for a reason of its own, the directory is renamed; half a record never has the final name.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.files import finite_or_null, fsync_directory, make_directory, write_file, writing
from baselines.leaderboard.records.artifacts import (
    ActionLog,
    Evaluation,
    WeightsFile,
    decode_metrics,
    encode_metrics,
)
from baselines.leaderboard.records.checkpoints import remove_checkpoint
from baselines.leaderboard.records.metadata_files import Costs, Failure, Provenance, Sharing, Status
from baselines.leaderboard.records.reader import check_readable, encode_sums, read_run
from baselines.leaderboard.records.run_files import RUN_FILES, SUMS, files_of
from baselines.leaderboard.spec.config import RunConfig

__all__ = [
    "UNFINISHED_NAME",
    "RunResult",
    "RunWriter",
    "install_files",
    "install_run",
    "partials_of",
    "remove_stale_partials",
]

_HOST = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())[:40] or "host"
UNFINISHED_NAME = re.compile(r"seed-\d+\.(checkpoint|(partial|replaced)-(?P<pid>\d+)-(?P<host>[A-Za-z0-9-]+))")


@dataclass(frozen=True)
class RunResult:
    """What a finished job hands over; its metrics have been written line by line already."""

    evaluation: Evaluation
    actions: ActionLog
    final_weights: WeightsFile
    best_weights: WeightsFile
    sharing: Sharing


@dataclass
class RunWriter:
    """Writes one run directory; use :meth:`finish` or :meth:`fail` exactly once, or :meth:`abandon`.

    Raises:
        OutputDirectoryError: from every method, when the disk refuses.
    """

    directory: Path
    config: RunConfig
    _metrics: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pid = os.getpid()
        self.partial = _beside(self.directory, "partial")
        make_directory(self.partial)
        try:
            write_file(self.partial / "config.json", RUN_FILES["config.json"].encode(self.config))
        except OutputDirectoryError:
            self.abandon()
            raise

    def add_evaluation(self, metrics: dict[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``, at once readable for those who watch the partial directory.

        Raises:
            ValueError: it holds what no reader would take; it is left out.
        """
        line = encode_metrics([metrics])
        try:
            decode_metrics(line)
        except ValueError as error:
            raise ValueError(f"the metrics of an evaluation step cannot be stored: {error}") from None
        self._end_copies()
        self._metrics.append(metrics)
        path = self.partial / "metrics.jsonl"
        with writing(path), open(path, "ab") as stream:
            stream.write(line)

    def resume(self, metrics: list[dict[str, Any]]) -> None:
        """Take over the lines of an interrupted run before any other is added."""
        self._metrics = list(metrics)
        write_file(self.partial / "metrics.jsonl", encode_metrics(self._metrics))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` so far, as they are read back: what is not finite is None."""
        return [finite_or_null(line) for line in self._metrics]

    def finish(self, result: RunResult, costs: Costs, provenance: Provenance) -> None:
        """Write all results and put the directory in its place.

        Raises:
            ValueError: a file holds what no reader would take; nothing is written, and :meth:`fail` can still be used.
        """
        self._commit(Status(run_id=self.config.run_id, status="done"), costs, provenance, vars(result))

    def fail(self, failure: Failure, costs: Costs, provenance: Provenance) -> None:
        """Write that the job failed, and why, and put the directory in its place; nothing else need be there yet."""
        status = Status(run_id=self.config.run_id, status="failed", error=failure.storable())
        self.abandon()
        make_directory(self.partial)
        self._commit(status, costs, provenance, {})

    def abandon(self) -> None:
        """Remove what was written so far."""
        self._end_copies()
        shutil.rmtree(self.partial, ignore_errors=True)
        with suppress(OSError):
            self.partial.unlink()  # a scheme may have put a file there

    def _end_copies(self) -> None:
        """End a copy of this process, forked by a scheme, before it touches the files of the original."""
        if os.getpid() != self._pid:
            os._exit(1)

    def _commit(self, status: Status, costs: Costs, provenance: Provenance, results: Mapping[str, Any]) -> None:
        self._end_copies()
        common = {"config": self.config, "metrics": self._metrics, "status": status, "costs": costs}
        parts = {**common, "provenance": provenance, **results}
        files = {file.name: file.encode(parts[file.part]) for file in files_of(failed=status.error is not None)}
        check_readable(files)
        for name, data in {**files, SUMS: encode_sums(files)}.items():
            write_file(self.partial / name, data)
        _put_in_place(self.partial, self.directory)


def install_run(source: Path, directory: Path) -> None:
    """Copy the files of a verified run directory to ``directory`` in one step; see :func:`install_files`."""
    with writing(directory):
        files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    install_files(files, directory)


def install_files(files: Mapping[str, bytes], directory: Path) -> None:
    """Write the files of a run, by name, to ``directory`` in one step; a failed record there gives way.

    Raises:
        OutputDirectoryError: a finished run is there already, or the disk refuses; nothing is left behind.
    """
    partial = _beside(directory, "partial")
    make_directory(partial)
    try:
        for name, data in sorted(files.items()):
            write_file(partial / name, data)
        _put_in_place(partial, directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def remove_stale_partials(out: Path) -> list[Path]:
    """Remove directories that dead processes of this machine left behind; return them. Hold the lock of ``out``."""
    removed = []
    for path in sorted(out.glob("*/*/seed-*.*")):
        match = UNFINISHED_NAME.fullmatch(path.name)
        if match and match["host"] == _HOST and not _alive(int(match["pid"])):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed


def partials_of(out: Path, pid: int) -> list[Path]:
    """Return the unfinished directories of one process of this machine."""
    return [path for path in out.glob(f"*/*/seed-*.*-{pid}-{_HOST}") if UNFINISHED_NAME.fullmatch(path.name)]


def _put_in_place(partial: Path, directory: Path) -> None:
    with writing(directory):
        fsync_directory(partial)
        replaced = _move_failed_away(directory)
        os.rename(partial, directory)
        fsync_directory(directory.parent)
    remove_checkpoint(directory)
    if replaced is not None:
        shutil.rmtree(replaced, ignore_errors=True)


def _move_failed_away(directory: Path) -> Path | None:
    """A failed record gives way to a retry; any other record stays, and the rename is refused."""
    if not directory.exists():
        return None
    if read_run(directory).status != "failed":
        raise OutputDirectoryError(f"{directory} holds a finished run already; it is kept as it is.")
    replaced = _beside(directory, "replaced")
    os.rename(directory, replaced)
    return replaced


def _beside(directory: Path, kind: str) -> Path:
    return directory.with_name(f"{directory.name}.{kind}-{os.getpid()}-{_HOST}")


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end the process there; better to leave a directory behind
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Dead, but not yet collected by its parent, which in a container may take for ever."""
    with suppress(OSError, IndexError):
        # The state follows the command, which is in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False
