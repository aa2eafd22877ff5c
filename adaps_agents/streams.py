"""Moved to :mod:`adaps_agents.random_streams`."""

from adaps_envs.moved import moved

__getattr__ = moved(__name__, "adaps_agents.random_streams")
