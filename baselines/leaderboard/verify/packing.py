"""One file for a set of runs: packing it, and unpacking what somebody else sent.

A submission is a zip archive whose members are stored, not compressed, in one order and with one date, so that the same
runs give the same bytes everywhere, and nothing can unpack to more than the archive itself. ``MANIFEST.json`` comes
first and lists every other member with its SHA-256.
"""

from __future__ import annotations

import filecmp
import lzma
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaps_envs.errors import AdapsError
from baselines.leaderboard.bounds import MAX_SUITE_BYTES
from baselines.leaderboard.errors import ConfigError, OutputDirectoryError
from baselines.leaderboard.execution.plan import SUITE_FILE, encode_suite, read_suite_file
from baselines.leaderboard.files import make_directory, parse_json, pretty_json, sha256_hex, writing
from baselines.leaderboard.records.light import light_files
from baselines.leaderboard.records.metadata_files import SCHEMA
from baselines.leaderboard.records.npz import check_zip_directory
from baselines.leaderboard.records.revealed import SALT_FILE, revealed_files
from baselines.leaderboard.records.run_files import LIGHT_FILES, LIGHT_SUMS, RUN_FILES, SUMS, max_bytes
from baselines.leaderboard.spec.config import NAME_PATTERN, PROTOCOL, REVEALED, SuiteConfig
from baselines.leaderboard.verify.runset import MOST_DECISIONS, ExtraChecks, verify_directory
from baselines.leaderboard.verify.verdict import Fault, Verdict

if TYPE_CHECKING:
    from baselines.leaderboard.verify.retrain import Trainer

__all__ = ["SubmissionError", "pack_submission", "submissions_in", "unpacked_submission", "verify_submission"]

MANIFEST = "MANIFEST.json"
KIND = "adaps-leaderboard-submission"
MAX_ARCHIVE_BYTES = 1 << 30
MAX_MEMBERS = 50_000
_XZ = b"\xfd7zXZ\x00"
_XZ_MEMORY = 128 << 20  # `xz -9` needs 65 MiB
# A run has ten files and their sums, and its arrays are members of archives once more.
_MEMBERS_INSIDE = 3
_OWN_BYTES = {MANIFEST: 16 << 20, SUITE_FILE: MAX_SUITE_BYTES}

_FILES = "|".join(re.escape(name) for name in sorted({*RUN_FILES, *LIGHT_FILES, SUMS, LIGHT_SUMS}))
_RUN = rf"{NAME_PATTERN}/{NAME_PATTERN}/seed-(0|[1-9]\d{{0,8}})"
_RUN_FILE = re.compile(rf"{_RUN}/({_FILES})|{REVEALED}/({re.escape(SALT_FILE)}|{_RUN}\.npz)", re.ASCII)
_DATE = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o644) << 16


class SubmissionError(AdapsError, ValueError):
    """An archive that is no submission; nothing of it was unpacked to a place that stays.

    Attributes:
        faults: what is wrong, member by member.
    """

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults[:3]))
        self.faults = faults


def pack_submission(directory: Path, out: Path, *, light: bool = False) -> str:
    """Pack the runs of the suite in ``directory``, which should have been verified as complete, into one file.

    Args:
        directory: output directory of ``run``.
        out: new file; one that ends in ``.xz`` is compressed.
        light: whether to pack light records.

    Returns:
        SHA-256 of the file.

    Raises:
        ConfigError: ``directory`` has no suite, or not all of its runs.
        OutputDirectoryError: ``out`` exists already, or cannot be written.
    """
    suite = read_suite_file(directory)
    if suite is None:
        raise ConfigError(f"{directory} has no {SUITE_FILE}; give the --out of `adaps leaderboard run`.")
    if out.exists():
        raise OutputDirectoryError(f"{out} exists and is never overwritten; choose another --out.")
    make_directory(out.parent)
    with writing(out), tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as beside:
        staged = Path(beside) / out.name
        _write_archive(staged, _members(suite, directory, light=light))
        if out.suffix == ".xz":
            staged.write_bytes(lzma.compress(staged.read_bytes()))
        staged.replace(out)
        return sha256_hex(out.read_bytes())


