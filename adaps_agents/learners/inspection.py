"""What every sharing learner can tell and hand out: its weights, and who shares what with whom."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from adaps_agents.export.weights import load_weights, save_weights
from adaps_agents.learners.policy import SharingPolicy

__all__ = ["Inspectable"]


class Inspectable(OnPolicyAlgorithm):
    """Methods of a sharing learner that look and do not train."""

    policy: SharingPolicy

    def save_weights(self, path: str | Path) -> None:
        """Write weights, groups and masks as safetensors; see :func:`adaps_agents.export.save_weights`.

        Unlike ``save``, the file holds neither optimiser nor hyperparameters, and can be opened without trust.
        """
        save_weights(self.policy, path, self.env)

    def load_weights(self, path: str | Path, *, other_environment: bool = False) -> None:
        """Load weights, groups and masks; the identity phase is then behind this learner.

        Args:
            path: what :meth:`save_weights` wrote, or a ``policy.safetensors`` of the leaderboard.
            other_environment: take weights that were trained in another environment of the same spaces and team.

        Raises:
            InvalidWeightsError: the file is damaged, or is for another scheme, environment, team or network; nothing
                was loaded.
            FileNotFoundError: there is none.
        """
        load_weights(self.policy, path, self.env, other_environment=other_environment)
        self._prepared = True
