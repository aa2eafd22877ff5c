"""The leaderboard: tasks and suites, runs that survive interruption, statistics and the report."""

from __future__ import annotations

from adaps_envs.installation import require

require("the leaderboard", "leaderboard", "jinja2", "pydantic", "safetensors")
