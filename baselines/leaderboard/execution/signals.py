"""Interruption from outside: SIGTERM, which batch systems send, counts as Ctrl-C; some moments must end first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["end_on_signal", "signals_deferred"]


@contextmanager
def end_on_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM as at Ctrl-C."""
    with _answering({signal.SIGTERM: signal.default_int_handler}):
        yield


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait for the end of what takes a second at most; an error in it goes first.

    Processes started meanwhile are deaf to SIGINT, which is for their parent to answer.
    """
    waiting: list[int] = []

    def note(number: int, _: Any) -> None:
        waiting.append(number)

    with _answering({signal.SIGTERM: note, signal.SIGINT: note}), _sigint_blocked():
        yield
    if waiting:
        signal.raise_signal(waiting[0])


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Children inherit the mask but not the handler, so never block SIGTERM: we stop them with it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
