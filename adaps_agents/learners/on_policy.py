"""What SharingA2C and SharingPPO have in common: set-up, identity phase and rollouts with the agent axis kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv

from adaps_agents.identity.collect import Collector
from adaps_agents.learners.policy import SharingPolicy, check_spaces, sample_actions
from adaps_agents.learners.rollout import AgentRolloutBuffer
from adaps_agents.sharing import LearningState, SharingScheme
from adaps_agents.sharing.registry import scheme_class
from adaps_agents.streams import derived_seed, numpy_stream, torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["SharingOnPolicy", "sharing_arguments"]

# stable-baselines3 seeds environments with 32-bit numbers.
MAX_ENV_SEED = 2**31


class SharingOnPolicy(OnPolicyAlgorithm):
    """Base of the sharing learners.

    ``total_timesteps`` and ``num_timesteps`` count environment steps: one step of one lane moves all N agents. Steps of
    the identity phase are counted. Losses are means over steps, lanes and agents alike, in every scheme.
    The seed reaches generators of the learner's own; no global generator is touched.

    Args:
        policy: name of a sharing scheme, e.g. ``"adaps"``.
        env: vectorised environment with one slot an agent (``adaps_envs.make(id, api="sb3", num_envs=B)``), or an id.
        num_lanes: lanes to make when ``env`` is an id.
        policy_kwargs: ``net_arch``, ``activation_fn``, ``scheme_kwargs`` (the scheme's options), optimiser settings.
        **kwargs: the algorithm's own arguments under its own names. Timesteps count environment steps.

    Raises:
        UnknownNameError: unknown scheme or id.
        InvalidParameterError: an option that does not fit.
    """

    policy: SharingPolicy
    rollout_buffer: AgentRolloutBuffer  # type: ignore[assignment]
    generator: torch.Generator

    def __init__(
        self,
        policy: str | type[SharingPolicy],
        env: Any,
        *,
        num_lanes: int = 8,
        seed: int | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        from_file = not kwargs.get("_init_setup_model", True)
        policy, env, options = sharing_arguments(policy, env, num_lanes, seed, policy_kwargs, from_file=from_file)
        kwargs.setdefault("rollout_buffer_class", AgentRolloutBuffer)
        kwargs.setdefault("rollout_buffer_kwargs", {"num_agents": options.get("num_agents", 1)})
        kwargs |= {"seed": seed, "policy_kwargs": options}
        super().__init__(policy, env, **kwargs)

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
        self.generator = torch_stream(self.policy_kwargs["seed"] if seed is None else seed, "learner")
        if seed is not None:
            self.action_space.seed(seed)
            if self.env is not None:
                self.env.seed(seed)

    def _setup_model(self) -> None:
        """Make buffer and policy once spaces and team are known to fit."""
        check_spaces(self.observation_space, self.action_space)
        if self.env is not None:
            check_team(self.env, self.num_agents)
        super()._setup_model()

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Take another environment of the same team; see stable-baselines3.

        Raises:
            InvalidParameterError: it has another number of agents.
        """
        check_team(env, self.num_agents)
        super().set_env(env, force_reset)

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
        result = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        if reset_num_timesteps or not hasattr(self, "_team_return"):
            self._team_return = np.zeros(self.num_lanes)
            self._team_length = np.zeros(self.num_lanes, dtype=np.int64)
        if not getattr(self, "_prepared", False):
            self._prepare()
            self._prepared = True
        return result

    def _prepare(self) -> None:
        """Let the scheme explore and regroup; charge its steps, and start training from a freshly seeded start."""
        assert self.env is not None
        assert isinstance(self.action_space, spaces.Discrete)
        seed = self.policy_kwargs["seed"]
        collector = Collector(
            self.env, self.num_agents, int(self.action_space.n), numpy_stream(seed, "identity", "actions")
        )
        self.env.seed(derived_seed(seed, "identity", "environment") % MAX_ENV_SEED)
        self.num_timesteps += self.scheme.prepare(collector)
        self.policy.rebuild_optimizer()
        self.env.seed(seed % MAX_ENV_SEED)
        self._last_obs = self.env.reset()  # type: ignore[assignment]

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
        shape = (self.num_lanes, self.num_agents)
        for _ in range(n_rollout_steps):
            obs = torch.from_numpy(np.asarray(self._last_obs, dtype=np.float32)).view(*shape, -1)
            with torch.no_grad():
                logits = self.scheme.actor(obs.to(self.device)).cpu()
                actions = sample_actions(logits, self.generator)
            new_obs, rewards, dones, infos = env.step(actions.numpy().reshape(-1))
            self.num_timesteps += self.num_lanes
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            rollout_buffer.add(obs, actions, logits, rewards, dones)
            self._count_episodes(rewards, dones)
            if dones.any():
                self._note_truncations(rollout_buffer, dones, infos)
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts = dones
        with torch.no_grad():
            last = torch.from_numpy(np.asarray(self._last_obs, dtype=np.float32)).view(*shape, -1)
            rollout_buffer.finish(self.scheme.critic, last)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _note_truncations(
        self, buffer: AgentRolloutBuffer, dones: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> None:
        slots = np.array([slot for slot in np.flatnonzero(dones) if infos[slot].get("TimeLimit.truncated", False)])
        if len(slots):
            final = np.stack([np.asarray(infos[slot]["terminal_observation"], np.float32) for slot in slots])
            buffer.add_truncated(slots, final)

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

    def _with_auxiliary(
        self, loss: torch.Tensor, policy_loss: torch.Tensor, observations: torch.Tensor
    ) -> torch.Tensor:
        """Let the scheme see where training stands and add its own loss, if it has one."""
        self.scheme.learning = LearningState(
            self.num_timesteps, self._total_timesteps, policy_loss.detach(), observations, self.policy.optimizer
        )
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


def sharing_arguments(
    policy: str | type[SharingPolicy],
    env: Any,
    num_lanes: int,
    seed: int | None,
    policy_kwargs: dict[str, Any] | None,
    *,
    from_file: bool = False,
) -> tuple[type[SharingPolicy], Any, dict[str, Any]]:
    """Return policy class, environment and complete policy keywords from what the caller of a learner gave.

    Args:
        from_file: the model is being loaded: its keywords come from the file, nothing is completed.

    Raises:
        UnknownNameError: ``policy`` names no scheme.
        InvalidParameterError: the number of agents is not known, or another argument does not fit.
    """
    options = dict(policy_kwargs or {})
    if isinstance(policy, str):
        if policy != SharingPolicy.__name__:
            scheme_class(policy)
            options["scheme"] = policy
        policy = SharingPolicy
    if isinstance(env, str):
        from adaps_envs import make

        env = make(env, api="sb3", num_envs=num_lanes)
    if from_file:
        return policy, env, options
    if not (isinstance(policy, type) and issubclass(policy, SharingPolicy)) or "scheme" not in options:
        raise InvalidParameterError('no sharing scheme: pass its name as policy, for example SharingA2C("adaps", env).')
    if env is None:
        raise InvalidParameterError("env is None; give a vectorised environment or an id such as 'BPS-1'.")
    if "num_agents" not in options:
        options["num_agents"] = _num_agents(env)
    options.setdefault("seed", _checked_seed(seed))
    scheme_kwargs = dict(options.get("scheme_kwargs") or {})
    if scheme_class(options["scheme"]).needs_types and "types" not in scheme_kwargs:
        scheme_kwargs["types"] = _true_types(env)
    options["scheme_kwargs"] = scheme_kwargs
    return policy, env, options


def check_team(env: Any, num_agents: int) -> None:
    """Raise InvalidParameterError unless the slots of ``env`` are whole teams of ``num_agents`` agents."""
    declared, slots = getattr(env, "num_agents", num_agents), getattr(env, "num_envs", 1)
    if not isinstance(num_agents, int) or num_agents < 1 or declared != num_agents or slots % num_agents:
        raise InvalidParameterError(
            f"num_agents is {num_agents!r}, but the environment has {slots} slots for teams of {declared}; "
            "slots are lane * num_agents + agent, so give an environment of the same team."
        )


def _checked_seed(seed: Any) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise InvalidParameterError(f"seed is {seed!r}; it must be None or an integer >= 0.")
    return int(seed)


def _num_agents(env: Any) -> int:
    number = getattr(env, "num_agents", None)
    if not isinstance(number, int):
        raise InvalidParameterError(
            f"{type(env).__name__} does not say how its slots divide into agents; make it with "
            "adaps_envs.make(id, api='sb3', num_envs=...), or pass policy_kwargs=dict(num_agents=...)."
        )
    return number


def _true_types(env: Any) -> list[int]:
    batched = getattr(env, "batched", None)
    if batched is None:
        raise InvalidParameterError(
            "the oracle needs the true types; pass policy_kwargs=dict(scheme_kwargs=dict(types=...))."
        )
    types: list[int] = np.unique(batched.agent_types, return_inverse=True)[1].tolist()
    return types
