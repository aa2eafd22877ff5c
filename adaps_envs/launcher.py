"""Where ``adaps`` starts: hears Ctrl-C while the command line is still being imported, and finds it by its place.

Another package called ``baselines`` may come first on Python's path; hardly one called ``adaps_envs``.
"""

from __future__ import annotations

import importlib
import shlex
import sys
from typing import NoReturn

from adaps_envs.errors import ShadowedPackageError
from adaps_envs.installation import require_own

__all__ = ["EXIT_INTERRUPTED", "EXIT_USAGE", "main"]

EXIT_INTERRUPTED = 130
EXIT_USAGE = 2


def main() -> None:
    """Import the command line and run it with the arguments of this process."""
    try:
        require_own("baselines")
        run = importlib.import_module("baselines.cli.main").main
    except ShadowedPackageError as error:
        _end(f"error: {error}", EXIT_USAGE)
    except KeyboardInterrupt:
        command = shlex.join(["adaps", *sys.argv[1:]])
        _end(f"\ninterrupted before anything began. To go on: {command}", EXIT_INTERRUPTED)
    run()


def _end(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(code)
