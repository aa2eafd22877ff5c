"""``adaps`` and ``python -m baselines``: the door that hears Ctrl-C while the command line is still being imported."""

import shlex
import sys

from baselines import EXIT_INTERRUPTED

__all__ = ["main"]


def main() -> None:
    """Import the command line and run it with the arguments of this process."""
    try:
        from baselines.cli import main as run
    except KeyboardInterrupt:
        command = shlex.join(["adaps", *sys.argv[1:]])
        print(f"\ninterrupted before anything began. To go on: {command}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
