"""SuperSuit: its pipeline from PettingZoo to stable-baselines3's own PPO."""

import supersuit
from stable_baselines3 import PPO

import adaps_envs

env = supersuit.agent_indicator_v0(adaps_envs.make("BPS-1", groups=[2, 1]), type_only=False)
env = supersuit.pettingzoo_env_to_vec_env_v1(env)
lanes = supersuit.concat_vec_envs_v1(env, 4, num_cpus=0, base_class="stable_baselines3")
model = PPO("MlpPolicy", lanes, n_steps=25, batch_size=100, n_epochs=1)
model.learn(1_200)
print("agent steps played:", model.num_timesteps)
