"""Arrays in ``.npz``: one way to write them, and no byte read that this way does not explain.

The same arrays always give the same bytes. What is read back is never unpickled, and an archive that holds anything
beside its arrays (bytes before, between or behind them, comments, other dates) is refused: nobody could say what it is.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
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
# How an archive ends: signature, disks, members, size and place of its directory, and the length of a comment.
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE, _MEMBER_SIGNATURE, _ZIP64_SIGNATURE = b"PK\x05\x06", b"PK\x01\x02", b"PK\x06\x07"
_ZIP64_BYTES = 20
# Systems on which Python writes archives: zipfile notes DOS on Windows, Unix elsewhere.
_SYSTEMS = (0, 3)

Arrays = dict[str, NDArray[Any]]


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an archive of the arrays, which must not hold objects, in their order."""
    # Written member by member with a fixed date: numpy's own archive would do, but promises nothing about its bytes.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, _npy(array))
    return buffer.getvalue()


def check_zip_directory(stream: BinaryIO, most: int) -> None:
    """Hold the directory of an archive to a number of members before ``zipfile`` reads it into hundreds of bytes each.

    Args:
        stream: of the archive; its position changes.
        most: members that it may have.

    Raises:
        BadZipFile: it has more, or does not end as archives of the leaderboard do: with its directory, and no comment.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _END.size - _ZIP64_BYTES))
    end = stream.read()
    if len(end) < _END.size:
        raise zipfile.BadZipFile("it is too short")
    signature, *_, length, _, _ = _END.unpack(end[-_END.size :])
    if signature != _END_SIGNATURE or end.startswith(_ZIP64_SIGNATURE) or length > size - _END.size:
        raise zipfile.BadZipFile("it does not end with its directory")
    stream.seek(size - _END.size - length)
    # In pieces, because the directory may be as large as the archive. The few that lie across two pieces do not matter.
    found = sum(stream.read(min(length - start, _PIECE)).count(_MEMBER_SIGNATURE) for start in range(0, length, _PIECE))
    if found > most:
        raise zipfile.BadZipFile(f"its directory has more than {most:,} members")


def decode_npz(data: bytes, limit: int = MAX_MEMBER_BYTES) -> Arrays:
    """Read the arrays of an archive that :func:`encode_npz` wrote, by name.

    Args:
        data: of the archive.
        limit: bytes that its arrays may take, headers included.

    Raises:
        ValueError: it is none, holds objects, would take more than the limit, or holds bytes beside its arrays.
    """
    limit = min(limit, MAX_MEMBER_BYTES)
    try:
        check_zip_directory(io.BytesIO(data), _MAX_MEMBERS)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
        if len({info.filename for info in members}) != len(members):
            raise ValueError("holds one member twice")
        if len(members) > _MAX_MEMBERS or sum(info.file_size for info in members) > limit:
            raise ValueError(f"unpacks to more than {limit >> 20} MiB")
        streams = [_stream(data, info) for info in members]
        arrays = {
            info.filename.removesuffix(".npy"): _array(info, _unpacked(info, stream))
            for info, stream in zip(members, streams, strict=True)
        }
        again = _archive(members, streams)
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes; all mean the same here
        raise ValueError(f"not a readable array archive ({error})") from None
    if again != data:
        raise ValueError("holds other bytes than its arrays explain")
    return arrays


def _npy(array: NDArray[Any]) -> bytes:
    member = io.BytesIO()
    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return member.getvalue()


def _stream(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """Return a member as it is packed."""
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(f"{info.filename!a} is compressed by an unknown method")
    start = info.header_offset + len(info.FileHeader(zip64=False))
    return data[start : start + info.compress_size]


def _unpacked(info: zipfile.ZipInfo, stream: bytes) -> bytes:
    """Unpack a member; the size in the directory is a claim, too: never more than that is unpacked."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacker.decompress(stream, info.file_size + 1)
    if len(content) > info.file_size:
        raise ValueError(f"{info.filename!a} is longer than it says")
    if len(content) < info.file_size or not unpacker.eof or zlib.crc32(content) != info.CRC:
        raise ValueError(f"not a readable array archive ({info.filename!a} is damaged)")
    if unpacker.unused_data:
        raise ValueError(f"{info.filename!a} holds other bytes than its array explains")
    return content


def _array(info: zipfile.ZipInfo, content: bytes) -> NDArray[Any]:
    """Read a member; what its header promises is held to what it has before any memory is taken."""
    if np.lib.format.read_magic(io.BytesIO(content)) != (1, 0):
        raise ValueError(f"{info.filename!a} is of an unknown array format")
    start = _BEFORE_HEADER + int.from_bytes(content[_BEFORE_HEADER - 2 : _BEFORE_HEADER], "little")
    shape, fortran_order, dtype = _header(content[:start])
    if dtype.hasobject:
        raise ValueError(f"{info.filename!a} holds objects, which are never loaded (allow_pickle=False)")
    values = content[start:]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"{info.filename!a} has {len(values)} bytes, not those of its shape {list(shape)}")
    array: NDArray[Any] = np.frombuffer(values, dtype).reshape(shape, order="F" if fortran_order else "C").copy()
    if _npy(array) != content:
        raise ValueError(f"{info.filename!a} holds other bytes than its array explains")
    return array


@lru_cache(maxsize=256)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Numpy evaluates every header as Python, which takes longer than all else; thousands of runs have the same few."""
    stream = io.BytesIO(data)
    np.lib.format.read_magic(stream)
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = np.lib.format.read_array_header_1_0(stream)
    return header


def _archive(members: list[zipfile.ZipInfo], streams: list[bytes]) -> bytes:
    """Return the archive that holds these members and nothing else.

    Streams are taken as they are, because another version of zlib may have packed the same content differently.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for given, stream in zip(members, streams, strict=True):
            info = zipfile.ZipInfo(given.filename, _DATE)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            info.CRC, info.file_size, info.compress_size = given.CRC, given.file_size, len(stream)
            if given.create_system in _SYSTEMS:
                info.create_system = given.create_system
            info.header_offset = buffer.tell()
            buffer.write(info.FileHeader(zip64=False) + stream)
            archive.filelist.append(info)
        archive.start_dir = buffer.tell()
    return buffer.getvalue()
