"""AgileRL: its IPPO, in parallel processes."""

from agilerl.algorithms import IPPO
from agilerl.training.train_multi_agent_on_policy import train_multi_agent_on_policy
from agilerl.vector.pz_async_vec_env import AsyncPettingZooVecEnv

import adaps_envs


def make_env():
    return adaps_envs.make("BPS-1", groups=[2, 1], max_cycles=50)


if __name__ == "__main__":
    lanes = AsyncPettingZooVecEnv([make_env for _ in range(2)])
    observation_spaces = [lanes.single_observation_space(agent) for agent in lanes.agents]
    action_spaces = [lanes.single_action_space(agent) for agent in lanes.agents]
    settings = {"batch_size": 64, "learn_step": 100, "lr": 1e-3, "gamma": 0.95}
    learner = IPPO(observation_spaces, action_spaces, agent_ids=lanes.agents, **settings)
    (trained,), _ = train_multi_agent_on_policy(
        lanes, "BPS-1", "IPPO", [learner], max_steps=400, evo_steps=200, eval_steps=50, verbose=False
    )
    lanes.close()
    print("environment steps played:", trained.steps, "evaluations:", len(trained.fitness))
