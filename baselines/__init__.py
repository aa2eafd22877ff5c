"""Sharing schemes to compare with, one file each, and the leaderboard that compares them."""
