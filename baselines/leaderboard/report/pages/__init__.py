"""The pages of a board's site."""
