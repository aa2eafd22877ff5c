"""Tianshou: one deep Q-network per agent, over the AEC environment, turn by turn."""

from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
from tianshou.algorithm.multiagent.marl import MultiAgentOffPolicyAlgorithm
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv, PettingZooEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

import adaps_envs


def make_env() -> PettingZooEnv:
    return PettingZooEnv(adaps_envs.make("BPS-1", api="aec", groups=[2, 1]))


def make_learner(env: PettingZooEnv) -> DQN:
    sizes = {"state_shape": env.observation_space.shape, "action_shape": env.action_space.n, "hidden_sizes": [64, 64]}
    policy = DiscreteQLearningPolicy(model=Net(**sizes), action_space=env.action_space, eps_training=0.2)
    return DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), gamma=0.95, target_update_freq=100)


env = make_env()
learner = MultiAgentOffPolicyAlgorithm(algorithms=[make_learner(env) for _ in env.agents], env=env)
lanes = DummyVectorEnv([make_env for _ in range(4)])
collector = Collector(learner, lanes, VectorReplayBuffer(20_000, len(lanes)), exploration_noise=True)
collector.reset()
collector.collect(n_step=200)
result = learner.run_training(
    OffPolicyTrainerParams(
        training_collector=collector,
        max_epochs=1,
        epoch_num_steps=200,
        collection_step_num_env_steps=100,
        batch_size=64,
        update_step_num_gradient_steps_per_sample=0.05,
        test_step_num_episodes=0,
        multi_agent_return_reduction=lambda returns: returns.sum(axis=1),
    )
)
print("agent turns played:", result.train_step, "updates:", result.update_step)
