"""Starting Ray here, or joining a cluster, and leaving it again, so that Ctrl-C is answered at any moment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

__all__ = ["StartingRay", "offspring", "stop_ray"]

_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_TO_GIVE_UP = 0.5
# Asked in Ray's own order, these end by themselves and take the workers with them.
_ENDING_BY_THEMSELVES = ("raylet", "gcs_server")


def offspring(*, recursive: bool = True) -> list[Any]:
    """Return the processes that this one has started, and that they have, as psutil (which Ray brings) sees them."""
    import psutil

    found: list[Any] = psutil.Process().children(recursive=recursive)
    return found


class StartingRay(threading.Thread):
    """``ray.init`` in a thread of its own: a Ctrl-C in the middle of it would be lost, and so would our SIGTERM.

    The thread stays until :func:`stop_ray`, because the system ends Ray's processes with the thread that started them.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._error: Exception | None = None
        self._tried, self._over = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        """Call it; this is the thread's."""
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns that this is not the main thread
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._settings)
        except Exception as error:
            self._error = error
        self._tried.set()
        self._over.wait()

    @property
    def under_way(self) -> bool:
        """Whether ``ray.init`` has not returned yet."""
        return not self._tried.is_set()

    def stop(self) -> None:
        """Let the thread end."""
        self._over.set()

    def wait(self) -> None:
        """Return when Ray is there, or raise what ``ray.init`` raised. Ctrl-C is heard at once."""
        while self.under_way:
            self._tried.wait(_SECONDS_BETWEEN_LOOKS)
        if self._error is not None:
            raise self._error


def stop_ray(earlier: list[Any], starting: StartingRay) -> None:
    """Leave the cluster; end all that ``ray.init`` has started here, however far it got, in about a second.

    Ray alone waits a second for a helper that does not hear it, and may leave agents of its node behind.

    Args:
        earlier: the offspring of before.
        starting: what called ``ray.init``.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # it complains of what ends here
    started = [process for process in offspring() if process not in earlier]
    if starting.under_way:
        deadline = time.monotonic() + _SECONDS_TO_GIVE_UP
        while starting.under_way and time.monotonic() < deadline:
            _kill(process for process in offspring() if process not in earlier)
            time.sleep(_SECONDS_TO_GIVE_UP / 10)
    else:
        helpers = [process for process in offspring(recursive=False) if process in started]
        _kill(process for process in helpers if _name(process) not in _ENDING_BY_THEMSELVES)
        with suppress(Exception):
            ray.shutdown()
    _kill(started)
    starting.stop()


def _kill(processes: Iterable[Any]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _name(process: Any) -> str:
    import psutil

    with suppress(psutil.Error):
        return str(process.name())
    return ""
