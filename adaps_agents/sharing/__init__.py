"""Moved to :mod:`adaps_agents.networks`."""
