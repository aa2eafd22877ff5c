"""Parameters on BPS-1 (15 agents, 10 observed entries, 5 actions, 64-64) as published formulas have them."""

from __future__ import annotations

from typing import Any

import pytest
from methods_common import P_ACTOR, P_CRITIC, on_bps_1

from adaps_agents import list_schemes

P = P_ACTOR + P_CRITIC
TYPES = [index // 5 for index in range(15)]
GROUPS = {"labels": TYPES}
# Actor, and actor plus critic. LoRASA's count is that of its second phase, the frozen policy among the actor's.
COUNTS: dict[str, tuple[dict[str, Any], int, int]] = {
    "nops": ({}, 77_835, 151_770),
    "fups": ({}, 5_189, 10_118),
    "fups_id": ({}, 6_149, 12_038),
    "seps": (GROUPS, 15_567, 30_354),
    "oracle": ({"types": TYPES}, 15_567, 30_354),
    "snp_ps": ({}, 5_189, 10_118),
    "adaps": (GROUPS, 5_189, 10_118),
    "adaps_gates": (GROUPS, 5_189, 10_118),
    "kaleidoscope": ({"agent_index": False}, 81_029, 81_029 + P_CRITIC + 15 * (640 + 4_096 + 64)),
    "hypermarl_linear": ({}, 77_835, 151_770),
    "hypermarl": ({}, 340_861, 664_822),
    "lorasa": ({"switch_at": 0.0}, 37_709, 37_709 + P_CRITIC),
    "dico": ({}, 83_024, 83_024 + 15 * P_CRITIC),
    "gradps": ({}, P_ACTOR, P),
    "madps": ({}, 77_835, 151_770),
    "prism": ({}, 10 * 75 + 64 * 129 + 5 * 70 + 15 * 79 + 133, 21_000),
    "group_id": (GROUPS, P_ACTOR + 3 * 64, P + 2 * 3 * 64),
    "random_groups": (GROUPS, 15_567, 30_354),
    "random_masks": (GROUPS, 5_189, 10_118),
    "disjoint_masks": (GROUPS, 5_189, 10_118),
}


@pytest.mark.parametrize("scheme", sorted(COUNTS))
def test_the_count_is_the_published_one(scheme: str) -> None:
    options, actor, both = COUNTS[scheme]
    report = on_bps_1(scheme, **options).param_report()
    frozen = report["fixed_parameters"] if scheme == "lorasa" else 0
    assert report["trainable_actor"] + frozen == actor
    assert report["trainable"] + frozen == both


def test_every_scheme_of_the_project_is_counted() -> None:
    assert set(COUNTS) <= set(list_schemes())
    assert {name for name in list_schemes() if name not in COUNTS} == set()


def test_what_is_fixed_is_counted_apart() -> None:
    assert on_bps_1("snp_ps").param_report()["fixed_bits"] == 15 * 256
    report = on_bps_1("adaps", **GROUPS)
    assert report.param_report()["fixed_bits"] == 3 * 256
    # As after an identity phase: codes of length 10 go through the mapping, and the autoencoder is discarded.
    report.identity_steps.fill_(10_000)
    assert report.param_report()["fixed_parameters"] == 17_344
    assert report.param_report()["pretraining_parameters"] == 8_863
