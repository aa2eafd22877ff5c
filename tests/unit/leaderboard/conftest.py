"""Shared fixtures of the leaderboard's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fabricate import suite_data

from baselines.leaderboard.config import SuiteConfig


@pytest.fixture
def suite() -> SuiteConfig:
    """Two tasks, two schemes, two seeds."""
    return SuiteConfig.model_validate(suite_data())


@pytest.fixture
def make_suite() -> Callable[..., SuiteConfig]:
    """The same with some keys changed."""
    return lambda **changes: SuiteConfig.model_validate(suite_data(**changes))
