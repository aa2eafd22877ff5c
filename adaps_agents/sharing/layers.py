"""Moved to :mod:`adaps_agents.networks.grouped_mlp`."""

from adaps_envs.moved import moved

__getattr__ = moved(__name__, "adaps_agents.networks.grouped_mlp")
