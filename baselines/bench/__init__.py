"""``adaps bench``: speed next to installed peers."""
