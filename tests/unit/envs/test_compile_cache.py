"""Kernels also run where numba's cache cannot be written or is damaged: one warning, the same game."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adaps_envs.core import compile as compile_module
from adaps_envs.errors import CompileCacheError

PLAY = """
import resource, signal, sys, warnings
import adaps_envs, numpy as np
from adaps_envs.core.lanes import close_lanes
from adaps_envs.families.bps import kernel
LIMIT
flags = np.array([True, False])
print(close_lanes(flags, flags, np.zeros(2, dtype=bool)))
env = adaps_envs.make_batched("BPS-1", 2, seed=0)
env.reset()
print(float(env.step(np.ones((2, 15), dtype=np.int64))[1].sum()))
"""
FULL_DISK = "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


def _play(environment: dict[str, str], limit: str = "") -> tuple[str, list[str]]:
    """Return what a new process printed, and its warnings."""
    done = subprocess.run(
        [sys.executable, "-c", PLAY.replace("LIMIT", limit)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"RuntimeWarning: (numba's.*)", done.stderr)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Path, str]:
    """A filled cache, and what is played with it."""
    folder = tmp_path_factory.mktemp("cache")
    played, warned = _play({"PYTHONPATH": str(repository), "NUMBA_CACHE_DIR": str(folder)})
    assert not warned
    assert list(folder.rglob("*.nbi"))
    return folder, played


def test_no_folder_can_be_written(tmp_path: Path, repository: Path, sound: tuple[Path, str]) -> None:
    shutil.copytree(repository / "adaps_envs", tmp_path / "adaps_envs", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path.parent for path in tmp_path.rglob("*.py")]:
        (folder / "__pycache__").touch()  # no folder can take its place, not even for root
    nowhere = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": "/dev/null/cache"}
    played, warned = _play({**nowhere, "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"})
    assert played == sound[1]
    assert len(warned) == 1
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in warned[0]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files' sizes")
def test_the_disk_is_full(tmp_path: Path, repository: Path, sound: tuple[Path, str]) -> None:
    played, warned = _play({"PYTHONPATH": str(repository), "NUMBA_CACHE_DIR": str(tmp_path)}, FULL_DISK)
    assert played == sound[1]
    assert len(warned) == 1
    assert not list(tmp_path.rglob("*.nbi"))


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"half"])
def test_damaged_files_are_written_again(
    tmp_path: Path, repository: Path, sound: tuple[Path, str], suffix: str, damage: bytes
) -> None:
    shutil.copytree(sound[0], tmp_path / "cache")
    environment = {"PYTHONPATH": str(repository), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for path in (tmp_path / "cache").rglob(f"*.{suffix}"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if damage == b"half" else damage)
    played, warned = _play(environment)
    assert played == sound[1]
    assert len(warned) == 1
    assert _play(environment) == (sound[1], [])


def test_files_that_cannot_be_removed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = compile_module.njit()(lambda x: x)
    folder = Path(kernel.stats.cache_path)
    file = folder / f"test_compile_cache.{kernel.py_func.__qualname__}-1.nbi"
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [file])

    def refuse(path: Path, missing_ok: bool) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CompileCacheError, match=r"can be neither read nor removed \(not yours\); set NUMBA_CACHE_DIR"):
        compile_module._forget(kernel)


def test_every_cached_kernel_goes_this_way(repository: Path) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (repository / "adaps_envs").rglob("*.py")}
    cached = [path for path, text in sources.items() if "cache=True" in text and path.name != "compile.py"]
    assert cached
    assert [path for path in cached if "from adaps_envs.core.compile import njit" not in sources[path]] == []
