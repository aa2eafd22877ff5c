"""RLlib: its PPO with one policy per group, by the mapping of a scheme."""

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.tune.registry import register_env

import adaps_envs
from adaps_agents import SharingA2C
from adaps_agents.export import policy_mapping_fn

roster = {"groups": [2, 1]}
# Leave `labels` out and train: the identity phase finds them.
model = SharingA2C("adaps", "BPS-1", env_kwargs=roster, policy_kwargs={"scheme_kwargs": {"labels": [0, 0, 1]}})
mapping = policy_mapping_fn(model)
register_env("BPS-1", lambda params: ParallelPettingZooEnv(adaps_envs.make("BPS-1", **params)))
config = (
    PPOConfig()
    .environment("BPS-1", env_config=roster)
    .env_runners(num_env_runners=0)
    .multi_agent(policies=set(mapping.policies), policy_mapping_fn=mapping)
    .training(train_batch_size=400, minibatch_size=100, num_epochs=1)
)
learner = config.build_algo()
result = learner.train()
played = result["env_runners"]["num_env_steps_sampled_lifetime"]
print("environment steps played:", int(played), "policies:", sorted(mapping.policies))
learner.stop()
