"""The leaderboard: tasks and suites, runs that survive interruption, statistics and the report."""
