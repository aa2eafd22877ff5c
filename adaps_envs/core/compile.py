"""numba's ``njit`` for kernels: it compiles also where the cache on disk cannot be written, or is damaged."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba

from adaps_envs.errors import CompileCacheError

__all__ = ["njit"]

_WAY_OUT = "set NUMBA_CACHE_DIR to a folder that can be written"
_warned = False


def njit(*, cache: bool = True, **options: Any) -> Callable[[Any], Any]:
    """Return ``numba.njit(cache=cache, **options)``; where the cache fails, it warns once and compiles all the same."""

    def decorate(function: Any) -> Any:
        try:
            kernel = numba.njit(cache=cache, **options)(function)
        except RuntimeError as error:  # numba has found no folder that it can write
            _warn(error)
            return numba.njit(**options)(function)
        if cache and hasattr(kernel, "compile"):  # it is the plain function under NUMBA_DISABLE_JIT
            kernel.compile = partial(_compile, kernel, kernel.compile)
        return kernel

    return decorate


def _compile(kernel: Any, compile_cached: Callable[[Any], Any], signature: Any) -> Any:
    """Load the code for a signature from the cache, or compile and store it."""
    try:
        return compile_cached(signature)
    except numba.NumbaError:
        raise
    except Exception as error:  # whatever a damaged file gives when it is read
        first = error
    try:
        # If the file could not be written, the code is there already.
        found = compile_cached(signature)
    except Exception:
        _forget(kernel)
        found = compile_cached(signature)
    _warn(first)
    return found


def _forget(kernel: Any) -> None:
    """Remove a kernel's files from the cache.

    Raises:
        CompileCacheError: they cannot be removed.
    """
    function, folder = kernel.py_func, Path(kernel.stats.cache_path)
    module = Path(function.__code__.co_filename).stem
    for path in folder.glob(f"{module}.{function.__qualname__}-*.nb[ic]"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CompileCacheError(f"{path} can be neither read nor removed ({error}); {_WAY_OUT}.") from error


def _warn(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"numba's compile cache does not work ({type(error).__name__}: {error}): kernels are compiled in this "
            f"process again, which takes seconds. If this comes back, {_WAY_OUT}.",
            RuntimeWarning,
            stacklevel=2,
        )
