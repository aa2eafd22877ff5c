"""TorchRL: its PettingZoo wrapper, where agents of one hidden type are one group, found by the identity phase."""

from torchrl.envs import PettingZooWrapper

import adaps_envs
from adaps_agents import SharingA2C
from adaps_agents.export import group_map

model = SharingA2C("adaps", "BPS-1", env_kwargs={"groups": [2, 1]}, num_lanes=32, seed=0)
model.learn(10_200)  # the identity phase and a first update
env = PettingZooWrapper(adaps_envs.make("BPS-1", groups=[2, 1]), group_map=group_map(model), use_mask=False)
rollout = env.rollout(25)
print(
    "environment steps played:", len(rollout), "groups:", {name: len(agents) for name, agents in env.group_map.items()}
)
