"""How a scheme is drawn: a name has one style, on every board and in every chart."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.leaderboard.files import sha256_hex
from baselines.leaderboard.report.figures.plane import MARKERS

__all__ = ["COLOURS", "Style", "style_of"]

COLOURS = (
    "#cc243c", "#7854cc", "#cc786c", "#0084fc", "#549000", "#486c6c", "#908400", "#d860cc", "#c00c78", "#846c3c",
)  # fmt: skip
"""Told apart from each other and from the colours of the hidden types, with a contrast of 3 to light and dark pages."""

_DASHES = ("", "6 3", "1.5 2", "6 2 1.5 2")
# A new name goes to the end: a scheme keeps its colour. The first ten have solid lines.
_NAMES = (
    "adaps", "adaps_gates", "adaps-wide", "nops", "seps", "oracle", "fups", "fups_id", "snp_ps", "kaleidoscope",
    "random_masks", "hypermarl", "disjoint_masks", "dico", "random_groups", "gradps", "lorasa", "group_id", "madps",
    "prism", "hypermarl_linear",
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """Colour, dashes as in SVG, name of the marker."""

    colour: str
    dashes: str
    marker: str


def style_of(scheme: str) -> Style:
    """Return the style of a scheme. Names that the suite does not know share 30 dashed styles."""
    count = len(COLOURS)
    if scheme in _NAMES:
        place = _NAMES.index(scheme)
    else:
        place = count + int(sha256_hex(scheme.encode("utf-8", "replace"))[:8], 16) % (count * (len(_DASHES) - 1))
    turn = place // count
    return Style(COLOURS[place % count], _DASHES[turn % len(_DASHES)], MARKERS[(place + turn) % len(MARKERS)])
