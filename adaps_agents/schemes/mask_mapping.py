"""From cluster centres to masks over hidden neurons.

A fixed random network ``g`` with a sigmoid on top maps each standardised centre to one number in (0, 1) for every
maskable neuron; these are turned into masks. Source: Li et al., "Adaptive parameter sharing for multi-agent
reinforcement learning", ICASSP 2024 (arXiv 2312.09009). What the paper leaves open is an option of
:class:`MappingConfig`; the defaults give every group the same capacity and keep the masks apart.

A mask is a tensor ``[K, H_l]`` a layer: booleans, int8 -1, 0 and 1 where kept neurons also have a sign, or float gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adaps_agents.random_streams import torch_stream
from adaps_agents.schemes.options import MAX_UNITS, check_choice, check_count, check_number
from adaps_envs.errors import InvalidParameterError

__all__ = ["MappingConfig", "group_masks", "mapping_logits", "min_hamming", "random_masks", "standardised_centres"]

# Only mapped codes come from numbers that a threshold or a gate could be applied to.
BINARISATIONS = {
    "mapped": ("top_k", "threshold", "bernoulli", "soft"),
    "random": ("top_k", "bernoulli"),
    "disjoint": ("top_k",),
    "sparse": ("top_k", "bernoulli"),
}
PAPER_KEEP = 0.5

LEAST_KEEP = 1e-3
"""Smallest share of neurons kept: ``rescale`` multiplies by its inverse."""

# With fewer neurons per layer, groups learn more slowly, however little masks overlap (docs/explanation/results.md).
SMALLEST_AUTO_WIDTH = 32
NORMALISATIONS = ("z_score", "centre", "l2", "none")
DISTINCTNESS = ("redraw", "contrast", "none")
MAX_REDRAWS = 1_000


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """How centres become masks.

    Attributes:
        codes: ``mapped`` (the paper's), an independent ``random`` mask a group, ``disjoint`` masks (a neuron belongs to
            one group at most), or ``sparse`` codes: the masks of ``random`` with an independent sign +1 or -1 for each
            kept neuron, by which its activation is multiplied.
        binarisation: ``top_k`` keeps exactly ``keep`` of each layer, the highest y of mapped codes; ``bernoulli`` keeps
            each neuron with a probability, ``sigmoid(logit(y) + logit(keep))`` of mapped codes and ``keep`` of others.
            For mapped codes alone: ``threshold`` keeps what exceeds .5, ``soft`` uses y itself as a gate.
        keep: share of neurons kept in each hidden layer; None takes 0.5, and ``"auto"`` with disjoint codes. ``"auto"``
            follows from the number of groups and the narrowest layer's width H: ``min(1/2, max(1/K, 32/H))``, with
            disjoint codes 1/K. Of K independent masks, ``keep (1 - keep)^(K - 1)`` of a layer is private to a group,
            which is greatest at 1/K; but a group needs some 32 neurons a layer to learn fast.
        normalisation: of the centres over groups: ``z_score`` (two groups: centred and divided by their norm),
            ``centre``, ``l2`` or ``none``.
        distinctness: ``redraw`` draws ``g`` again until all pairs of masks differ in ``min_hamming`` of the neurons and
            falls back to ``contrast``, which subtracts the groups' mean logit; ``none`` takes the first draw.
        min_hamming: smallest accepted share of differing neurons at ``keep`` 0.5. Independent masks differ in
            ``2 keep (1 - keep)`` on average, and the demand falls with that.
        max_redraws: draws of ``g`` before falling back.
        hidden: width of ``g``'s hidden layer.

    Raises:
        InvalidParameterError: an unknown or illegal value, or options that exclude each other.
    """

    codes: str = "mapped"
    binarisation: str = "top_k"
    keep: float | Literal["auto"] | None = None
    normalisation: str = "z_score"
    distinctness: str = "redraw"
    min_hamming: float = 0.25
    max_redraws: int = 100
    hidden: int = 64

    def __post_init__(self) -> None:
        check_choice("codes", self.codes, BINARISATIONS)
        check_choice("binarisation", self.binarisation, BINARISATIONS["mapped"])
        check_choice("normalisation", self.normalisation, NORMALISATIONS)
        check_choice("distinctness", self.distinctness, DISTINCTNESS)
        allowed = BINARISATIONS[self.codes]
        if self.binarisation not in allowed:
            raise InvalidParameterError(
                f"binarisation is {self.binarisation!r} with codes={self.codes!r}, which have no numbers that it could "
                f"apply to; choose {' or '.join(allowed)}, or codes='mapped'."
            )
        if self.keep is None:
            object.__setattr__(self, "keep", "auto" if self.codes == "disjoint" else PAPER_KEEP)
        if isinstance(self.keep, str) and self.keep != "auto":
            raise InvalidParameterError(f"keep is {self.keep!r}; give a share from {LEAST_KEEP} to 1, or 'auto'.")
        if self.keep != "auto":
            check_number("keep", self.keep, low=LEAST_KEEP, high=1.0)
        if self.binarisation in ("threshold", "soft") and self.keep != PAPER_KEEP:
            raise InvalidParameterError(
                f"keep is {self.keep!r} with binarisation={self.binarisation!r}, which leaves it to the mapping how "
                "many neurons a group keeps; leave keep out, or choose top_k or bernoulli."
            )
        check_number("min_hamming", self.min_hamming, low=0.0, high=1.0)
        check_count("max_redraws", self.max_redraws, high=MAX_REDRAWS)
        check_count("hidden", self.hidden, high=MAX_UNITS)

    def kept(self, groups: int, width: int) -> float:
        """Return the share of each layer's neurons that a group keeps.

        Args:
            groups: K; a single group keeps all.
            width: neurons of the narrowest masked layer.
        """
        if groups == 1:
            return 1.0
        if isinstance(self.keep, (int, float)):
            return float(self.keep)
        if self.codes == "disjoint":
            return 1 / groups
        return min(PAPER_KEEP, max(1 / groups, SMALLEST_AUTO_WIDTH / width))


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
    """Return the smallest share of differing entries over all pairs of rows of ``[K, M] bool``; 1 for a single row."""
    if len(masks) < 2:
        return 1.0
    rows = masks.float()
    kept = rows.sum(dim=1)
    # By one matrix product: the differences of all pairs would be K times as many numbers as there are masks.
    differing = kept[:, None] + kept[None, :] - 2 * (rows @ rows.T)
    return float(differing[~torch.eye(len(rows), dtype=torch.bool)].min()) / rows.shape[1]


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
        InvalidParameterError: ``disjoint`` with more groups than neurons in a layer, or with ``keep`` above 1/K.
    """
    groups = len(centres)
    if not widths:
        return []
    if groups == 1:
        return [torch.ones(1, width, dtype=torch.bool) for width in widths]
    keep = config.kept(groups, min(widths))
    config = replace(config, keep=keep)
    if config.codes == "mapped":
        return _mapped(standardised_centres(centres, config.normalisation), widths, config, seed, name)
    if config.codes == "disjoint":
        generator = torch_stream(seed, name, "disjoint")
        return [_disjoint(groups, width, keep, generator) for width in widths]
    exact = config.binarisation == "top_k"
    masks = random_masks(groups, widths, keep, torch_stream(seed, name, "random"), exact=exact)
    return masks if config.codes == "random" else _signed(masks, torch_stream(seed, name, "signs"))


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
    keep = float(config.keep)  # type: ignore[arg-type]
    unasked = config.distinctness == "none" or config.binarisation == "soft"
    needed = 0.0 if unasked else config.min_hamming * keep * (1 - keep) / (PAPER_KEEP * (1 - PAPER_KEEP))
    for draw in range(draws):
        logits = mapping_logits(u, sum(widths), config.hidden, torch_stream(seed, name, "mapping", draw))
        if config.distinctness == "contrast":
            break
        masks = _binarised(logits, widths, config, torch_stream(seed, name, "bernoulli", draw))
        if needed == 0.0 or min_hamming(torch.cat(masks, dim=1)) >= needed:
            return masks
    contrasted = logits - logits.mean(dim=0)
    return _binarised(contrasted, widths, config, torch_stream(seed, name, "bernoulli", draws))


