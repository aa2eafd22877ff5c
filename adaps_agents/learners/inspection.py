"""What every sharing learner can tell and hand out: who shares what with whom, diversity, conflict, and its weights."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import open_path
from torch import Tensor

from adaps_agents.diagnostics import (
    Diagnosis,
    GradientConflict,
    SharingMap,
    diagnose,
    draw_sharing,
    gradient_conflict,
    group_gradients,
    sharing_map,
    sharing_table,
)
from adaps_agents.diagnostics.diagnose import spread_rows
from adaps_agents.export.weights import MEMBER, encode_weights, load_weights, save_weights
from adaps_agents.policy.policy import SharingPolicy
from adaps_agents.policy.recurrent import RecurrentRolloutBuffer
from adaps_agents.policy.rollout import AgentRolloutBuffer
from adaps_envs.errors import InvalidParameterError

__all__ = ["Inspectable"]

# Sizes of what is logged, so that it costs next to nothing beside the training between two dumps.
LOG_EVERY = 50_000
LOG_AGENTS = 64
LOG_DISTRIBUTIONS = 1 << 14
LOG_GROUPS = 8
LOG_ROWS = 16


class Inspectable(OnPolicyAlgorithm):
    """Methods of a sharing learner that look and do not train: no random draw, no change of weights."""

    policy: SharingPolicy
    rollout_buffer: AgentRolloutBuffer  # type: ignore[assignment]
    _next_diagnosis = 0

    def sharing_map(self) -> SharingMap:
        """Return who shares what with whom at present."""
        return sharing_map(self.policy)

    def sharing_picture(self, path: str | Path) -> None:
        """Draw who shares what with whom at present; see :func:`adaps_agents.diagnostics.draw_sharing`."""
        draw_sharing(self.policy, path)

    def diagnose(
        self, obs: NDArray[np.float32] | None = None, *, types: NDArray[np.int64] | Sequence[int] | None = None
    ) -> Diagnosis:
        """Measure diversity, overlap, partition and costs; see :func:`adaps_agents.diagnostics.diagnose`.

        A recurrent policy is asked for its first decision of an episode, whatever the observation.

        Args:
            obs: the pool of observations, ``[S, F]`` or ``[..., N, F]``; None takes 256 of the last rollout.
            types: ``[N]`` hidden types, for the comparison with them alone.

        Raises:
            InvalidParameterError: observations of another length, or none given before the first rollout.
        """
        pool = self._rollout_pool(256) if obs is None else obs
        return diagnose(self, pool, types=None if types is None else np.asarray(types))

    def gradient_conflict(self, *, rows: int = 256, max_groups: int | None = None) -> GradientConflict:
        """Compare the groups' policy gradients on the last rollout; the agents' where the scheme has no groups.

        Args:
            rows: number of (step, lane) pairs of the rollout to differentiate; whole lanes, one at least, of a
                recurrent policy.
            max_groups: compare so many groups at most, spread over the team.

        Raises:
            InvalidParameterError: before the first rollout.
        """
        buffer = self._filled_buffer()
        steps, lanes = buffer.pos, buffer.observations.shape[1]
        forward: Callable[[Tensor], Tensor] = self._masked_actor
        at = self._spread_pairs(steps, lanes, rows)
        if isinstance(buffer, RecurrentRolloutBuffer):
            at = np.s_[:, spread_rows(lanes, max(1, rows // steps))]
            forward = self._replayed(buffer, at)
        stored = (buffer.observations, buffer.actions, buffer.advantages)
        obs, actions, advantages = (tensor[at].to(self.device) for tensor in stored)
        groups = self._some_groups(max_groups)
        return gradient_conflict(group_gradients(self.policy.scheme, obs, actions, advantages, groups, forward))

    def _spread_pairs(self, steps: int, lanes: int, rows: int) -> tuple[Any, ...]:
        chosen = spread_rows(steps * lanes, rows)
        return chosen // lanes, chosen % lanes

    def _replayed(self, buffer: RecurrentRolloutBuffer, at: Any) -> Callable[[Tensor], Tensor]:
        """Return what maps observations ``[T, M, N, F]`` of some lanes of a rollout to logits, as it was remembered."""
        starts, state = buffer.starts[at].to(self.device), buffer.actor_state[at[1]].to(self.device)
        return lambda obs: self.policy.masked(self.policy.scheme.actor_net.sequence(obs, starts, state)[0])

    def _masked_actor(self, obs: Tensor) -> Tensor:
        return self.policy.masked(self.policy.scheme.actor(obs))

    def save(self, path: Any, exclude: Iterable[str] | None = None, include: Iterable[str] | None = None) -> None:
        """Write the whole learner as a ``.zip``; see stable-baselines3.

        It also holds the weights as :meth:`save_weights` writes them, which ``adaps play`` and
        :func:`adaps_agents.export.load_policy` open without unpickling anything.
        """
        buffer = io.BytesIO()
        super().save(buffer, exclude, include)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(MEMBER, encode_weights(self.policy, self.env))
        file = open_path(path, "w", verbose=0, suffix="zip")
        file.write(buffer.getvalue())
        if file is not path:
            file.close()

    def save_weights(self, path: str | Path) -> None:
        """Write weights, groups and masks as safetensors; see :func:`adaps_agents.export.save_weights`.

        Unlike ``save``, the file holds neither optimiser nor hyperparameters, and can be opened without trust.
        """
        save_weights(self.policy, path, self.env)

    def load_weights(self, path: str | Path, *, other_environment: bool = False) -> None:
        """Load weights, groups and masks; the identity phase is behind this learner if it was when they were saved.

        Args:
            path: what :meth:`save_weights` wrote, or a ``policy.safetensors`` of the leaderboard.
            other_environment: take weights that were trained in another environment of the same spaces and team.

        Raises:
            InvalidWeightsError: the file is damaged, or is for another scheme, environment, team or network; nothing
                was loaded.
            FileNotFoundError: there is none.
        """
        load_weights(self.policy, path, self.env, other_environment=other_environment)

    def dump_logs(self, iteration: int = 0) -> None:
        """Write the log, with the sharing's state now and then; see stable-baselines3."""
        if self.logger.output_formats and self.num_timesteps >= self._next_diagnosis:
            self._next_diagnosis = self.num_timesteps + LOG_EVERY
            self._log_sharing()
        super().dump_logs(iteration)

    def _begin_inspection(self) -> None:
        """Say what is shared with whom, where the learner talks at all."""
        self._next_diagnosis = 0
        if self.verbose >= 1:
            self.logger.log(sharing_table(self.sharing_map()))

    def _log_sharing(self) -> None:
        """Record diversity, overlap, conflict and costs under ``sharing/``, on the rollout's own observations."""
        number = self.policy.num_agents
        agents = spread_rows(number, LOG_AGENTS)
        pairs = max(1, len(agents) * (len(agents) - 1) // 2)
        pool = self._rollout_pool(min(128, max(16, LOG_DISTRIBUTIONS // pairs)))
        scalars: dict[str, float | None] = dict(diagnose(self, pool, agents=agents).scalars())
        conflict = self.gradient_conflict(rows=LOG_ROWS, max_groups=LOG_GROUPS)
        scalars |= {"gradient_cosine": conflict.cosine, "opposed_gradients": conflict.opposed}
        for name, value in scalars.items():
            if value is not None:
                self.logger.record(f"sharing/{name}", value)

    def _rollout_pool(self, number: int) -> NDArray[np.float32]:
        """Return observations ``[S, F]`` of the last rollout, S at most ``number``, spread over all of it."""
        buffer = self._filled_buffer()
        stored = buffer.observations[: buffer.pos].flatten(0, 2)
        return np.asarray(stored[spread_rows(len(stored), number)])

    def _filled_buffer(self) -> AgentRolloutBuffer:
        if self.rollout_buffer.pos == 0:
            raise InvalidParameterError("there is no rollout yet; call learn() first, or give observations.")
        return self.rollout_buffer

    def _some_groups(self, max_groups: int | None) -> NDArray[np.int64]:
        """Return ``[N]`` groups 0..G-1, -1 for the agents of groups beyond ``max_groups``."""
        assignment = self.policy.scheme.assignment()
        groups: NDArray[Any] = np.arange(self.policy.num_agents) if assignment is None else assignment
        number = int(groups.max()) + 1
        renamed = np.full(number, -1, np.int64)
        chosen = spread_rows(number, number if max_groups is None else max_groups)
        renamed[chosen] = np.arange(len(chosen))
        return renamed[groups]
