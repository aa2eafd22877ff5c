"""Arrays in ``.npz``: the same arrays give the same bytes, and reading takes no more memory than it was allowed.

Nothing is unpickled. Every size that an archive claims is checked before memory is taken for it.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_zip_directory", "decode_npz", "encode_npz"]

MAX_MEMBER_BYTES = 1 << 29
_MAX_MEMBERS = 64
_PIECE = 1 << 20
# Magic string, version, and the length of the header in two bytes.
_BEFORE_HEADER = np.lib.format.MAGIC_LEN + 2
_DATE = (1980, 1, 1, 0, 0, 0)
_MEMBER_SIGNATURE = b"PK\x01\x02"

Arrays = dict[str, NDArray[Any]]


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an archive of the arrays, of any shapes and dtypes but objects, in their order."""
    # Written member by member with a fixed date: numpy's own archive would do, but promises nothing about its bytes.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return buffer.getvalue()


def check_zip_directory(stream: BinaryIO, most: int) -> None:
    """Refuse an archive of too many members; ``zipfile`` would take hundreds of bytes for each one in its directory.

    Args:
        stream: of the archive; its position changes.
        most: members that it may have, those of archives stored in it included.

    Raises:
        BadZipFile: it has more.
    """
    stream.seek(0)
    # In pieces, because the archive may be large. The few members that lie across two pieces do not matter.
    found = sum(piece.count(_MEMBER_SIGNATURE) for piece in iter(lambda: stream.read(_PIECE), b""))
    if found > most:
        raise zipfile.BadZipFile(f"it has more than {most:,} members, those of its archives included")


def decode_npz(data: bytes, limit: int = MAX_MEMBER_BYTES) -> Arrays:
    """Read the arrays of an archive, by name.

    Args:
        data: of the archive.
        limit: bytes that its arrays may take, headers included.

    Raises:
        ValueError: it is none, holds objects or a member twice, or would take more than the limit.
    """
    limit = min(limit, MAX_MEMBER_BYTES)
    try:
        check_zip_directory(io.BytesIO(data), _MAX_MEMBERS)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if sum(info.file_size for info in members) > limit:
                raise ValueError(f"unpacks to more than {limit >> 20} MiB")
            arrays = {info.filename.removesuffix(".npy"): _array(archive, info) for info in members}
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes; all mean the same here
        raise ValueError(f"not a readable array archive ({error})") from None
    if len(arrays) != len(members):
        raise ValueError("holds one member twice")
    return arrays


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Read a member; numpy alone would take the memory that its header claims before it looks at what is there."""
    with archive.open(info) as stream:
        # The size in the directory is a claim, too: without it, a member is unpacked to its end first.
        content = stream.read(info.file_size)
    start = _BEFORE_HEADER + int.from_bytes(content[_BEFORE_HEADER - 2 : _BEFORE_HEADER], "little")
    shape, fortran_order, dtype = _header(content[:start])
    if dtype.hasobject:
        raise ValueError(f"{info.filename!a} holds objects, which are never loaded (allow_pickle=False)")
    size = len(content) - start
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{info.filename!a} has {size} bytes, not those of its shape {list(shape)}")
    return np.frombuffer(content[start:], dtype).reshape(shape, order="F" if fortran_order else "C").copy()


@lru_cache(maxsize=256)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Numpy evaluates every header as Python, which takes longer than all else; thousands of runs have the same few."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is of an unknown format version")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = np.lib.format.read_array_header_1_0(stream)
    return header
