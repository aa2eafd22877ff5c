"""stable-baselines3: its own PPO trains one policy that all agents share; a slot is an agent of a lane."""

from stable_baselines3 import PPO

import adaps_envs

lanes = adaps_envs.make("BPS-1", api="sb3", num_envs=4, groups=[2, 1])
model = PPO("MlpPolicy", lanes, n_steps=25, batch_size=100, n_epochs=1, seed=0)
model.learn(1_200)
print("agent steps played:", model.num_timesteps)
