"""Control: AdaPS whose groups each get neurons of their own instead of a mapped mask."""

from __future__ import annotations

from typing import Any

from adaps_agents.schemes.adaps import AdaPS

__all__ = ["SCHEME", "DisjointMasks"]


class DisjointMasks(AdaPS):
    """AdaPS with ``codes="disjoint"``: tells whether the mapping network matters.

    Args:
        **options: AdaPS's options.
    """

    name = "disjoint_masks"
    summary = "control: AdaPS whose groups each get neurons of their own instead of a mapped mask"
    source = "control for AdaPS"
    parameter_formula = "P"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"codes": "disjoint", **options})


SCHEME = DisjointMasks
