"""A picture of who shares what with whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adaps_agents.diagnostics.sharing_map import SharingMap, sharing_map
from adaps_envs.core.team_figure import team_figure
from adaps_envs.errors import InvalidParameterError

__all__ = ["draw_sharing"]


def draw_sharing(sharing: Any, path: str | Path) -> None:
    """Draw the agents by the sets that use the same parameters, over the share that two sets have in common.

    The same sharing gives the same bytes. Agents that the map does not look at are left out.

    Args:
        sharing: a :class:`SharingMap`, its JSON form, or a learner, policy or scheme to map.
        path: ``.svg``; missing folders are made.

    Raises:
        InvalidParameterError: another suffix, or nothing to draw.
    """
    target = Path(path)
    if target.suffix.lower() != ".svg":
        raise InvalidParameterError(f"cannot draw {target.name!r}; pictures of sharing are SVG, name it *.svg.")
    if isinstance(sharing, dict):
        sharing = SharingMap.from_json(sharing)
    elif not isinstance(sharing, SharingMap):
        sharing = sharing_map(sharing)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_drawn(sharing), encoding="utf-8")


def _drawn(sharing: SharingMap) -> str:
    number = len(sharing.sets)
    what = f"{number} different sets of parameters" if number > 1 else "every parameter shared by all"
    sample = "" if sharing.complete else f" among {sum(map(len, sharing.sets))} of them"
    set_of = {agent: place for place, members in enumerate(sharing.sets) for agent in members}
    labels = [set_of.get(agent) for agent in range(len(sharing.agents))]
    matrices = {f"{part}: parameters in common, {number} sets": found.shared for part, found in sharing.parts.items()}
    text = f"{sharing.scheme}: {len(sharing.agents)} agents, {what}{sample}"
    figure = team_figure(text, labels, [label or 0 for label in labels], matrices, kind="set")
    return figure.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
