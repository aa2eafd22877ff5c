"""Who shares what with whom in a run, drawn from its record."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from adaps_envs.core.team_figure import team_figure
from baselines.leaderboard.records.metadata_files import Sharing

__all__ = ["group_labels", "mask_overlaps", "record_figure"]

MAX_AGENTS = 1_024

_OVERLAP_KEY = re.compile(r"([a-z]{1,20})_mask_overlap")
_AGENT_KEY = re.compile(r"agent_(\d{1,4})")


def group_labels(sharing: Sharing) -> list[int] | None:
    """Return the group ``[N]`` of each agent, also of schemes that do not look for groups; None if unknown."""
    agents = sharing.summary.get("agents")
    if isinstance(agents, dict):
        found = {int(match[1]): group for name, group in agents.items() if (match := _AGENT_KEY.fullmatch(name))}
        labels = [found.get(agent) for agent in range(len(sharing.agent_types))]
        if all(isinstance(label, int) and 0 <= label < MAX_AGENTS for label in labels):
            return [int(label) for label in labels]  # type: ignore[arg-type]
    return sharing.assignment


def mask_overlaps(sharing: Sharing) -> dict[str, NDArray[np.float64]]:
    """Return, for each masked network, the share ``[K, K]`` of a row group's units that the column keeps, too."""
    found = {}
    for key, value in sorted(sharing.summary.items()):
        match = _OVERLAP_KEY.fullmatch(key)
        if match is not None and (matrix := _square(value)) is not None:
            found[match[1]] = matrix
    return found


def record_figure(sharing: Sharing | None) -> Markup | None:
    """Return the picture of a run's sharing, agents in the colour of their hidden type; None if no record says who
    shares.
    """
    if sharing is None:
        return None
    labels, overlaps = group_labels(sharing), mask_overlaps(sharing)
    agents = len(sharing.agent_types)
    if (labels is None and not overlaps) or not 0 < agents <= MAX_AGENTS:
        return None
    matrices = {f"{name}: overlap of masks, {len(matrix)} groups": matrix for name, matrix in overlaps.items()}
    text = _description(labels, agents, overlaps)
    # Drawn from numbers that were checked to be numbers.
    return Markup(team_figure(text, labels, sharing.agent_types, matrices, kind="hidden type"))


def _description(labels: list[int] | None, agents: int, overlaps: dict[str, NDArray[np.float64]]) -> str:
    groups = "no groups" if labels is None else f"{len(set(labels))} groups"
    networks = "".join(
        f"; masks of the {network} overlap by {matrix.min():.2f} to 1.00" for network, matrix in overlaps.items()
    )
    return f"{agents} agents in {groups}{networks}"


def _square(value: Any) -> NDArray[np.float64] | None:
    """Return a matrix of shares from JSON that somebody else may have written; None if it is none."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_AGENTS:
        return None
    if not all(isinstance(row, list) and len(row) == len(value) for row in value):
        return None
    if not all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for row in value for entry in row):
        return None
    return np.clip(np.array(value, np.float64), 0.0, 1.0)
