"""Interruption from outside: SIGTERM, which batch systems send, counts as Ctrl-C; tidying up is not interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["deaf_to_signals", "end_on_signal"]


@contextmanager
def end_on_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM as at Ctrl-C."""
    with _answering({signal.SIGTERM: signal.default_int_handler}):
        yield


@contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Let nothing but SIGKILL interrupt what takes a second at most."""
    with _answering({signal.SIGTERM: signal.SIG_IGN, signal.SIGINT: signal.SIG_IGN}):
        yield


@contextmanager
def _answering(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Signals can be set in the main thread only; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
