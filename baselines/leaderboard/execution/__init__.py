"""Planning, running and evaluating the runs of a suite."""
