"""stable-baselines3 learners that keep the agent axis."""
