"""Control: AdaPS whose groups get an independent random mask instead of a mapped mask."""

from __future__ import annotations

from typing import Any

from adaps_agents.schemes.adaps import AdaPS

__all__ = ["SCHEME", "RandomMasks"]


class RandomMasks(AdaPS):
    """AdaPS with ``codes="random"``: tells whether the mapping network matters.

    Args:
        **options: AdaPS's options.
    """

    name = "random_masks"
    summary = "control: AdaPS whose groups get an independent random mask instead of a mapped mask"
    source = "control for AdaPS"
    parameter_formula = "P"

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"codes": "random", **options})


SCHEME = RandomMasks
