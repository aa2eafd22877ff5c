"""``python -m baselines``: the ``adaps`` command."""

from adaps_envs.launcher import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
