"""The folder of a site: files are replaced one by one, what an earlier report left over is removed, nothing else is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

from baselines.leaderboard.errors import OutputDirectoryError
from baselines.leaderboard.files import make_directory, sha256_hex, writing
from baselines.leaderboard.records.reader import SUMS, encode_digests

__all__ = ["SiteFolder"]


class SiteFolder:
    """Writes a site. A reader sees the old page or the new one; unlike records, pages can be made again, so the disk is
    not waited for."""

    def __init__(self, root: Path, *, fresh: bool = False) -> None:
        """Open a folder, which is created where it is missing.

        Args:
            root: of the site.
            fresh: refuse a folder that holds files but no site.

        Raises:
            OutputDirectoryError: it cannot be written, or it holds something else.
        """
        self.root = root
        self._digests: dict[str, str] = {}
        self._made: set[Path] = set()
        self._old = self._listed()
        if fresh and not self._old and root.exists() and any(root.iterdir()):
            raise OutputDirectoryError(
                f"{root} is not empty and holds no site; nothing was touched. Choose a new folder, or an old site."
            )
        make_directory(root)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file.

        Args:
            name: its path below the root, with ``/``.
            content: text is stored as UTF-8.

        Raises:
            OutputDirectoryError: it cannot be written.
        """
        data = content.encode() if isinstance(content, str) else content
        self._digests[name] = sha256_hex(data)
        path = self.root / name
        if path.parent not in self._made:
            make_directory(path.parent)
            self._made.add(path.parent)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with writing(path):
            try:
                beside.write_bytes(data)
                os.replace(beside, path)
            finally:
                with suppress(OSError):
                    beside.unlink()

    def finish(self) -> None:
        """Remove the files of the site before that this one does not have, and list what is there in ``SHA256SUMS``."""
        for name in sorted(self._old - self._digests.keys()):
            path = self.root / name
            with suppress(OSError):
                path.unlink()
                for parent in path.relative_to(self.root).parents[:-1]:
                    (self.root / parent).rmdir()
        self.write(SUMS, encode_digests(self._digests))

    def _listed(self) -> set[str]:
        """Return the files of the site that is there; names that lead elsewhere are left alone."""
        names = set()
        with suppress(OSError, UnicodeDecodeError):
            for line in (self.root / SUMS).read_text("utf-8").splitlines():
                name = PurePosixPath(line[66:])
                if name.parts and not name.is_absolute() and ".." not in name.parts:
                    names.add(name.as_posix())
        return names - {SUMS}
