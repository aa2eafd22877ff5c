"""Canonical JSON, hashes and durable writes: what every other file of the leaderboard stores things with."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from baselines.leaderboard.bounds import MAX_VALUES
from baselines.leaderboard.errors import OutputDirectoryError

__all__ = [
    "canonical_json",
    "check_storable",
    "check_values",
    "finite_or_null",
    "fsync_directory",
    "make_directory",
    "parse_json",
    "pretty_json",
    "read_plain_file",
    "replace_file",
    "sha256_hex",
    "write_file",
    "writing",
]

_MAX_DEPTH = 64
_MAX_DIGITS = 24
_DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT}


def canonical_json(value: Any) -> bytes:
    """Return the one byte string that stands for ``value``: sorted keys, no blanks, ASCII, no NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def pretty_json(value: Any) -> bytes:
    """Return ``value`` as indented JSON with sorted keys and a final newline; the same value gives the same bytes."""
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")


def finite_or_null(value: Any) -> Any:
    """Return ``value`` with every NaN and infinity in it replaced by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: finite_or_null(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_null(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse_json(data: bytes | str) -> Any:
    """Parse strict JSON that every later step can hold: print, hash, store in 64 bits.

    Raises:
        ValueError: no JSON, a key given twice, one of the extensions ``NaN`` and ``Infinity``, a number that fits no
            64-bit integer or float, text with half a character (a lone surrogate), more than 64 levels, or so many
            values that they would fill the memory.
    """
    check_values(data)
    try:
        value = json.loads(
            data,
            object_pairs_hook=_unique_keys,
            parse_constant=_reject_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_storable(value)
    return value


def check_values(data: bytes | str) -> None:
    """Refuse JSON with too many values before any of them takes memory; what separates them in text counts, too.

    Raises:
        ValueError: there are more than :data:`~baselines.leaderboard.bounds.MAX_VALUES`.
    """
    # A value that is not the first of a list or an object follows a comma.
    if isinstance(data, str):
        found = sum(data.count(mark) for mark in ",[{")
    else:
        found = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if found > MAX_VALUES:
        raise ValueError(f"it holds {found:,} values; at most {MAX_VALUES:,} are read")


def check_storable(value: Any, depth: int = _MAX_DEPTH) -> None:
    """Hold a JSON value to what :func:`parse_json` reads back, without recursion: the nesting comes from outside.

    Args:
        value: of dicts, lists, tuples, text, numbers, booleans and None; anything else is left to others.
        depth: levels that it may have.

    Raises:
        ValueError: a number that fits no 64-bit integer or finite float, text with half a character, too many levels.
    """
    level = [value]
    for _ in range(depth):
        inner: list[Any] = []
        for entry in level:
            if isinstance(entry, str):
                _check_text(entry)
            elif isinstance(entry, int) and not -(1 << 63) <= entry < 1 << 63:
                raise ValueError(f"the number {_shortened(entry)} does not fit 64 bits")
            elif isinstance(entry, float) and not math.isfinite(entry):
                raise ValueError("NaN and infinity are not allowed")
            elif isinstance(entry, dict):
                inner += [*entry, *entry.values()]
            elif isinstance(entry, (list, tuple)):
                inner += entry
        if not inner:
            return
        level = inner
    raise ValueError("nested too deeply")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn any operating system error while writing ``path`` into an :class:`OutputDirectoryError` that names it."""
    try:
        yield
    except OutputDirectoryError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputDirectoryError(
            f"cannot write {path}: {reason}{_circumstances(path, error)}. Results written before are intact; "
            f"{_way_out(error)} or choose another --out, then run the same command again."
        ) from error


def _circumstances(path: Path, error: OSError) -> str:
    if error.errno not in _DISK_IS_FULL:
        return ""
    with suppress(OSError, StopIteration):
        usage = shutil.disk_usage(next(parent for parent in path.parents if parent.exists()))
        return f" ({usage.free:,} of {usage.total:,} bytes are free)"
    return ""


def _way_out(error: OSError) -> str:
    if error.errno in _DISK_IS_FULL:
        return "free space"
    return "mount the disk for writing" if error.errno == errno.EROFS else "mend the permissions"


def make_directory(path: Path) -> None:
    """Create ``path`` and its parents where they are missing.

    Raises:
        OutputDirectoryError: it cannot be created, for example because a file has that name.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def read_plain_file(path: Path, limit: int) -> bytes:
    """Return the bytes of a file that somebody else may have put there.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is a link, a pipe or a directory, cannot be read, or has more than ``limit`` bytes.
    """
    try:
        # A pipe would never end, a link may lead anywhere.
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a plain file")
        if found.st_size > limit:
            raise ValueError(f"{found.st_size:,} bytes are more than the {limit:,} that it may have")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` and wait until it is on the disk."""
    with writing(path), open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` in one step: readers see the old content or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_file(beside, data)
        with writing(path):
            os.replace(beside, path)
            fsync_directory(path.parent)
    except OutputDirectoryError:
        with suppress(OSError):
            beside.unlink()
        raise


def fsync_directory(path: Path) -> None:
    """Make renames inside ``path`` durable, where the system lets a directory be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return result


def _shortened(value: int) -> str:
    # Python refuses to write out integers of thousands of digits.
    return str(value) if value.bit_length() < 128 else f"of {value.bit_length():,} bits"


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"the text {text[:40]!a} holds half a character") from None


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or not -(1 << 63) <= (value := int(digits)) < 1 << 63:
        raise ValueError(f"the number {digits[:_MAX_DIGITS]} does not fit 64 bits")
    return value


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:_MAX_DIGITS]} is too large")
    return value


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON allows")
