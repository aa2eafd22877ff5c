"""Sharing schemes: which agents use which weights."""

from __future__ import annotations

from adaps_agents.schemes.base import AgentSpaces, LearningState, SharingScheme
from adaps_agents.schemes.registry import SchemeSpec, list_schemes, make_scheme, scheme_spec

__all__ = ["AgentSpaces", "LearningState", "SchemeSpec", "SharingScheme", "list_schemes", "make_scheme", "scheme_spec"]
