"""What an option may ask for at most: options come from records, too, which somebody else has written."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adaps_agents.identity.encoder import EncoderConfig
from adaps_agents.networks.grouped_mlp import orthogonal_stack
from adaps_agents.schemes import make_scheme
from adaps_agents.schemes.base import AgentSpaces
from adaps_envs.errors import InvalidParameterError

ENORMOUS: list[tuple[str, dict[str, Any]]] = [
    ("hypermarl", {"width": 10**6}),
    ("hypermarl", {"embedding": 10**9}),
    ("lorasa", {"rank": 10**9}),
    ("prism", {"rank": 10**9}),
    ("kaleidoscope", {"window": 10**10}),
    ("adaps", {"hidden": 10**7}),
    ("adaps", {"min_hamming": 1.0, "max_redraws": 10**9}),
    ("adaps_gates", {"gain_code": 10**9}),
    ("adaps", {"identity": {"encoder": {"hidden": 10**6}}}),
    ("adaps", {"identity": {"encoder": {"batch_size": 10**9}}}),
]


@pytest.mark.parametrize(("scheme", "options"), ENORMOUS)
def test_an_option_cannot_ask_for_enormous_networks_or_endless_draws(scheme: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=r"it must be an integer >= 1 and <= "):
        make_scheme(scheme, **options)


def test_the_bounds_leave_room_for_the_defaults() -> None:
    for scheme in ("hypermarl", "lorasa", "prism", "kaleidoscope", "adaps", "adaps_gates"):
        make_scheme(scheme)
    EncoderConfig(hidden=4_096, batch_size=65_536)


def test_a_stack_of_too_many_weights_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(InvalidParameterError, match="at most 268,435,456 are made"):
        orthogonal_stack([4_096, 4_096, 4_096], 100, 1.0, 0, "actor")


def test_corrections_of_many_agents_are_refused_before_they_take_memory() -> None:
    scheme = make_scheme("lorasa", rank=4_096, switch_at=0.0)
    with pytest.raises(InvalidParameterError, match=r"their corrections have .* at most 268,435,456 are made"):
        scheme.build(AgentSpaces(8_000, 30, 5), [60], torch.Generator().manual_seed(0))
