"""The environment families."""