@contextmanager
def unpacked_submission(file: Path) -> Iterator[Path]:
    """Yield a temporary directory with the runs and the suite of a submission; it goes at the end.

    Raises:
        ConfigError: there is no such file.
        SubmissionError: its archive is not one that :func:`pack_submission` writes.
        OutputDirectoryError: the temporary directory cannot hold it.
    """
    if not file.is_file():
        raise ConfigError(f"{file} is not a file; give a directory of runs or a submitted file.")
    if file.stat().st_size > MAX_ARCHIVE_BYTES:
        raise SubmissionError(
            [Fault("", "", f"more than the {MAX_ARCHIVE_BYTES >> 20} MiB that a submission may have")]
        )
    with writing(Path(tempfile.gettempdir())):
        temporary = tempfile.TemporaryDirectory(prefix="adaps-submission-")
    with temporary as name:
        target = Path(name) / "runs"
        target.mkdir()
        archive = _decompressed(file, Path(name) / "plain.zip")
        _unpack(archive, target)
        _check_canonical(archive, target, Path(name) / "again.zip")
        yield target


def submissions_in(folder: Path) -> list[Path]:
    """Return the submitted files of a folder that holds nothing else, by name; nothing for any other path."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return files if all(file.is_file() and file.name.endswith((".zip", ".zip.xz")) for file in files) else []


def verify_submission(
    file: Path,
    *,
    deep: ExtraChecks | None = None,
    trainer: Trainer | None = None,
    most_decisions: int = MOST_DECISIONS,
) -> Verdict:
    """Verify a submitted file: the archive, then its runs, all of which its suite must name and have.

    Args:
        file: made by ``submit``.
        deep: further checks for each finished run.
        trainer: see :func:`~baselines.leaderboard.verify.runset.verify_directory`, as is ``most_decisions``.

    Raises:
        ConfigError: there is no such file.
        OutputDirectoryError: the temporary directory cannot hold it.
    """
    try:
        with unpacked_submission(file) as directory:
            return verify_directory(
                directory, complete=True, deep=deep, trainer=trainer, target=str(file), most_decisions=most_decisions
            )
    except SubmissionError as error:
        return Verdict(str(file), deep=deep is not None, faults=error.faults)


def _members(suite: SuiteConfig, directory: Path, *, light: bool) -> dict[str, bytes]:
    members = {SUITE_FILE: encode_suite(suite)}
    members.update(revealed_files(directory, [config.run_id for config in suite.runs()]))
    for run in sorted(config.run_id for config in suite.runs()):
        if not (directory / run).is_dir():
            raise ConfigError(f"{directory} has no run {run}, which its suite names; finish the suite first.")
        if light:
            files = light_files(directory / run)
        else:
            files = {path.name: path.read_bytes() for path in (directory / run).iterdir()}
        members.update({f"{run}/{name}": data for name, data in files.items()})
    return _in_order(members)


def _in_order(members: dict[str, bytes]) -> dict[str, bytes]:
    """The suite first, then run by run."""
    names = sorted(members, key=lambda name: (name != SUITE_FILE, name.split("/")))
    return {name: members[name] for name in names}


def _manifest(members: dict[str, bytes]) -> bytes:
    files = {name: sha256_hex(data) for name, data in members.items()}
    return pretty_json({"schema": SCHEMA, "kind": KIND, "protocol": PROTOCOL, "files": files})


def _write_archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {MANIFEST: _manifest(members), **members}.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3
            info.external_attr = _MODE
            archive.writestr(info, data)


def _decompressed(file: Path, plain: Path) -> Path:
    """Return ``file``, or ``plain`` with what it holds if it is compressed, at most what a submission may have."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    with open(file, "rb") as packed:
        if packed.read(len(_XZ)) != _XZ:
            return file
        packed.seek(0)
        with writing(plain), open(plain, "wb") as stream:
            while not unpacker.eof:
                data = packed.read(1 << 20) if unpacker.needs_input else b""
                if unpacker.needs_input and not data:
                    raise SubmissionError([Fault("", "", "its xz stream is cut short")])
                try:
                    stream.write(unpacker.decompress(data, 1 << 20))
                except lzma.LZMAError as error:
                    raise SubmissionError([Fault("", "", f"not a readable xz stream ({error})")]) from None
                if stream.tell() > MAX_ARCHIVE_BYTES:
                    raise SubmissionError([Fault("", "", f"unpacks to more than {MAX_ARCHIVE_BYTES >> 20} MiB")])
        if unpacker.unused_data or packed.read(1):
            raise SubmissionError([Fault("", "", "bytes after its xz stream")])
    return plain


