"""Adaptive parameter sharing: identity phase, mapping from cluster centres to masks, and the scheme itself."""
