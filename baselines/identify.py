"""Moved to :mod:`baselines.cli.identify`."""

from adaps_envs.moved import moved

__getattr__ = moved(__name__, "baselines.cli.identify")