def _unpack(file: Path, target: Path) -> None:
    try:
        with open(file, "rb") as stream:
            check_zip_directory(stream, _MEMBERS_INSIDE * MAX_MEMBERS)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            faults = list(_member_faults(members, file.stat().st_size))
            if faults:
                raise SubmissionError(faults)
            for info in members:
                _unpack_member(archive, info, target)
    except (SubmissionError, OutputDirectoryError):
        raise
    except Exception as error:  # zipfile raises a dozen kinds on damaged bytes
        raise SubmissionError([Fault("", "", f"not a readable zip archive ({error})")]) from None


def _member_faults(members: list[zipfile.ZipInfo], size: int) -> Iterator[Fault]:
    """Everything is checked before the first byte is unpacked."""
    if len(members) > MAX_MEMBERS:
        yield Fault("", "", f"{len(members)} members; a submission has at most {MAX_MEMBERS}")
        return
    if sum(info.file_size for info in members) > size:
        yield Fault("", "", f"its members unpack to more than the {size} bytes of the archive")
    seen: set[str] = set()
    for info in members:
        name = info.orig_filename
        if name not in (MANIFEST, SUITE_FILE) and not _RUN_FILE.fullmatch(name):
            yield Fault(name, "", "a submission has no such member")
        elif name.casefold() in seen:
            yield Fault(name, "", "given twice")
        elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            yield Fault(name, "", "not a plain file")
        elif info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            yield Fault(name, "", "compressed or encrypted; members are stored as they are")
        elif info.file_size > (most := _OWN_BYTES.get(name) or max_bytes(name.rpartition("/")[2])):
            yield Fault(name, "", f"{info.file_size:,} bytes are more than the {most:,} that it may have")
        seen.add(name.casefold())
    for name in (MANIFEST, SUITE_FILE):
        if name.casefold() not in seen:
            yield Fault(name, "", "missing")


def _unpack_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    try:
        data = archive.read(info)
    except Exception as error:  # a wrong checksum, a wrong length, a local header that says something else
        raise SubmissionError([Fault(info.filename, "", f"cannot be unpacked ({error})")]) from None
    path = target / info.filename
    make_directory(path.parent)
    with writing(path):  # not flushed to the disk: it goes in a moment
        path.write_bytes(data)


def _check_canonical(file: Path, target: Path, again: Path) -> None:
    """Pack the members once more: any byte that differs was not put there by us."""
    listed = (target / MANIFEST).read_bytes()
    members = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    del members[MANIFEST]
    ordered = _in_order(members)
    if listed != _manifest(ordered):
        raise SubmissionError(list(_manifest_faults(listed, ordered)))
    with writing(again):
        _write_archive(again, ordered)
    if not filecmp.cmp(file, again, shallow=False):
        raise SubmissionError([Fault("", "", "the archive holds other bytes than its members explain")])


def _manifest_faults(listed: bytes, members: dict[str, bytes]) -> Iterator[Fault]:
    payload: Any = None
    with suppress(ValueError):
        payload = parse_json(listed)
    files = payload.get("files") if isinstance(payload, dict) else None
    if not isinstance(files, dict):
        yield Fault(MANIFEST, "files", "no list of files can be read from it")
        return
    found = {name: sha256_hex(data) for name, data in members.items()}
    different = [name for name in sorted(files.keys() | found.keys()) if files.get(name) != found.get(name)]
    for name in different:
        yield Fault(name, "", f"not the file that {MANIFEST} lists under this name")
    for key, value in (("schema", SCHEMA), ("kind", KIND), ("protocol", PROTOCOL)):
        if payload.get(key) != value:
            yield Fault(MANIFEST, key, f"{payload.get(key)!r}; this version reads {value!r}")
    if not different:
        yield Fault(MANIFEST, "", "its content is not laid out as it is written")
