"""The stable-baselines3 policy that runs a sharing scheme."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from adaps_agents.identity.collect import Collector
from adaps_agents.networks.grouped_mlp import Activation
from adaps_agents.policy.recurrent import Memory, stacked_state
from adaps_agents.policy.sb3_policy import RowIndex, check_stock, scatter_by_agent
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes import AgentSpaces, SharingScheme, make_scheme
from adaps_agents.schemes.base import checked_parts, private_networks
from adaps_agents.schemes.options import check_choice, check_count
from adaps_envs.adapters.sb3_index import AgentIndexBox
from adaps_envs.errors import InvalidParameterError

__all__ = ["CRITICS", "SharingPolicy", "sample_actions", "with_noise"]

CRITICS = ("local", "central")
MORE_STEPS = (
    "Train for more steps (learn(total_timesteps), adaps train --steps), or lower "
    "policy_kwargs=dict(scheme_kwargs=dict(identity=dict(env_steps=...)))."
)
# The logit of an action that an agent lacks: probability 0, and finite, so that entropies stay so.
LACKING = -1e9


class SharingPolicy(ActorCriticPolicy):
    """Actor and critic of all agents, with weights shared as the scheme says.

    Rows of a flat batch are slots: ``row = lane * N + agent``, so its length is a multiple of N. In an environment with
    ``agent_index=True`` rows may come in any order, as stock learners shuffle them; the index is taken off and never
    reaches a network.

    Args:
        observation_space: Box ``[F]`` of one agent.
        action_space: Discrete(A) of one agent.
        lr_schedule: learning rate over training.
        num_agents: N; None where observations carry the agent's index.
        scheme: registered name.
        scheme_kwargs: the scheme's options.
        seed: of the initial weights, of the scheme's draws and of sampled actions.
        net_arch: widths of the hidden layers of actor and critic.
        activation_fn: module class applied after hidden layers.
        critic: ``local`` values an agent from its own observation, ``central`` from that and the global state; which
            weights an agent's critic uses is the scheme's rule in both.
        state_dim: S of a centralised critic.
        recurrent: ``gru`` puts a gated recurrent unit, as wide as the last hidden layer, before the output layers of
            actor and critic; ``gru_actor`` before the actor's alone; ``none``.
        action_mask: ``[N, A]`` booleans, the actions that each agent has; it never takes another one. None for all.
            The sharing learners and indexed observations tell what the environment declares.
    """

    scheme: SharingScheme
    _lacking: Tensor | None
    _private_agents: Tensor | None

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        scheme: str,
        num_agents: int | None = None,
        scheme_kwargs: Mapping[str, Any] | None = None,
        seed: int = 0,
        net_arch: list[int] | tuple[int, ...] | None = None,
        activation_fn: type[nn.Module] = nn.ReLU,
        critic: str = "local",
        state_dim: int = 0,
        recurrent: str = "none",
        action_mask: Any = None,
        use_sde: bool = False,
        **kwargs: Any,
    ) -> None:
        check_spaces(observation_space, action_space)
        if use_sde:
            raise InvalidParameterError("use_sde=True needs continuous actions; these environments have discrete ones.")
        self.indexed = isinstance(observation_space, AgentIndexBox)
        self.num_agents = checked_team(observation_space, num_agents)
        if action_mask is None:
            action_mask = getattr(observation_space, "action_mask", None)
        self.action_mask = checked_action_mask(action_mask, self.num_agents, int(action_space.n))  # type: ignore[attr-defined]
        self.scheme_name, self.scheme_kwargs, self.policy_seed = scheme, dict(scheme_kwargs or {}), seed
        self.generator = torch_stream(seed, "policy")
        self.hidden = checked_widths([64, 64] if net_arch is None else net_arch)
        self.critic_kind, self.state_dim = checked_critic(critic, state_dim)
        self.recurrent, self.recurrent_parts = recurrent, checked_parts(recurrent, self.hidden)
        if self.indexed and self.recurrent_parts:
            raise InvalidParameterError(
                f"recurrent is {recurrent!r}, but a stock learner mixes the steps of a sequence; train recurrent "
                "policies with adaps_agents.SharingA2C or SharingPPO."
            )
        super().__init__(observation_space, action_space, lr_schedule, activation_fn=activation_fn, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        """Build the scheme and its optimiser; called by the base class."""
        self._initial_lr = lr_schedule(1)
        self.scheme = make_scheme(self.scheme_name, **self.scheme_kwargs)
        assert isinstance(self.action_space, spaces.Discrete)
        obs_dim, num_actions = int(np.prod(self.observation_space.shape or ())), int(self.action_space.n)
        if self.indexed:
            check_stock(self.scheme)
            obs_dim -= 1
        sizes = AgentSpaces(self.num_agents, obs_dim, num_actions, self.state_dim)
        activation: Activation = torch.relu_ if self.activation_fn is nn.ReLU else self.activation_fn()
        self.scheme.build(sizes, self.hidden, torch_stream(self.policy_seed, "scheme"), activation, self.recurrent)
        lacking = None if self.action_mask is None else ~torch.tensor(self.action_mask)
        # Not in ``state_dict``: it belongs to the environment, and weights to the networks.
        self.register_buffer("_lacking", lacking, persistent=False)
        self.rebuild_optimizer()

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Return what ``save`` stores, so that ``load`` can build the same policy."""
        return {
            **super()._get_constructor_parameters(),
            "num_agents": self.num_agents, "scheme": self.scheme_name, "scheme_kwargs": self.scheme_kwargs,
            "seed": self.policy_seed, "net_arch": self.hidden, "critic": self.critic_kind, "state_dim": self.state_dim,
            "recurrent": self.recurrent, "action_mask": self.action_mask,
        }  # fmt: skip

    def rebuild_optimizer(self, *, keep_state: bool = False) -> None:
        """Make a fresh optimiser over exactly the scheme's trainable parameters.

        Args:
            keep_state: parameters that the present optimiser holds already keep their running statistics.
        """
        state = self.optimizer.state if keep_state else {}
        options = dict(self.optimizer_kwargs)
        if self.optimizer_class is torch.optim.Adam:
            options.setdefault("fused", True)
        groups = self._parameter_groups()
        self.optimizer = self.optimizer_class(groups, lr=self._initial_lr, **options)  # type: ignore[call-arg]
        self.optimizer.state.update({p: state[p] for group in groups for p in group["params"] if p in state})
        # Found once, not in every gradient step: who shares changes with the parameters alone.
        agents = private_networks(self.scheme)
        self.register_buffer("_private_agents", None if agents is None else agents.float(), persistent=False)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trainable parameters, those apart for which the scheme needs another epsilon."""
        trainable = [parameter for parameter in self.scheme.parameters() if parameter.requires_grad]
        if "eps" not in inspect.signature(self.optimizer_class).parameters:
            return [{"params": trainable}]
        # TensorFlow's RMSprop adds its epsilon to the squares of gradients.
        power = 2 if self.optimizer_class is RMSpropTFLike else 1
        fine = {p: eps**power for eps, members in self.scheme.optimizer_eps_groups.items() for p in members}
        groups: dict[float | None, list[nn.Parameter]] = {None: []}
        for parameter in trainable:
            groups.setdefault(fine.get(parameter), []).append(parameter)
        return [{"params": members} | ({} if eps is None else {"eps": eps}) for eps, members in groups.items()]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights, groups and masks; the optimiser follows if the stored groups need other parameters."""
        result = super().load_state_dict(state_dict, strict=strict, assign=assign)
        self.check_optimizer()
        return result

    def check_optimizer(self) -> None:
        """Make a fresh optimiser unless the present one holds exactly the scheme's trainable parameters."""
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        if held != {id(parameter) for parameter in self.scheme.parameters() if parameter.requires_grad}:
            self.rebuild_optimizer()

    def by_lane(self, obs: Tensor) -> Tensor:
        """Return slots ``[B*N, F]`` as ``[B, N, F]``.

        Raises:
            InvalidParameterError: no rows, or their number is not a multiple of N.
        """
        if len(obs) == 0 or len(obs) % self.num_agents:
            raise InvalidParameterError(
                f"{obs.shape[0]} observations for teams of {self.num_agents} agents; give whole teams, "
                "row = lane * num_agents + agent."
            )
        return obs.reshape(-1, self.num_agents, obs.shape[-1])

    def masked(self, logits: Tensor) -> Tensor:
        """Return logits ``[..., N, A]`` in which actions that an agent lacks have probability 0, and no gradient."""
        return logits if self._lacking is None else logits.masked_fill(self._lacking, LACKING)

    @property
    def own_actions(self) -> Tensor | None:
        """``[N, A] bool``, the actions that each agent has; None where everybody has all."""
        return None if self._lacking is None else ~self._lacking

    def act(
        self,
        obs: NDArray[np.float32],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
        memory: Memory | None = None,
        agents: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """Return actions ``[B, N] int64`` for observations ``[B, N, F] float32``.

        Args:
            deterministic: the most probable action instead of a sample.
            generator: source of the sample; None takes the policy's own.
            memory: what agents remember, of :meth:`new_memory`, if the policy is recurrent; it goes on by one step.
            agents: indices of the agents that remember this step; None for all of them.

        Raises:
            InvalidParameterError: observations of another shape, or a recurrent policy without memory of B lanes.
        """
        logits = self.logits(obs, memory=memory, agents=agents)
        actions = logits.argmax(dim=-1) if deterministic else sample_actions(logits, generator or self.generator)
        return np.asarray(actions)

    def logits(
        self,
        obs: NDArray[np.float32],
        *,
        memory: Memory | None = None,
        agents: NDArray[np.int64] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return logits ``[B, N, A]`` on the CPU, by which :meth:`act` chooses; arguments and errors are its.

        A recurrent policy remembers the step, so call either of the two. ``dtype`` is that of the policy's weights, and
        of the logits.
        """
        frames = torch.from_numpy(np.asarray(obs, dtype=np.float32)).to(dtype)
        expected = (self.num_agents, self.scheme.spaces.obs_dim)
        if frames.shape[1:] != expected:
            raise InvalidParameterError(f"observations are {list(frames.shape)}; give [B, N, F], N, F = {expected}.")
        with torch.no_grad():
            # Not ``self.device``, which looks for a parameter through all modules: a noticeable part of a small step.
            return self._play(frames.to(self.scheme.labels.device), memory, agents).cpu()

    def new_memory(self, lanes: int) -> Memory:
        """Return the empty memory of B = ``lanes`` new episodes, for :meth:`act`."""
        return Memory(self.scheme.actor_net.initial_state(lanes))

    def _play(self, frames: Tensor, memory: Memory | None, agents: NDArray[np.int64] | None = None) -> Tensor:
        """Return logits ``[B, N, A]``, remembering the step if the policy is recurrent."""
        if not self.recurrent_parts:
            return self.masked(self.scheme.actor(frames))
        if memory is None or memory.state.shape[0] != len(frames):
            held = "none" if memory is None else f"that of {memory.state.shape[0]} lanes"
            raise InvalidParameterError(
                f"a recurrent policy acts in {len(frames)} lanes by what it remembers of them, and the memory given is "
                f"{held}; make one for every set of episodes by policy.new_memory({len(frames)}), pass it to every "
                "call as memory=..., and call its forget() where episodes end."
            )
        logits, states = self.scheme.actor_net.sequence(frames[None], memory.starts[None], memory.state)
        memory.keep(states[0], None if agents is None else torch.from_numpy(agents))
        return self.masked(logits[0])

    def obs_to_tensor(self, observation: Any) -> tuple[PyTorchObs, bool]:
        """Return observations of any numeric type as ``float32``, and whether there is a row axis."""
        return super().obs_to_tensor(np.asarray(observation, dtype=np.float32))

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Return actions ``[M]`` for slots ``[M, F]``, and the next state if the policy is recurrent.

        As in sb3-contrib's RecurrentPPO: give back the state with the next observations, and tell by ``episode_start``
        which of them are the first of an episode.

        Args:
            observation: ``[M, F]``, whole teams.
            state: what the last call returned, a tuple with one array ``[1, M, H]``; None begins episodes.
            episode_start: ``[M] bool``; None for no beginning.
            deterministic: the most probable actions instead of samples.

        Raises:
            InvalidParameterError: not whole teams, or a state of other slots.
        """
        if not self.recurrent_parts:
            return super().predict(observation, state, episode_start, deterministic)
        self.set_training_mode(False)
        rows, vectorized = self.obs_to_tensor(observation)
        assert isinstance(rows, Tensor)
        frames = self.by_lane(rows)
        memory = self.new_memory(len(frames))
        if state is not None:
            memory.starts.fill_(False)
            memory.state = stacked_state(state, len(rows), *memory.state.shape[1:]).to(self.device)
        if episode_start is not None:
            begins = torch.from_numpy(np.asarray(episode_start, dtype=bool)).to(self.device)
            memory.starts |= begins.view(memory.starts.shape)
        with torch.no_grad():
            logits = self._play(frames, memory)
        actions = logits.argmax(dim=-1) if deterministic else sample_actions(logits, self.generator)
        remembered = np.asarray(memory.state.flatten(0, 1)[None].cpu())
        chosen = np.asarray(actions.flatten().cpu())
        return chosen if vectorized else chosen.squeeze(axis=0), (remembered,)

    def values(self, obs: Tensor, states: Tensor | None = None) -> Tensor:
        """Return values ``[B, N]`` for observations ``[B, N, F]``, with a centralised critic also of states ``[B, S]``.

        A recurrent critic values them as the first step of an episode; see :meth:`value_sequence`.

        Raises:
            InvalidParameterError: a centralised critic without states.
        """
        return self.scheme.critic(self._seen_by_critic(obs, states))

    def value_sequence(self, obs: Tensor, states: Tensor, starts: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return values ``[T, B, N]``, and what the critic remembers ``[T, B, N, H]`` after each of T steps.

        Args:
            obs: ``[T, B, N, F]``.
            states: ``[T, B, S]``, S = 0 without a centralised critic.
            starts: ``[T, B, N] bool``, True where an episode begins.
            memory: ``[B, N, H]`` before the first step.
        """
        values, remembered = self.scheme.critic_net.sequence(self._seen_by_critic(obs, states), starts, memory)
        return values.squeeze(-1), remembered

    def _seen_by_critic(self, obs: Tensor, states: Tensor | None) -> Tensor:
        if not self.state_dim:
            return obs
        if states is None:
            raise InvalidParameterError(
                "a centralised critic values an observation together with the global state; call "
                "policy.values(observations [B, N, F], states [B, S])."
            )
        seen_by_all = states[..., None, :].expand(*obs.shape[:-1], -1)
        return torch.cat([obs, seen_by_all], dim=-1)

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions ``[M]``, values ``[M, 1]`` and log-probabilities ``[M]`` for slots ``[M, F]``."""
        frames, index = self._by_agent(obs)
        logits = _gathered(self.masked(self.scheme.actor(frames)), index).log_softmax(dim=-1)
        actions = logits.argmax(dim=-1) if deterministic else sample_actions(logits, self.generator)
        log_prob = logits.gather(-1, actions[:, None]).flatten()
        return actions, _gathered(self.values(frames)[..., None], index), log_prob

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Return actions ``[M]`` for slots ``[M, F]``; called by ``predict``."""
        assert isinstance(observation, Tensor)
        frames, index = self._by_agent(observation)
        logits = _gathered(self.masked(self.scheme.actor(frames)), index)
        return logits.argmax(dim=-1) if deterministic else sample_actions(logits, self.generator)

    def get_distribution(self, obs: PyTorchObs) -> CategoricalDistribution:
        """Return the distribution of actions ``[M]`` for slots ``[M, F]``, of a recurrent policy in a first step.

        Its ``sample()`` draws from torch's global generator; :meth:`act` and ``predict`` never do.
        """
        assert isinstance(obs, Tensor)
        frames, index = self._by_agent(obs)
        logits = _gathered(self.masked(self.scheme.actor(frames)), index)
        return CategoricalDistribution(logits.shape[-1]).proba_distribution(action_logits=logits)

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return values ``[M, 1]`` for slots ``[M, F]``."""
        assert isinstance(obs, Tensor)
        frames, index = self._by_agent(obs)
        return _gathered(self.values(frames)[..., None], index)

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values ``[M, 1]``, log-probabilities and entropies ``[M]`` of indexed rows, for stock learners.

        Raises:
            InvalidParameterError: rows without index have lost which agent each belongs to, or groups are not known.
        """
        if not self.indexed:
            raise InvalidParameterError(
                "a stock learner mixes the agents' rows; make the environment with adaps_envs.make(id, api='sb3', "
                "agent_index=True), or train with adaps_agents.SharingA2C or SharingPPO instead."
            )
        if not self.prepared():
            raise InvalidParameterError(
                f"scheme {self.scheme_name!r} finds its groups before training; pass "
                "callback=adaps_agents.IdentityPhase() to learn(), or scheme_kwargs=dict(labels=...)."
            )
        assert isinstance(obs, Tensor)
        frames, index = self._by_agent(obs)
        log_probs = _gathered(self.masked(self.scheme.actor(frames)), index).log_softmax(dim=-1)
        chosen = log_probs.gather(-1, actions.long().view(-1, 1)).flatten()
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
        return _gathered(self.values(frames)[..., None], index), chosen, entropy

    def prepared(self) -> bool:
        """Whether the scheme has nothing left to do before training."""
        return not self.scheme.needs_identity_phase or bool(self.scheme.prepared)

    def prepare(self, collector: Collector, budget: int | None = None) -> int:
        """Let the scheme prepare itself, take over its parameters, and return the steps that the collector counted.

        Warns where that replaces weights that somebody loaded or changed, and where nothing is left of the budget.

        Args:
            collector: plays the environment.
            budget: environment steps that may be spent, training included; None does not look at it.

        Raises:
            InvalidParameterError: nothing would be left to train with; no step has been made.
        """
        if budget is not None:
            self.check_budget(budget, collector.num_lanes)
        if not self._as_made():
            warnings.warn(
                f"the identity phase of scheme {self.scheme_name!r} has not run for the weights that this policy "
                "holds, and replaces them by fresh networks for the groups that it finds. To keep them, load weights "
                "saved after the phase, or give the groups: scheme_kwargs=dict(labels=[...]).",
                UserWarning,
                stacklevel=2,
            )
        self.scheme.prepare(collector)
        spent = collector.env_steps
        self.scheme.identity_steps.fill_(spent)
        self.scheme.prepared.fill_(1)
        self.rebuild_optimizer()
        if budget is not None and budget <= spent and spent > 0:
            warnings.warn(
                f"the identity phase of scheme {self.scheme_name!r} took {spent:,} environment steps and training "
                f"may spend {budget:,}: nothing is trained. {MORE_STEPS}",
                UserWarning,
                stacklevel=2,
            )
        return spent

    def least_identity_steps(self, lanes: int) -> int:
        """Return the environment steps that an identity phase still to come takes at least with B = ``lanes``, or 0."""
        source = None if self.prepared() else self.scheme.group_source
        return 0 if source is None else source.least_steps(lanes)

    def check_budget(self, budget: int, lanes: int) -> None:
        """Raise InvalidParameterError if nothing of ``budget`` environment steps is left after the identity phase."""
        least = self.least_identity_steps(lanes)
        if budget <= least and least > 0:
            raise InvalidParameterError(
                f"training may spend {budget:,} environment steps, and the identity phase of scheme "
                f"{self.scheme_name!r} takes at least {least:,} of them: nothing would be trained. {MORE_STEPS}"
            )

    def _as_made(self) -> bool:
        """Whether the scheme is as its constructor made it, to the bit."""
        made = type(self)(**self._get_constructor_parameters()).scheme.state_dict()
        held = self.scheme.state_dict()
        return made.keys() == held.keys() and all(torch.equal(made[name], held[name].cpu()) for name in made)

    def _by_agent(self, obs: Tensor) -> tuple[Tensor, RowIndex | None]:
        """Return rows as frames ``[B, N, F] float32``, and where each lies if they carry an index."""
        obs = obs.float()
        return scatter_by_agent(obs, self.num_agents) if self.indexed else (self.by_lane(obs), None)

    def clip_gradients(self, max_norm: float) -> None:
        """Clip the joint gradient norm of actor and critic, network by network where networks are private.

        Learners minimise the mean loss of all N agents, of which a private network of n agents gets a gradient n / N of
        that of its own agents' mean loss. The latter's norm is what must not exceed ``max_norm``.
        """
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        if self._private_agents is None:
            nn.utils.clip_grad_norm_(held, max_norm)
            return
        grads = [p.grad for p in held if p.grad is not None]
        norms = torch.stack([grad.flatten(1).square().sum(dim=1) for grad in grads]).sum(dim=0).sqrt()
        scale = (max_norm / (norms * self.num_agents / self._private_agents + 1e-6)).clamp(max=1.0)
        shaped = {dim: scale.view(-1, *[1] * (dim - 1)) for dim in {grad.dim() for grad in grads}}
        for grad in grads:
            grad.mul_(shaped[grad.dim()])


def _gathered(out: Tensor, index: RowIndex | None) -> Tensor:
    """Return ``[M, O]``, the rows of ``out [B, N, O]`` in their order."""
    return out.flatten(0, 1) if index is None else out[index]


def checked_team(observation_space: spaces.Space[Any], num_agents: int | None) -> int:
    """Return N, or raise InvalidParameterError if nobody says how many agents there are."""
    if isinstance(observation_space, AgentIndexBox):
        return observation_space.num_agents
    if num_agents is None:
        raise InvalidParameterError(
            "observations do not tell which agent they are of; in a stock learner make the environment with "
            "adaps_envs.make(id, api='sb3', agent_index=True), or train with adaps_agents.SharingA2C or SharingPPO."
        )
    return num_agents


def sample_actions(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Sample from categorical distributions ``[..., A]`` by an exponential race; drawn on the CPU."""
    return with_noise(logits, generator).argmax(dim=-1)


def with_noise(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return scores ``[..., A]`` whose highest is a sample from the categorical distributions ``[..., A]``."""
    race = torch.empty(logits.shape).exponential_(generator=generator).to(logits.device)
    return logits - race.log_()


def check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Raise InvalidParameterError unless agents have flat Box observations and discrete actions."""
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
        raise InvalidParameterError(f"observations are {observation_space}; sharing policies need a flat Box an agent.")
    if not isinstance(action_space, spaces.Discrete):
        raise InvalidParameterError(f"actions are {action_space}; sharing policies need Discrete actions an agent.")


def checked_widths(net_arch: Any) -> list[int]:
    """Return hidden widths as a list, or raise InvalidParameterError."""
    if not isinstance(net_arch, (list, tuple)) or any(type(w) is not int or w < 1 for w in net_arch):
        raise InvalidParameterError(f"net_arch is {net_arch!r}; give the widths of the hidden layers, e.g. [64, 64].")
    return list(net_arch)


def checked_action_mask(mask: Any, num_agents: int, num_actions: int) -> list[list[bool]] | None:
    """Return the mask as lists, None if every agent has every action, or raise InvalidParameterError."""
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.shape != (num_agents, num_actions) or array.dtype != bool or not array.any(axis=1).all():
        raise InvalidParameterError(
            f"action_mask has shape {list(array.shape)} and type {array.dtype}; give [N, A] = "
            f"[{num_agents}, {num_actions}] booleans, at least one True for each agent."
        )
    rows: list[list[bool]] = array.tolist()
    return None if array.all() else rows


def checked_critic(critic: Any, state_dim: Any) -> tuple[str, int]:
    """Return the kind of critic and the S that it reads, or raise InvalidParameterError."""
    check_choice("critic", critic, CRITICS)
    check_count("state_dim", state_dim, low=0)
    if (critic == "central") != (state_dim > 0):
        raise InvalidParameterError(
            f"critic is {critic!r} and state_dim is {state_dim}; a local critic reads no state, a central one some. "
            "The sharing learners set state_dim themselves."
        )
    return critic, int(state_dim)
