"""PufferLib: its emulation of a parallel PettingZoo environment, and its vectorisation."""

import warnings

import numpy as np
import pufferlib.emulation
import pufferlib.vector

import adaps_envs


def make_env(**kwargs) -> pufferlib.emulation.PettingZooPufferEnv:
    return pufferlib.emulation.PettingZooPufferEnv(adaps_envs.make("BPS-1", groups=[2, 1]), **kwargs)


# "overriding num_agents": every PettingZoo environment has that attribute.
warnings.filterwarnings("ignore", message="(?s).*num_agents")
lanes = pufferlib.vector.make(make_env, backend=pufferlib.vector.Serial, num_envs=4)
observations, _ = lanes.reset(seed=0)
returns = np.zeros(len(observations))
for _ in range(200):
    observations, rewards, terminated, truncated, infos = lanes.step(lanes.action_space.sample())
    returns += rewards
print("agent steps played:", 200 * len(returns), "observations:", observations.shape)