def _binarised(
    logits: Tensor, widths: Sequence[int], config: MappingConfig, generator: torch.Generator
) -> list[Tensor]:
    keep = float(config.keep)  # type: ignore[arg-type]
    offset = torch.logit(torch.tensor(keep, dtype=logits.dtype)) if config.binarisation == "bernoulli" else 0.0
    layers = torch.sigmoid(logits + offset).split(list(widths), dim=1)
    if config.binarisation == "top_k":
        return [_top_k(y, keep) for y in layers]
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


def _disjoint(groups: int, width: int, keep: float, generator: torch.Generator) -> Tensor:
    share = width // groups
    if share == 0:
        raise InvalidParameterError(
            f"{groups} groups cannot have disjoint masks in a layer of {width} neurons; "
            "widen net_arch or use codes='mapped'."
        )
    if keep * groups > 1 + 1e-9:
        raise InvalidParameterError(
            f"keep is {keep:g}, but {groups} groups with disjoint masks keep at most 1/{groups} = {1 / groups:.4g} of "
            "a layer each; lower keep, leave it out, or use codes='random'."
        )
    share = min(share, max(1, round(keep * width)))
    # Dealt at random: runs of single weights would be rows, so that a group had some of the actions only.
    dealt = torch.randperm(width, generator=generator)[: groups * share].view(groups, share)
    return torch.zeros(groups, width, dtype=torch.bool).scatter(1, dealt, True)


def _signed(masks: list[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Return masks as int8 in which every kept entry is +1 or -1."""
    signs = [2 * torch.randint(2, mask.shape, generator=generator, dtype=torch.int8) - 1 for mask in masks]
    return [mask * sign for mask, sign in zip(masks, signs, strict=True)]
