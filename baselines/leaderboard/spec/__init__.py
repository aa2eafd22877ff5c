"""What a task, a suite and a run are."""
