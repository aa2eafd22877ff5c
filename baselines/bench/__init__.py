"""``adaps bench``: speed next to installed peers."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Part"]


class Part(StrEnum):
    """What ``adaps bench`` measures, in this order."""

    STEPPING = "stepping"
    ENVS = "envs"
    LEARNING = "learning"
    UPDATES = "updates"
    LEADERBOARD = "leaderboard"
