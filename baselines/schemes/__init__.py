"""Sharing schemes to compare with: each module is one, under the module's name, and assigns its class to ``SCHEME``."""

from __future__ import annotations

from adaps_envs.installation import require

require("baselines.schemes", "agents", "torch")
