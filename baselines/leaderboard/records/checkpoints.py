"""Stopping points of an unfinished run: one file beside the run's directory, from which it goes on to the same bytes.

``seed-<s>.checkpoint`` is a hash and a safetensors file, replaced in one step. It is used only
by the very configuration, program and machine that wrote it; anything else, or a damaged file, is thrown away and the
run begins anew.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from baselines.leaderboard.files import (
    canonical_json,
    fsync_directory,
    parse_json,
    read_plain_file,
    sha256_hex,
    write_file,
    writing,
)
from baselines.leaderboard.records.provenance import provenance_of
from baselines.leaderboard.spec.config import RunConfig

__all__ = ["CHECKPOINT_SUFFIX", "Checkpoint", "Checkpoints", "checkpoint_path", "remove_checkpoint"]

CHECKPOINT_SUFFIX = ".checkpoint"

_MAX_BYTES = 1 << 34
_DIGEST_BYTES = 32
_VALUES = "values"
# Writing may take at most this share of a run's time, however large its networks are.
_SHARE_OF_TIME = 0.02
_PACKAGES = ("adaps_envs", "adaps_agents", "baselines")


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and JSON values without NaN or infinity."""

    arrays: dict[str, NDArray[Any]]
    values: dict[str, Any]


class Checkpoints:
    """The stopping points of one run.

    Args:
        config: of the run.
        directory: where its finished record will go.
        scratch: directory on the same disk for half-written files; whatever lies there may be removed at any time.
        seconds: time between two stopping points; 0 makes one whenever :meth:`due` is asked.
        clock: gives seconds.
    """

    def __init__(
        self,
        config: RunConfig,
        directory: Path,
        scratch: Path,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._directory = directory
        self._path = checkpoint_path(directory)
        self._scratch = scratch / self._path.name
        self._seconds = seconds
        self._clock = clock
        self._next = clock() + seconds

    def due(self) -> bool:
        """Whether it is time for the next stopping point."""
        return self._clock() >= self._next

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the stored stopping point, and wait until it is on the disk.

        Raises:
            OutputDirectoryError: the disk refuses; the former one is still there.
        """
        started = self._clock()
        write_file(self._scratch, _encode(checkpoint, self._origin))
        with writing(self._path):
            os.replace(self._scratch, self._path)
            fsync_directory(self._path.parent)
        ended = self._clock()
        self._next = ended + max(self._seconds, (ended - started) / _SHARE_OF_TIME if self._seconds else 0.0)

    def load(self) -> Checkpoint | None:
        """Return the stored stopping point; None, and nothing stays stored, if it cannot be used here."""
        try:
            return self.read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            pass
        self.drop()
        return None

    def read(self) -> Checkpoint:
        """Return the stored stopping point, and leave it where it is.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it cannot be used here.
        """
        return _decode(read_plain_file(self._path, _MAX_BYTES), self._origin)

    def drop(self) -> None:
        """Forget the stored stopping point."""
        remove_checkpoint(self._directory)

    @cached_property
    def _origin(self) -> str:
        """A hash of all that the rest of a run depends on beside its stopping point."""
        provenance = provenance_of(self._config).model_dump(mode="json")
        return sha256_hex(canonical_json([self._config.digest, provenance, _program_digest()]))


def checkpoint_path(directory: Path) -> Path:
    """Return where the stopping point of the run that will go to ``directory`` lies."""
    return directory.with_name(directory.name + CHECKPOINT_SUFFIX)


def remove_checkpoint(directory: Path) -> None:
    """Remove the stopping point of the run of ``directory``, if there is one: it has ended, or must begin anew."""
    with suppress(OSError):
        checkpoint_path(directory).unlink()


def _encode(checkpoint: Checkpoint, origin: str) -> bytes:
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    arrays[_VALUES] = np.frombuffer(canonical_json(checkpoint.values), np.uint8)
    content = save_safetensors(arrays)
    return _digest(content, origin) + content


def _decode(data: bytes, origin: str) -> Checkpoint:
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if digest != _digest(content, origin):
        raise ValueError("damaged, or of another configuration, program or machine")
    arrays = load_safetensors(content)
    return Checkpoint(arrays, parse_json(arrays.pop(_VALUES).tobytes()))


def _digest(content: bytes, origin: str) -> bytes:
    digest = hashlib.sha256(origin.encode("ascii"))
    digest.update(content)
    return digest.digest()


@lru_cache(maxsize=1)
def _program_digest() -> str:
    """A hash of this project's source files: versions alone do not tell two states of a checkout apart."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        found = find_spec(package)
        assert found is not None
        for root in found.submodule_search_locations or ():
            for path in sorted(Path(root).rglob("*.py")):
                digest.update(path.read_bytes())
    return digest.hexdigest()
