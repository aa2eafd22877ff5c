"""AdaPS in wider layers: as many neurons for each agent as full sharing, at more storage."""

from __future__ import annotations

from typing import Any

import pytest
from methods_common import build

from adaps_envs.errors import InvalidParameterError


@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_twice_the_width_at_half_the_neurons_computes_as_much_as_full_sharing(recurrent: str) -> None:
    labels = [0, 0, 1, 1]
    wide = build("adaps", labels=labels, width=2, keep=0.5, recurrent=recurrent)
    plain = build("fups", recurrent=recurrent)
    assert tuple(wide.hidden) == tuple(2 * layer for layer in plain.hidden)
    kept = [mask.float().sum(dim=1).tolist() for mask in wide.actor_net.masks[: len(plain.hidden)]]
    assert kept == [[layer] * 2 for layer in plain.hidden]
    assert wide.param_report()["trainable"] > 2 * plain.param_report()["trainable"]


def test_width_one_is_the_default() -> None:
    first, second = (build("adaps", labels=[0, 0, 1, 1], **options) for options in ({}, {"width": 1.0}))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("width", [0, -1, "2", True, 65, float("nan")])
def test_other_widths_are_refused(width: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"width is .* must be a number above 0, at most 64"):
        build("adaps", width=width)
