"""The stable-baselines3 policy that runs a scheme, and what it stores of a rollout."""
