"""Every registered scheme passes the gate, and so do the options that change its function."""

from __future__ import annotations

from typing import Any

import pytest

from adaps_agents import list_schemes
from adaps_agents.testing import CHECKS, check_scheme
from adaps_envs.errors import InvalidParameterError, UnknownNameError

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("adaps", {"keep": 0.25}),
    ("adaps", {"masked": "same"}),
    ("adaps", {"masked": "actor", "rescale": "inverse"}),
    ("adaps", {"rescale": "inverse_sqrt"}),
    ("adaps", {"units": "weights"}),
    ("adaps", {"units": "both"}),
    ("adaps", {"binarisation": "threshold"}),
    ("adaps", {"binarisation": "bernoulli"}),
    ("adaps", {"binarisation": "soft"}),
    ("adaps", {"codes": "disjoint"}),
    ("adaps", {"codes": "disjoint", "keep": 0.2}),
    ("adaps", {"codes": "disjoint", "units": "weights"}),
    ("adaps", {"codes": "random"}),
    ("adaps", {"codes": "random", "binarisation": "bernoulli", "keep": 0.25}),
    ("adaps", {"codes": "sparse"}),
    ("adaps", {"codes": "sparse", "keep": 0.25, "masked": "actor", "rescale": "inverse"}),
    ("adaps", {"codes": "sparse", "keep": 1.0}),
    ("adaps", {"codes": "sparse", "binarisation": "bernoulli"}),
    ("adaps", {"codes": "sparse", "units": "weights"}),
    ("adaps", {"codes": "sparse", "units": "both"}),
    ("adaps", {"binarisation": "soft", "units": "both"}),
    ("adaps", {"keep": "auto", "rescale": "inverse_sqrt"}),
    ("adaps", {"labels": "each"}),
    ("adaps", {"labels": [0, 0, 0]}),
    ("adaps", {"labels": [1, 0, 2]}),
    ("seps", {"labels": [0, 0, 0]}),
    ("seps", {"labels": [2, 1, 0]}),
    ("snp_ps", {"keep": 0.25}),
    ("snp_ps", {"draw": "bernoulli"}),
    ("fups_id", {"scale": 2.0}),
]


@pytest.mark.parametrize("name", list_schemes())
def test_registered_schemes_keep_every_rule(name: str) -> None:
    report = check_scheme(name)
    report.raise_if_failed()
    assert [result.name for result in report.results] == list(CHECKS)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_options_keep_every_rule(name: str, options: dict[str, Any]) -> None:
    check_scheme(name, **options).raise_if_failed()


def test_what_does_not_apply_says_why() -> None:
    report = check_scheme("nops")
    messages = {result.name: result.message for result in report.results}
    assert report.counts()["skipped"] > 0
    assert "\npermutation             skipped  not applicable: no two agents" in str(report)
    assert (
        repr(report)
        == f"<SchemeReport nops: {report.counts()['passed']} passed, 0 failed, {report.counts()['skipped']} skipped>"
    )
    assert messages["permutation"] == "not applicable: no two agents have the same parameters"
    assert messages["batch_equals_loop"] == ""


def test_bad_calls_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fups'"):
        check_scheme("fupz")
    with pytest.raises(InvalidParameterError, match="keep is 2"):
        check_scheme("adaps", keep=2)
