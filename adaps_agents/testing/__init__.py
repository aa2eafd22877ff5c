"""What we hold our own sharing schemes to, for authors of plug-ins to use as well.

>>> from adaps_agents.testing import check_scheme
>>> check_scheme("fups").passed
True
"""

from __future__ import annotations

from adaps_agents.testing.check import CHECKS, SchemeReport, check_scheme
from adaps_agents.testing.subject import SchemeCheckError, Subject

__all__ = ["CHECKS", "SchemeCheckError", "SchemeReport", "Subject", "check_scheme"]
