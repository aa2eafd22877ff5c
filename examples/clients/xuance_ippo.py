"""XuanCe: an environment class for every id (``env_id``) and its parameters (``params``), and its IPPO on it."""

import os
import tempfile
from argparse import Namespace

import numpy as np
from gymnasium.spaces import Box
from xuance.common import get_arguments
from xuance.environment import REGISTRY_MULTI_AGENT_ENV, RawMultiAgentEnv, make_envs
from xuance.torch.agents import IPPO_Agents

import adaps_envs


class AdapsEnv(RawMultiAgentEnv):
    def __init__(self, config):
        super().__init__()
        self.env = adaps_envs.make(config.env_id, **config.params)
        self.env.reset(seed=config.env_seed)
        self.agents, self.num_agents = self.env.possible_agents, len(self.env.possible_agents)
        self.observation_space, self.action_space = self.env.observation_spaces, self.env.action_spaces
        self.state_space = Box(-np.inf, np.inf, self.state().shape, np.float32)
        self.max_episode_steps = config.params["max_cycles"]

    def reset(self):
        return self.env.reset()

    def step(self, actions):
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        return observations, rewards, terminated, all(truncated.values()), infos

    def state(self):
        return self.env.state()

    def render(self, *args, **kwargs):
        return self.env.render()

    def close(self):
        self.env.close()


REGISTRY_MULTI_AGENT_ENV["adaps"] = AdapsEnv
settings = Namespace(
    env_name="adaps", env_id="BPS-1", params={"groups": [2, 1], "max_cycles": 50}, vectorize="DummyVecMultiAgentEnv",
    policy="Categorical_MAAC_Policy", continuous_action=False, device="cpu",
    parallels=4, buffer_size=200, running_steps=400,
)  # fmt: skip
os.chdir(tempfile.mkdtemp())  # XuanCe logs into the working directory
config = get_arguments("ippo", "mpe", "simple_spread_v3", parser_args=settings)
config.agent_name, config.test_mode = config.agent, False
learner = IPPO_Agents(config, make_envs(config))
learner.train(100)
print("environment steps played:", learner.current_step)
learner.finish()
