"""BenchMARL: a task class for every id, and its IPPO, MAPPO or QMIX on it."""

import tempfile

from benchmarl.algorithms import MappoConfig
from benchmarl.environments.pettingzoo.common import PettingZooClass
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from torchrl.envs import MarlGroupMapType, PettingZooWrapper

import adaps_envs


class AdapsTask(PettingZooClass):
    """``config`` holds the id as ``env`` and the environment's parameters."""

    def get_env_fun(self, num_envs, continuous_actions, seed, device):
        params = {name: value for name, value in self.config.items() if name != "env"}
        one_group = MarlGroupMapType.ALL_IN_ONE_GROUP
        return lambda: PettingZooWrapper(
            adaps_envs.make(self.config["env"], render_mode="rgb_array", **params),
            return_state=True, group_map=one_group, categorical_actions=True, use_mask=False, device=device, seed=seed,
        )  # fmt: skip

    def supports_continuous_actions(self):
        return False

    def supports_discrete_actions(self):
        return True

    def has_state(self):
        return True


task = AdapsTask("BPS-1", {"env": "BPS-1", "groups": [2, 1], "max_cycles": 25})
settings = ExperimentConfig.get_from_yaml()
settings.loggers, settings.evaluation, settings.render = [], False, False
settings.save_folder = tempfile.mkdtemp()
settings.max_n_iters, settings.on_policy_n_envs_per_worker = 2, 2
settings.on_policy_collected_frames_per_batch, settings.on_policy_minibatch_size = 200, 100
settings.on_policy_n_minibatch_iters = 1
experiment = Experiment(
    task=task, algorithm_config=MappoConfig.get_from_yaml(), model_config=MlpConfig.get_from_yaml(),
    critic_model_config=MlpConfig.get_from_yaml(), seed=0, config=settings,
)  # fmt: skip
experiment.run()
print("frames played:", experiment.total_frames)
