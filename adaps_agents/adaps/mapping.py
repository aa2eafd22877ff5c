"""From cluster centres to masks over hidden neurons.

A fixed random network ``g`` with a sigmoid on top maps each standardised centre to one number in (0, 1) for every
maskable neuron; these are turned into masks. Source: Li et al., "Adaptive parameter sharing for multi-agent
reinforcement learning", ICASSP 2024 (arXiv 2312.09009). What the paper leaves open is an option of
:class:`MappingConfig`; the defaults give every group the same capacity and keep the masks apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaps_agents.streams import torch_stream
from adaps_envs.errors import InvalidParameterError

__all__ = ["MappingConfig", "group_masks", "mapping_logits", "min_hamming", "random_masks", "standardised_centres"]

CODES = ("mapped", "random", "disjoint")
BINARISATIONS = ("top_k", "threshold", "bernoulli", "soft")
NORMALISATIONS = ("z_score", "centre", "l2", "none")
DISTINCTNESS = ("redraw", "contrast", "none")


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """How centres become masks.

    Attributes:
        codes: ``mapped`` (the paper's), or the controls ``random`` (an independent mask a group) and ``disjoint``
            (each neuron belongs to one group).
        binarisation: ``top_k`` keeps the highest ``keep`` of each layer, ``threshold`` what exceeds .5, ``bernoulli``
            draws with probability y, ``soft`` uses y itself as a gate.
        keep: share of neurons that ``top_k`` and ``random`` keep in each hidden layer.
        normalisation: of the centres over groups: ``z_score`` (two groups: centred and divided by their norm),
            ``centre``, ``l2`` or ``none``.
        distinctness: ``redraw`` draws ``g`` again until all pairs of masks differ in ``min_hamming`` of the neurons and
            falls back to ``contrast``, which subtracts the groups' mean logit; ``none`` takes the first draw.
        min_hamming: smallest accepted share of differing neurons.
        max_redraws: draws of ``g`` before falling back.
        hidden: width of ``g``'s hidden layer.
    """

    codes: str = "mapped"
    binarisation: str = "top_k"
    keep: float = 0.5
    normalisation: str = "z_score"
    distinctness: str = "redraw"
    min_hamming: float = 0.25
    max_redraws: int = 100
    hidden: int = 64

    def __post_init__(self) -> None:
        choices = {
            "codes": CODES, "binarisation": BINARISATIONS, "normalisation": NORMALISATIONS, "distinctness": DISTINCTNESS
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if not isinstance(self.keep, (int, float)) or not 0 < self.keep <= 1:
            raise InvalidParameterError(f"keep is {self.keep!r}; it must lie in (0, 1].")
        if not isinstance(self.min_hamming, (int, float)) or not 0 <= self.min_hamming <= 1:
            raise InvalidParameterError(f"min_hamming is {self.min_hamming!r}; it must lie in [0, 1].")
        for name in ("max_redraws", "hidden"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise InvalidParameterError(f"{name} is {getattr(self, name)!r}; it must be an integer >= 1.")


def standardised_centres(centres: NDArray[np.float32], method: str) -> NDArray[np.float64]:
    """Return centres ``[K, Z]`` normalised over the groups, without the offset that all of them share."""
    u = np.asarray(centres, dtype=np.float64)
    if method == "none":
        return u
    if method == "l2":
        return u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)
    u = u - u.mean(axis=0)
    if method == "centre":
        return u
    if len(u) == 2:
        return u / max(float(np.linalg.norm(u)), 1e-12)
    return u / np.maximum(u.std(axis=0), 1e-12)


def mapping_logits(centres: NDArray[np.float64], num_neurons: int, hidden: int, generator: torch.Generator) -> Tensor:
    """Return ``g``'s logits ``[K, M]``: one hidden ReLU layer, orthogonal weights, no biases (scale is immaterial)."""
    first = torch.empty(hidden, centres.shape[1], dtype=torch.float64)
    second = torch.empty(num_neurons, hidden, dtype=torch.float64)
    nn.init.orthogonal_(first, gain=2**0.5, generator=generator)
    nn.init.orthogonal_(second, generator=generator)
    return torch.relu(torch.from_numpy(centres) @ first.T) @ second.T


def min_hamming(masks: Tensor) -> float:
    """Return the smallest share of differing entries over all pairs of rows of ``[K, M]``; 1 for a single row."""
    rows = masks.float()
    if len(rows) < 2:
        return 1.0
    differing = (rows[:, None] - rows[None]).abs().mean(dim=-1)
    return float(differing[~torch.eye(len(rows), dtype=torch.bool)].min())


def group_masks(
    centres: NDArray[np.float32], widths: Sequence[int], config: MappingConfig, seed: int, name: str
) -> list[Tensor]:
    """Return one mask ``[K, H_l]`` for each layer of ``widths``.

    Args:
        centres: ``[K, Z]``; a single group keeps every neuron.
        widths: sizes of all maskable layers, actor and critic together if both are masked.
        config: the choices.
        seed, name: key of the random streams.

    Raises:
        InvalidParameterError: ``disjoint`` with more groups than neurons in a layer.
    """
    groups = len(centres)
    if not widths:
        return []
    if groups == 1:
        return [torch.ones(1, width, dtype=torch.bool) for width in widths]
    if config.codes == "disjoint":
        return [_disjoint(groups, width) for width in widths]
    if config.codes == "random":
        return random_masks(groups, widths, config.keep, torch_stream(seed, name, "random"))
    return _mapped(standardised_centres(centres, config.normalisation), widths, config, seed, name)


def random_masks(
    groups: int, widths: Sequence[int], keep: float, generator: torch.Generator, *, exact: bool = True
) -> list[Tensor]:
    """Return independent masks ``[K, H_l]``: exactly ``keep`` of each layer, or each neuron with that probability."""
    draws = [torch.rand(groups, width, generator=generator) for width in widths]
    if exact:
        return [_top_k(draw, keep) for draw in draws]
    return [_never_empty(draw < keep, -draw) for draw in draws]


def _mapped(u: NDArray[np.float64], widths: Sequence[int], config: MappingConfig, seed: int, name: str) -> list[Tensor]:
    draws = config.max_redraws if config.distinctness == "redraw" else 1
    for draw in range(draws):
        logits = mapping_logits(u, sum(widths), config.hidden, torch_stream(seed, name, "mapping", draw))
        if config.distinctness == "contrast":
            break
        masks = _binarised(logits, widths, config, torch_stream(seed, name, "bernoulli", draw))
        needed = 0.0 if config.distinctness == "none" or config.binarisation == "soft" else config.min_hamming
        if min_hamming(torch.cat(masks, dim=1)) >= needed:
            return masks
    contrasted = logits - logits.mean(dim=0)
    return _binarised(contrasted, widths, config, torch_stream(seed, name, "bernoulli", draws))


def _binarised(
    logits: Tensor, widths: Sequence[int], config: MappingConfig, generator: torch.Generator
) -> list[Tensor]:
    layers = torch.sigmoid(logits).split(list(widths), dim=1)
    if config.binarisation == "top_k":
        return [_top_k(y, config.keep) for y in layers]
    if config.binarisation == "soft":
        return [y.float() for y in layers]
    if config.binarisation == "threshold":
        masks = [y > 0.5 for y in layers]
    else:
        masks = [torch.rand(y.shape, generator=generator, dtype=y.dtype) < y for y in layers]
    return [_never_empty(mask, y) for mask, y in zip(masks, layers, strict=True)]


def _never_empty(mask: Tensor, strength: Tensor) -> Tensor:
    """Keep the strongest neuron of a row that kept none: an empty layer would silence the group."""
    return mask | (_top_k(strength, 1 / strength.shape[1]) & ~mask.any(dim=1, keepdim=True))


def _top_k(y: Tensor, keep: float) -> Tensor:
    count = max(1, round(keep * y.shape[1]))
    mask = torch.zeros(y.shape, dtype=torch.bool)
    # A stable sort settles equal values by neuron index, the same on every machine.
    order = torch.argsort(y, dim=1, descending=True, stable=True)
    return mask.scatter(1, order[:, :count], True)


def _disjoint(groups: int, width: int) -> Tensor:
    share = width // groups
    if share == 0:
        raise InvalidParameterError(
            f"{groups} groups cannot have disjoint masks in a layer of {width} neurons; "
            "widen net_arch or use codes='mapped'."
        )
    mask = torch.zeros(groups, width, dtype=torch.bool)
    for group in range(groups):
        mask[group, group * share : (group + 1) * share] = True
    return mask
