"""Archives of arrays: the same arrays give the same bytes, and no archive takes more memory than it may."""

from __future__ import annotations

import io
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from tamper import npz, npz_info

from baselines.leaderboard.records.npz import decode_npz, encode_npz

ARRAYS = {"returns": np.linspace(0.0, 1.0, 12).reshape(3, 4), "point": np.array(7), "none": np.zeros((0, 3), np.uint8)}
HONEST = encode_npz(ARRAYS)


def test_what_was_written_is_read_and_nothing_else_is_written() -> None:
    found = decode_npz(HONEST)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert encode_npz(found) == HONEST
    # What a forger of the other tests writes differs in nothing but what he means to change.
    assert npz(ARRAYS) == HONEST


def archive_of(*members: tuple[str, bytes], edit: Callable[[zipfile.ZipInfo], object] = lambda info: None) -> bytes:
    """An archive of any bytes; ``edit`` changes what its directory says of them."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of members given twice
        for name, data in members:
            archive.writestr(npz_info(name), data)
        for info in archive.filelist:
            edit(info)
    return buffer.getvalue()


def claim(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    """An array whose header claims a shape."""
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return member.getvalue() + data


FORGERIES: dict[str, tuple[bytes, str]] = {
    "no archive": (b"PK", "not a readable array archive"),
    "a member that is no array": (archive_of(("x", b"no array")), "magic string"),
    "an unknown version": (archive_of(("x", claim((0,)).replace(b"\x01\x00", b"\x03\x00", 1))), "format version"),
    "a member twice": (archive_of(("x", claim((0,))), ("x", claim((0,)))), "one member twice"),
    "many members": (archive_of(*[(str(place), claim((0,))) for place in range(65)]), "more than 64 members"),
    "objects": (npz({"x": np.array([print], dtype=object)}), "objects, which are never loaded"),
    "a shape of 8 TB": (archive_of(("x", claim((10**12,)))), "not those of its shape"),
    "a shape of 10^36 bytes": (archive_of(("x", claim((10**18, 10**18)))), "not those of its shape"),
    "a shape with a negative axis": (archive_of(("x", claim((-1,)))), "not those of its shape"),
    "fewer bytes than its shape": (archive_of(("x", claim((3,), bytes(16)))), "16 bytes, not those"),
    "a large member": (archive_of(("x", claim((1 << 17,), bytes(1 << 20)))), "unpacks to more than 0 MiB"),
    "a member larger than it says": (
        archive_of(("x", claim((1 << 22,), bytes(1 << 25))), edit=lambda info: setattr(info, "file_size", 256)),
        "Bad CRC",
    ),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_what_is_no_archive_of_arrays_is_refused_before_it_takes_memory(kind: str) -> None:
    data, message = FORGERIES[kind]
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            decode_npz(data, 1 << 16)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_no_flipped_bit_changes_a_value() -> None:
    """A bit may rename an array, or change what numpy does not look at."""
    for place in range(len(HONEST)):
        for bit in range(8):
            data = bytearray(HONEST)
            data[place] ^= 1 << bit
            try:
                found = decode_npz(bytes(data))
            except ValueError:
                continue
            if found.keys() == ARRAYS.keys():
                assert encode_npz(found) == HONEST, (place, bit)
