"""What SharingA2C and SharingPPO have in common: set-up, identity phase and rollouts with the agent axis kept."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback, ProgressBarCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback, TensorDict
from stable_baselines3.common.vec_env import VecEnv

from adaps_agents.identity.collect import Collector
from adaps_agents.learners.arguments import (
    check_actions,
    check_keywords,
    check_slots,
    check_states,
    check_steps,
    check_team,
    checked_seed,
    sharing_arguments,
)
from adaps_agents.learners.evaluation import all_callbacks, counting_lanes, unscaled_rewards
from adaps_agents.learners.inspection import Inspectable
from adaps_agents.policy.policy import SharingPolicy, check_spaces, sample_actions
from adaps_agents.policy.recurrent import RecurrentRolloutBuffer, SequenceBatch
from adaps_agents.policy.rollout import AgentRolloutBuffer, Minibatch
from adaps_agents.random_streams import MAX_ENV_SEED, derived_seed, numpy_stream, torch_stream
from adaps_agents.schemes import LearningState, SharingScheme
from adaps_agents.schemes.base import PARTS, network
from adaps_agents.threads import checked_threads, running_on

__all__ = ["SharingOnPolicy"]

Learner = TypeVar("Learner", bound="SharingOnPolicy")


class SharingOnPolicy(Inspectable):
    """Base of the sharing learners.

    ``total_timesteps`` and ``num_timesteps`` count environment steps: one step of one lane moves all N agents. Steps of
    the identity phase are counted. Losses are means over steps, lanes and agents alike, in every scheme.
    The seed reaches generators of the learner's own; no global generator is touched.

    Args:
        policy: name of a sharing scheme, e.g. ``"adaps"``.
        env: vectorised environment with one slot an agent (``adaps_envs.make(id, api="sb3", num_envs=B)``), or an id.
        num_lanes: lanes to make when ``env`` is an id.
        env_kwargs: parameters of the environment when ``env`` is an id, for example ``{"groups": [2, 2]}``.
        torch_threads: threads of torch while ``learn`` runs; afterwards torch has as many as before. Small networks
            train faster on one. None leaves torch as it is.
        policy_kwargs: ``net_arch``, ``activation_fn``, ``critic``, ``recurrent``, ``scheme_kwargs`` (the scheme's
            options), optimiser settings; see :class:`SharingPolicy`.
        device: ``"cpu"`` unless asked, as networks of this size are too small for a GPU to pay; ``"cuda"``; or
            stable-baselines3's ``"auto"``, a GPU if there is one. Environments and rollouts stay on the CPU.
        **kwargs: the algorithm's own arguments under its own names. Timesteps count environment steps.

    Raises:
        UnknownNameError: unknown scheme or id.
        InvalidParameterError: an option that does not fit.
    """

    policy: SharingPolicy
    rollout_buffer: AgentRolloutBuffer
    generator: torch.Generator
    # Files from before there was this argument do not hold it.
    torch_threads: int | None = 1

    def __init__(
        self,
        policy: str | type[SharingPolicy],
        env: Any,
        *,
        num_lanes: int = 8,
        env_kwargs: dict[str, Any] | None = None,
        torch_threads: int | None = 1,
        seed: int | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        device: torch.device | str = "cpu",
        **kwargs: Any,
    ) -> None:
        check_keywords(env, kwargs, inspect.signature(super().__init__).parameters)
        from_file = not kwargs.get("_init_setup_model", True)
        seed = None if seed is None else checked_seed(seed)
        policy, env, options = sharing_arguments(
            policy, env, num_lanes, seed, policy_kwargs, env_kwargs, from_file=from_file
        )
        recurrent = options.get("recurrent", "none") != "none"
        kwargs.setdefault("rollout_buffer_class", RecurrentRolloutBuffer if recurrent else AgentRolloutBuffer)
        sizes = {"num_agents": options.get("num_agents", 1), "state_dim": options.get("state_dim", 0)}
        kwargs.setdefault("rollout_buffer_kwargs", sizes)
        kwargs |= {"seed": seed, "policy_kwargs": options, "device": device}
        self.torch_threads = checked_threads(torch_threads)
        super().__init__(policy, env, **kwargs)
        if self.device.type == "cpu" and str(device).startswith("cuda"):
            warnings.warn(
                f"device is {str(device)!r}, but PyTorch finds no CUDA here: the learner runs on the CPU.", stacklevel=2
            )

    @classmethod
    def load(cls, path: Any, env: Any = None, device: torch.device | str = "cpu", *args: Any, **kwargs: Any) -> Any:
        """Load what ``save`` wrote, to the CPU unless another ``device`` is asked for; see stable-baselines3."""
        return super().load(path, env, device, *args, **kwargs)

    @property
    def scheme(self) -> SharingScheme:
        """The sharing scheme, a module that holds all weights."""
        return self.policy.scheme

    @property
    def num_agents(self) -> int:
        """N."""
        return int(self.policy_kwargs["num_agents"])

    @property
    def num_lanes(self) -> int:
        """B, the number of parallel copies of the environment."""
        return self.n_envs // self.num_agents

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the learner's generator, the action space and the environment, and nothing global."""
        seed = None if seed is None else checked_seed(seed)
        self.generator = torch_stream(self.policy_kwargs["seed"] if seed is None else seed, "learner")
        if seed is not None:
            self.action_space.seed(seed)
            if self.env is not None:
                self.env.seed(seed)

    def _setup_model(self) -> None:
        """Make buffer and policy once spaces and team are known to fit."""
        check_spaces(self.observation_space, self.action_space)
        if self.env is not None:
            self._check_env(self.env)
        super()._setup_model()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Take another environment of the same team; see stable-baselines3.

        Raises:
            InvalidParameterError: it has another number of agents, or not the state that a centralised critic reads.
        """
        self._check_env(env)
        super().set_env(env, force_reset)

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Check what the base class would wrap, here and in ``set_env`` and ``load``."""
        check_slots(env)
        return OnPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _check_env(self, env: Any) -> None:
        check_slots(env)
        check_team(env, self.num_agents)
        if "action_mask" in self.policy_kwargs:  # Files from before there were masks do not tell.
            check_actions(env, self.policy_kwargs["action_mask"])
        if self.policy_kwargs.get("critic") == "central":
            check_states(env, self.policy_kwargs["state_dim"])
            env.report_states()

    def learn(self: Learner, *args: Any, **kwargs: Any) -> Learner:
        """Train for ``total_timesteps`` environment steps; arguments as in stable-baselines3."""
        with running_on(self.torch_threads):
            return super().learn(*args, **kwargs)

    def set_parameters(
        self, load_path_or_dict: str | TensorDict, exact_match: bool = True, device: torch.device | str = "auto"
    ) -> None:
        """Load weights, groups and masks, then the optimiser's state if it is there; see stable-baselines3.

        A following ``learn`` trains these weights: the identity phase is not run again if it had been run for them.
        """
        if isinstance(load_path_or_dict, dict):
            # The optimiser's state belongs to the parameters of the loaded groups, so "policy" comes first.
            load_path_or_dict = dict(sorted(load_path_or_dict.items()))
        super().set_parameters(load_path_or_dict, exact_match, device)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "generator"]

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        """Set up as usual, then run the scheme's preparation if it has not been run yet."""
        check_steps(total_timesteps)
        # The base class resets the environment in the same cases, after a load into another one among them.
        new_episodes = reset_num_timesteps or self._last_obs is None
        result = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        if new_episodes:
            self._team_return = np.zeros(self.num_lanes)
            self._team_length = np.zeros(self.num_lanes, dtype=np.int64)
            self._memory = {part: network(self.scheme, part).initial_state(self.num_lanes) for part in PARTS}
        # Weights may have come into the scheme directly, with groups of their own.
        self.policy.check_optimizer()
        if not self.policy.prepared():
            self._prepare(result[0] - self.num_timesteps)
        left = self._total_timesteps - self.num_timesteps
        if left > 0:
            self.scheme.plan_training(-(-left // (self.n_steps * self.num_lanes)))
        self._begin_inspection()
        return result

    def _init_callback(self, callback: MaybeCallback, progress_bar: bool = False) -> BaseCallback:
        """Let progress bars count environment steps, as ``num_timesteps`` does, not slots."""
        made = super()._init_callback(callback, progress_bar)
        for part in all_callbacks(made):
            if isinstance(part, ProgressBarCallback):
                part.init_callback(counting_lanes(self))
        return made

    def _prepare(self, budget: int) -> None:
        """Let the scheme explore and regroup; charge its steps, and start training from a freshly seeded start."""
        assert self.env is not None
        assert isinstance(self.action_space, spaces.Discrete)
        seed = self.policy_kwargs["seed"]
        collector = Collector(
            self.env, self.num_agents, int(self.action_space.n), numpy_stream(seed, "identity", "actions")
        )
        self.env.seed(derived_seed(seed, "identity", "environment") % MAX_ENV_SEED)
        self.num_timesteps += self.policy.prepare(collector, budget)
        self.env.seed(seed % MAX_ENV_SEED)
        self._last_obs = self.env.reset()  # type: ignore[assignment]
        self._last_episode_starts = np.ones(self.n_envs, dtype=bool)

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: AgentRolloutBuffer,  # type: ignore[override]
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` steps of every lane; False if a callback asked to stop."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        if isinstance(rollout_buffer, RecurrentRolloutBuffer):
            rollout_buffer.begin(self._memory["actor"], self._memory["critic"])
        shape = (self.num_lanes, self.num_agents)
        # Callbacks read the local variables by stable-baselines3's names, slot by slot.
        for n_steps in range(n_rollout_steps):  # noqa: B007
            obs_tensor = torch.from_numpy(np.asarray(self._last_obs, dtype=np.float32))
            obs = obs_tensor.view(*shape, -1)
            if self.policy.state_dim:
                rollout_buffer.add_state(env.global_state())  # type: ignore[attr-defined]
            with torch.no_grad():
                logits, remembered = self._decide(obs.to(self.device), rollout_buffer)
                chosen = sample_actions(logits, self.generator)
            actions = clipped_actions = chosen.numpy().reshape(-1)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self.num_timesteps += self.num_lanes
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            rollout_buffer.add(obs, chosen, logits, rewards, dones)
            self._count_episodes(unscaled_rewards(env, rewards), dones)
            if dones.any():
                self._note_truncations(rollout_buffer, dones, infos)
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts = dones
            self._memory["actor"] = remembered
        with torch.no_grad():
            last = torch.from_numpy(np.asarray(self._last_obs, dtype=np.float32)).view(*shape, -1)
            states = env.global_state() if self.policy.state_dim else np.zeros((self.num_lanes, 0), np.float32)  # type: ignore[attr-defined]
            self._finish(rollout_buffer, last, torch.from_numpy(states))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _decide(self, obs: torch.Tensor, buffer: AgentRolloutBuffer) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits ``[B, N, A]`` on the CPU, and what the actor then remembers, ``[B, N, H]``."""
        memory = self._memory["actor"]
        if not isinstance(buffer, RecurrentRolloutBuffer):
            return self.policy.masked(self.scheme.actor(obs)).cpu(), memory
        starts = torch.from_numpy(np.asarray(self._last_episode_starts, dtype=bool)).view(obs.shape[:2])
        buffer.add_starts(starts)
        logits, states = self.scheme.actor_net.sequence(obs[None], starts[None].to(self.device), memory)
        return self.policy.masked(logits[0]).cpu(), states[0]

    def _finish(self, buffer: AgentRolloutBuffer, last_obs: torch.Tensor, last_states: torch.Tensor) -> None:
        """Compute advantages and returns; a recurrent critic goes through the rollout here, once."""
        if isinstance(buffer, RecurrentRolloutBuffer):
            buffer.finish(self.policy.value_sequence, last_obs, last_states)  # type: ignore[arg-type]
            self._memory["critic"] = buffer.last_critic_state
        else:
            buffer.finish(self.policy.values, last_obs, last_states)

    def _logits(self, batch: Minibatch) -> torch.Tensor:
        """Return the present policy's logits for a minibatch."""
        if isinstance(batch, SequenceBatch):
            logits = self.scheme.actor_net.sequence(batch.observations, batch.starts, batch.actor_state)[0]
        else:
            logits = self.scheme.actor(batch.observations)
        return self.policy.masked(logits)

    def _values(self, batch: Minibatch) -> torch.Tensor:
        """Return the present critic's values for a minibatch."""
        if isinstance(batch, SequenceBatch):
            return self.policy.value_sequence(batch.observations, batch.states, batch.starts, batch.critic_state)[0]
        return self.policy.values(batch.observations, batch.states)

    def _note_truncations(
        self, buffer: AgentRolloutBuffer, dones: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> None:
        """Hand what was seen at the time limit to the buffer."""
        limited = [slot for slot in np.flatnonzero(dones).tolist() if infos[slot].get("TimeLimit.truncated", False)]
        if not limited:
            return
        lane, agent = np.divmod(limited, self.num_agents)
        lanes, row = np.unique(lane, return_inverse=True)
        agents = np.zeros((len(lanes), self.num_agents), np.float32)
        final = np.zeros((*agents.shape, *(self.observation_space.shape or ())), np.float32)
        states = np.zeros((len(lanes), self.policy.state_dim), np.float32)
        # All slots at once: hundreds of them mostly reach the limit in the same step.
        agents[row, agent] = 1.0
        final[row, agent] = [infos[slot]["terminal_observation"] for slot in limited]
        if self.policy.state_dim:
            states[row] = [infos[slot]["terminal_state"] for slot in limited]
        buffer.add_truncated(*(torch.from_numpy(array) for array in (lanes, agents, final, states)))

    def _count_episodes(self, rewards: NDArray[Any], dones: NDArray[np.bool_]) -> None:
        """Keep team returns (sum over agents) for the logger: an episode of a lane is one episode, not N."""
        self._team_return += np.asarray(rewards).reshape(self.num_lanes, -1).sum(axis=1)
        self._team_length += 1
        if not dones.any():
            return
        for lane in np.flatnonzero(dones.reshape(self.num_lanes, -1).all(axis=1)):
            assert self.ep_info_buffer is not None
            self.ep_info_buffer.append({"r": float(self._team_return[lane]), "l": int(self._team_length[lane])})
            self._team_return[lane], self._team_length[lane] = 0.0, 0

    def _with_auxiliary(self, loss: torch.Tensor, policy_loss: torch.Tensor, batch: Minibatch) -> torch.Tensor:
        """Let the scheme see where training stands and add its own loss, if it has one."""
        starts = batch.starts if isinstance(batch, SequenceBatch) else None
        self.scheme.learning = LearningState(
            self.num_timesteps, self._total_timesteps, policy_loss.detach(), batch.observations, self.policy.optimizer,
            starts, self.policy.own_actions,
        )  # fmt: skip
        auxiliary = self.scheme.aux_loss()
        return loss if auxiliary is None else loss + auxiliary

    def _descend(self, loss: torch.Tensor) -> None:
        """Make one gradient step; the algorithm's own ``max_grad_norm`` holds."""
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.policy.clip_gradients(self.max_grad_norm)
        self.policy.optimizer.step()

    def _after_update(self) -> None:
        """Let the scheme react to the finished update; it may have changed its parameters."""
        if self.scheme.after_update(self._n_updates):
            self.policy.rebuild_optimizer(keep_state=True)

    def _log_values(self) -> None:
        """Log the share of the returns' variance that the critic explains."""
        returns = self.rollout_buffer.returns
        variance = returns.var()
        explained = 1.0 - (returns - self.rollout_buffer.values).var() / variance
        self.logger.record("train/explained_variance", float(explained) if variance > 0 else float("nan"))
