"""One runner a directory: an advisory lock that the system itself gives back when its process dies."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from baselines.leaderboard.errors import DirectoryLockedError
from baselines.leaderboard.files import writing

__all__ = ["directory_lock"]

LOCK_FILE = ".lock"
# Some network file systems know no locks. Finished runs are never overwritten, so going on without one is safe.
_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for this process; the lock of a dead process is simply free.

    Raises:
        DirectoryLockedError: a living process holds it; the message says which.
        OutputDirectoryError: the lock file cannot be written.
    """
    path = directory / LOCK_FILE
    with writing(path):
        stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held until the lock is given back
    with stream:
        _acquire(stream, directory)
        with writing(path):
            stream.seek(0)
            stream.truncate()
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            stream.flush()
        yield


def _acquire(stream: IO[str], directory: Path) -> None:
    try:
        _lock(stream.fileno())
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return
        stream.seek(0)
        holder = stream.read(200).strip() or "another process"
        raise DirectoryLockedError(
            f"{directory} is in use by {holder}; wait until it has ended, stop it, or choose another --out."
        ) from None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others must be able to read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
