"""Archives of arrays: the same arrays give the same bytes, and bytes that they do not explain are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from tamper import npz, npz_info

from baselines.leaderboard.records.npz import decode_npz, encode_npz

ARRAYS = {"returns": np.linspace(0.0, 1.0, 12).reshape(3, 4), "point": np.array(7), "none": np.zeros((0, 3), np.uint8)}
HONEST = encode_npz(ARRAYS)
BESIDE = b"bytes that no array explains"


def test_what_was_written_is_read_and_nothing_else_is_written() -> None:
    found = decode_npz(HONEST)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert encode_npz(found) == HONEST
    # What a forger of the other tests writes differs in nothing but what he means to change.
    assert npz(ARRAYS) == HONEST


def packed(edit: Callable[[zipfile.ZipInfo], object], *, comment: bytes = b"", extra: bool = False) -> bytes:
    """The arrays as an archive whose first member was edited."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in ARRAYS.items():
            info, member = npz_info(name), io.BytesIO()
            np.save(member, array)
            if name == "returns":
                edit(info)
            archive.writestr(info, member.getvalue())
        if extra:
            archive.writestr(npz_info("extra"), BESIDE)
        archive.comment = comment
    return buffer.getvalue()


def between() -> bytes:
    """Bytes between two members, every offset mended."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in ARRAYS.items():
            member = io.BytesIO()
            np.save(member, array)
            archive.writestr(npz_info(name), member.getvalue())
            buffer.write(BESIDE)
            archive.start_dir = buffer.tell()
    return buffer.getvalue()


def unlisted() -> bytes:
    """A whole member that the directory does not list."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(npz_info("unlisted"), BESIDE)
        archive.filelist.clear()
        archive.NameToInfo.clear()
        for name, array in ARRAYS.items():
            member = io.BytesIO()
            np.save(member, array)
            archive.writestr(npz_info(name), member.getvalue())
    return buffer.getvalue()


def behind_a_stream() -> bytes:
    """Bytes behind the end of a packed stream, its length and all offsets mended."""
    with zipfile.ZipFile(io.BytesIO(HONEST)) as archive:
        members = archive.infolist()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for info in members:
            start = info.header_offset + len(info.FileHeader())
            stream = HONEST[start : start + info.compress_size] + BESIDE
            info.compress_size, info.header_offset = len(stream), buffer.tell()
            buffer.write(info.FileHeader() + stream)
            archive.filelist.append(info)
        archive.start_dir = buffer.tell()
    return buffer.getvalue()


def in_a_header() -> bytes:
    """An array whose own header says the same in other blanks."""
    member = io.BytesIO()
    np.save(member, ARRAYS["point"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(npz_info("point"), member.getvalue().replace(b"{'descr'", b"{ 'descr'").replace(b" \n", b"\n"))
    return buffer.getvalue()


FORGERIES: dict[str, bytes] = {
    "before": BESIDE + HONEST,
    "behind": HONEST + BESIDE,
    "between members": between(),
    "behind a stream": behind_a_stream(),
    "in an array's header": in_a_header(),
    "a member that is not listed": unlisted(),
    "an archive's comment": packed(lambda info: None, comment=BESIDE),
    "a member's comment": packed(lambda info: setattr(info, "comment", BESIDE)),
    "a member's extra field": packed(lambda info: setattr(info, "extra", b"\xfe\xca\x04\x00abcd")),
    "a date": packed(lambda info: setattr(info, "date_time", (1999, 1, 2, 3, 4, 6))),
    "a mode": packed(lambda info: setattr(info, "external_attr", 0o777 << 16)),
    "a system": packed(lambda info: setattr(info, "create_system", 77)),
    "columns first": npz({"returns": np.asfortranarray(ARRAYS["returns"])}),
}


@pytest.mark.parametrize("place", FORGERIES)
def test_bytes_that_no_array_explains_are_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"holds other bytes than its arrays? explain|does not end with its directory"):
        decode_npz(FORGERIES[place])


def test_a_member_that_is_no_array_is_refused() -> None:
    with pytest.raises(ValueError, match="magic string"):
        decode_npz(packed(lambda info: None, extra=True))


def test_every_flipped_bit_is_noticed_or_renames_an_array() -> None:
    """But for those of a packed stream that unpacks to the same: there is more than one way to pack an array."""
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
