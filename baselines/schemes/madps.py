"""MADPS: which agents share which part of their networks follows the distance between their policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaps_agents.diagnostics.mapd import MapdConfig, mapd
from adaps_agents.networks.two_part_mlp import TwoPartMLP
from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.base import SharingScheme
from adaps_agents.schemes.options import check_choice, check_count, check_fires, check_number
from adaps_envs.errors import InvalidParameterError, suggest

__all__ = ["SCHEME", "MADPS", "reshared"]

STARTS = ("private_deep", "shared", "private")
Index = NDArray[np.int64]


class MADPS(SharingScheme):
    """Dynamic sharing by multi-agent policy distance.

    Every agent's actor is a shallow and a deep part, with an index each that says which of N allocated parts it uses.
    Every ``period`` updates the agents' policy distances ``d`` are measured
    (:mod:`~adaps_agents.diagnostics.mapd`) on the observations of the last ``window`` updates. Then, pair by
    pair: agents of one shallow part with ``d > eps2`` are split, the second gets a copy of the part, optimiser
    statistics included; agents of one shallow part with ``d < eps0`` share the deep part too; agents of two shallow
    parts with ``d < eps1`` share one. A critic is the deep index's: agents that share a deep part share a critic.
    Agents that share both parts have no distance and stay together, so a first check long before policies differ makes
    this full sharing.

    From the authors' code: N parts are allocated at all times, of which between 1 and N are in use; the shallow part is
    shared by all at first, deep parts are private; the shallow part is the first two layers. Their
    deep part has two layers too, which ``net_arch`` must have room for: [64, 64, 64] is theirs, with [64, 64] the deep
    part is the output layer.

    Decided here: a split copies the part that both agents use, to a part that nobody uses (the code copies the part of
    the first agent's number, which it need not use, over that of the second's, which others may use), so that no output
    changes; an agent changes once a check, and its distances, measured before, are not looked at again (the code stops
    at the first change, or agreement, of each agent); an agent joins a part if it is also close to the first agent that
    uses it. Decisions are those of the present policies on the window's observations. Initial networks differ and are
    orthogonal, as all schemes' are; gradients are clipped jointly. A recurrent unit belongs to the deep part, and the
    decisions of recurrent policies are those in the first step of an episode.

    The record tells whether it acted: ``shallow_parts``, ``deep_parts`` and ``policy_distances`` of the summary.

    Args:
        period: updates between two checks; an update is one call of the learner's ``train``. None spreads ``checks``
            over the training (the authors check every 2,000 updates).
        checks: how many a training has, evenly spread, if ``period`` is None.
        window: updates before a check whose observations are kept.
        pool: observations of single agents that are kept at most, drawn evenly from the window (the authors keep all;
            the default is what their settings give on BPS-1: 100 updates of 8 lanes, 5 steps and 15 agents).
        eps0, eps1, eps2: thresholds of the distance, ``eps0 <= eps1`` and ``eps2 >= 2 eps1``: what is fused with a
            third is not split at once.
        shallow_layers: layers of the shallow part (the authors'); one less than there are, where there are no more.
        start: ``private_deep`` is the authors'; ``shared`` starts as full sharing, which it stays, as equal policies
            have no distance; ``private`` starts with private networks.
        distance: settings of the measurement, a :class:`MapdConfig` or its fields as a mapping.
    """

    name = "madps"
    summary = "shallow and deep parts of networks, split and fused by the distance of the agents' policies"
    source = "Hu et al., AAMAS 2024, arXiv 2401.11257"
    parameter_formula = "N P"
    fups_options: ClassVar[Mapping[str, Any] | None] = {"start": "shared"}

    forms_groups = True
    acts_in_training = True

    shallow: Tensor
    deep: Tensor
    noted: Tensor
    distances: Tensor

    def __init__(
        self,
        *,
        period: int | None = None,
        checks: int = 4,
        window: int = 100,
        pool: int = 60_000,
        eps0: float = 0.25,
        eps1: float = 0.5,
        eps2: float = 1.0,
        shallow_layers: int = 2,
        start: str = "private_deep",
        distance: MapdConfig | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        counts = {"checks": checks, "window": window, "pool": pool, "shallow_layers": shallow_layers}
        for option, count in (counts if period is None else {"period": period, **counts}).items():
            check_count(option, count)
        check_number("eps0", eps0, low=0.0)
        check_number("eps1", eps1, low=eps0)
        check_number("eps2", eps2, low=2 * eps1)
        check_choice("start", start, STARTS)
        self.period, self.checks, self.window, self.pool = period, checks, window, pool
        self._updates = 0
        self.eps0, self.eps1, self.eps2 = eps0, eps1, eps2
        self.shallow_layers, self.start, self.distance = shallow_layers, start, distance_config(distance)
        self._seen: list[Tensor] = []

    def initial_labels(self) -> Tensor:
        """Return one group, or each agent as its own where deep parts are private, ``[N] int64``."""
        number = self.spaces.num_agents
        return torch.zeros(number, dtype=torch.int64) if self.start == "shared" else torch.arange(number)

    def make_networks(self) -> None:
        """Allocate N actors and N critics and assign their parts."""
        if not self.hidden:
            raise InvalidParameterError("one layer has no shallow and deep part; give net_arch a layer, e.g. [64, 64].")
        number, device = self.spaces.num_agents, self.labels.device
        each, together = torch.arange(number, device=device), torch.zeros(number, dtype=torch.int64, device=device)
        self.register_buffer("shallow", (each if self.start == "private" else together).clone())
        self.register_buffer("deep", (together if self.start == "shared" else each).clone())
        self.register_buffer("noted", torch.zeros((), dtype=torch.int64, device=device))
        self.register_buffer("distances", torch.zeros(number, number, device=device))
        cut = min(self.shallow_layers, len(self.hidden))
        self.actor_net = TwoPartMLP(num_agents=number, cut=cut, **self.actor_spec.options)
        self.critic_net = TwoPartMLP(num_agents=number, cut=0, **self.critic_spec.options)
        self._assign()

    def _assign(self) -> None:
        """Tell the networks who uses what."""
        for net in self._nets():
            net.assign(self.shallow, self.deep)
        pairs = torch.stack([self.shallow, self.deep], dim=1).tolist()
        order = {pair: place for place, pair in enumerate(dict.fromkeys(map(tuple, pairs)))}
        self.labels.copy_(torch.tensor([order[tuple(pair)] for pair in pairs]))

    def _nets(self) -> list[TwoPartMLP]:
        return [net for net in (self.actor_net, self.critic_net) if isinstance(net, TwoPartMLP)]

    def plan_training(self, updates: int) -> None:
        """Spread the checks over the training, or see whether a given period fits in."""
        self._updates = int(self.noted) + updates
        way_out = f"give a period of at most {self._updates:,}, or leave it out"
        check_fires(self.name, "checks its policies for the first time", self._period(), self._updates, way_out)

    def _period(self) -> int:
        """Return the updates between two checks."""
        return max(1, self._updates // self.checks) if self.period is None else self.period

    def after_update(self, update: int) -> bool:
        """Keep observations before a check; at a check measure distances, split and fuse. Parameters stay the same."""
        self.noted += 1
        period = self._period()
        if -int(self.noted) % period < self.window and self.learning.observations is not None:
            self._keep(self.learning.observations)
        if int(self.noted) % period == 0 and self._seen:
            self._check(torch.cat(self._seen))
            self._seen.clear()
        return False

    def _keep(self, observations: Tensor) -> None:
        """Remember observations ``[M, N, F]`` of whole teams, or an even draw of as many as the pool has room for."""
        room = max(1, self.pool // (min(self.window, self._period()) * self.spaces.num_agents))
        teams = observations.detach().flatten(0, -3).cpu()
        if len(teams) > room:
            chosen = torch.randperm(len(teams), generator=torch_stream(self.seed, "pool", int(self.noted)))[:room]
            teams = teams[chosen.sort().values]
        self._seen.append(teams.clone())

    def _check(self, observations: Tensor) -> None:
        generator = torch_stream(self.seed, "distance", int(self.noted))
        seen = observations.to(self.labels.device)
        measured = mapd(self._decisions, seen, self.distance, generator)
        self.distances.copy_(measured)
        shallow, deep, copies = reshared(
            measured.numpy(), self.shallow.cpu().numpy(), self.deep.cpu().numpy(), self.eps0, self.eps1, self.eps2
        )
        for source, target in copies:
            for net in self._nets():
                net.copy_shallow(source, target, self.learning.optimizer)
        self.shallow.copy_(torch.from_numpy(shallow))
        self.deep.copy_(torch.from_numpy(deep))
        self._assign()

    def _decisions(self, observations: Tensor) -> Tensor:
        """Return logits ``[B, N, A]``; actions that an agent lacks have probability 0."""
        own, logits = self.learning.action_mask, self.actor(observations)
        return logits if own is None else logits.masked_fill(~own, -torch.inf)

    def sharing_summary(self) -> dict[str, Any]:
        """Add which parts the agents use, and how far apart they were when last measured."""
        summary = super().sharing_summary()
        summary["shallow_parts"], summary["deep_parts"] = self.shallow.tolist(), self.deep.tolist()
        summary["policy_distances"] = [[round(value, 4) for value in row] for row in self.distances.tolist()]
        return summary

    def extra_state(self) -> dict[str, NDArray[Any]]:
        """Add the observations ``[M, N, F] float32`` kept for the next check: data, not state of the policy."""
        kept = {"seen": torch.cat(self._seen).numpy()} if self._seen else {}
        return {**super().extra_state(), **kept}

    def load_extra_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back the observations ``[M, N, F] float32`` kept for the next check."""
        super().load_extra_state(arrays)
        self._seen = [torch.from_numpy(arrays["seen"].copy())] if "seen" in arrays else []

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load as usual, then let the networks use the parts of the stored indices."""
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._assign()


def distance_config(given: MapdConfig | Mapping[str, Any] | None) -> MapdConfig:
    """Return the settings, from a mapping of fields if need be.

    Raises:
        InvalidParameterError: an unknown field or an illegal value.
    """
    if given is None or isinstance(given, MapdConfig):
        return given or MapdConfig()
    names = [item.name for item in fields(MapdConfig)]
    for name in given:
        if name not in names:
            raise InvalidParameterError(f"no distance setting {name!r}. {suggest(name, names)}")
    return MapdConfig(**given)


def reshared(
    distances: NDArray[np.float32], shallow: Index, deep: Index, eps0: float, eps1: float, eps2: float
) -> tuple[Index, Index, list[tuple[int, int]]]:
    """Return the indices ``[N]`` of shallow and deep parts after a check, and which shallow parts are to be copied.

    Args:
        distances: ``[N, N]`` of the agents' policies.
        shallow, deep: ``[N]`` indices before the check.
        eps0, eps1, eps2: below eps0 deep parts of one shallow part are fused, below eps1 shallow parts are, above eps2
            a shallow part is split.

    Returns:
        Shallow and deep indices, and pairs (source, target) in the order in which to copy them.
    """
    shallow, deep, copies = shallow.copy(), deep.copy(), []
    moved = np.zeros(len(shallow), bool)
    for i in range(len(shallow)):
        for j in range(i + 1, len(shallow)):
            if moved[i] or moved[j]:
                continue
            together = shallow[i] == shallow[j]
            if together and distances[i, j] > eps2:
                source, target = int(shallow[j]), _unused(shallow, wanted=j)
                copies.append((source, target))
                shallow[j], moved[j] = target, True
            elif together and deep[i] != deep[j] and _close(distances, deep, moved, i, j, eps0):
                deep[j], moved[j] = deep[i], True
            elif not together and _close(distances, shallow, moved, i, j, eps1):
                shallow[j], moved[j] = shallow[i], True
    return shallow, deep, copies


def _unused(index: Index, wanted: int) -> int:
    """Return a part that nobody uses, ``wanted`` if possible; where two agents share one there always is one."""
    free = np.setdiff1d(np.arange(len(index)), index)
    return wanted if wanted in free else int(free[0])


def _close(distances: NDArray[np.float32], index: Index, moved: NDArray[np.bool_], i: int, j: int, eps: float) -> bool:
    """Whether ``j`` is near ``i`` and near the first agent that used the part of ``i`` when distances were measured."""
    first = np.flatnonzero((index == index[i]) & ~moved)[0]
    return bool(distances[i, j] < eps and distances[first, j] < eps)


SCHEME = MADPS
