"""One runner a directory: an advisory lock that the system itself gives back when its process dies."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

from baselines.leaderboard.errors import DirectoryLockedError
from baselines.leaderboard.files import writing

__all__ = ["directory_lock"]

LOCK_FILE = ".lock"
# What the systems answer where another process holds the lock.
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
# Some network file systems know no locks. Finished runs are never overwritten, so going on without one is safe.
_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def directory_lock(directory: Path, shard: tuple[int, int] = (1, 1)) -> Iterator[None]:
    """Hold ``directory``, or one shard of its jobs, for this process; the lock of a dead process is simply free.

    Shards go side by side, each held once, but not beside a process that holds the whole directory.

    Raises:
        DirectoryLockedError: a living process holds it; the message says which.
        OutputDirectoryError: the lock file cannot be written, or the system refuses to lock it for another reason.
    """
    with ExitStack() as held:
        whole = shard == (1, 1)
        _hold(held, directory, directory / LOCK_FILE, shared=not whole)
        if not whole:
            _hold(held, directory, directory / f"{LOCK_FILE}-{shard[0]}-of-{shard[1]}", shared=False)
        yield


def _hold(held: ExitStack, directory: Path, path: Path, *, shared: bool) -> None:
    with writing(path):
        # Unbuffered: what a full disk refuses must not be tried again when the file is closed.
        stream = held.enter_context(open(path, "a+b", buffering=0))  # noqa: SIM115 - the stack closes it
    _acquire(stream, directory, shared)
    if not shared:
        with writing(path):
            stream.seek(0)
            stream.truncate()
            stream.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())


def _acquire(stream: FileIO, directory: Path, shared: bool) -> None:
    try:
        _lock(stream.fileno(), shared)
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return
        if error.errno not in _HELD:
            with writing(directory / LOCK_FILE):
                raise
        stream.seek(0)
        holder = (stream.read(200) or b"").decode(errors="replace").strip() or "another process"
        raise DirectoryLockedError(
            f"{directory} is in use by {holder}; wait until it has ended, stop it, or choose another --out."
        ) from None


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, shared: bool) -> None:
        if shared:
            return  # there are no shared locks; shards are held apart by their own files
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others must be able to read
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
