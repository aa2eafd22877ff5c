"""Sharing schemes to compare with, one file each, and the leaderboard that compares them."""

EXIT_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C or SIGTERM has ended; here, where nothing else must be imported to know it."""
