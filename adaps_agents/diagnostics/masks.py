"""How much masks have in common.

A mask is a row over the units of a network: neurons, single weights or singular values. Its entries are gates in
[0, 1], and for gates of 0 and 1 the measures below are the familiar ones of sets; or they are signs -1, 0 and 1, where
0 is a unit that is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from adaps_envs.errors import InvalidParameterError

__all__ = ["MaskStatistics", "mask_hamming", "mask_jaccard", "mask_statistics"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class MaskStatistics:
    """Masks of one network. M is the number of masks; shares are of all its units.

    Attributes:
        hamming: mean over pairs of masks of :func:`mask_hamming`; None if M is 1.
        jaccard: mean over pairs of masks of :func:`mask_jaccard`; None if M is 1.
        kept: mean gate, or share of the units kept with either sign.
        kept_by_layer: the same, layer by layer.
        unused: share of the units that no mask opens.
        private: share of the units that exactly one mask opens, 0 if M is 1.
        distinct: number of different masks.
    """

    hamming: float | None
    jaccard: float | None
    kept: float
    kept_by_layer: tuple[float, ...]
    unused: float
    private: float
    distinct: int


def mask_hamming(masks: Sequence[Tensor]) -> Matrix:
    """Return the mean over units of ``|m_i - m_j|`` for every two masks, ``[M, M]``: the share in which they differ.

    Units kept with opposite signs differ as much as a unit that only one mask keeps: they count as one.

    Args:
        masks: ``[M, units]`` a layer.
    """
    rows = _joined(masks)
    if (rows < 0).any():
        return 1 - sum((rows == sign).astype(float) @ (rows == sign).T for sign in (-1, 0, 1)) / rows.shape[1]
    return _apart(rows) / rows.shape[1]


def mask_jaccard(masks: Sequence[Tensor]) -> Matrix:
    """Return what both masks keep over what either keeps, ``sum min / sum max``, ``[M, M]``; 1 where neither keeps any.

    Signs do not matter: a unit that both keep is trained by both.

    Args:
        masks: ``[M, units]`` a layer.
    """
    rows = np.abs(_joined(masks))
    kept, apart = rows.sum(axis=1), _apart(rows)
    total = kept[:, None] + kept[None, :]
    return np.where(total > 0, (total - apart) / np.maximum(total + apart, np.finfo(float).tiny), 1.0)


def mask_statistics(masks: Sequence[Tensor]) -> MaskStatistics:
    """Return what the masks ``[M, units]`` (one tensor a layer) have in common."""
    rows = _joined(masks)
    users = (rows != 0).sum(axis=0)
    pairs = np.triu(np.ones((len(rows), len(rows)), dtype=bool), k=1)
    return MaskStatistics(
        hamming=float(mask_hamming(masks)[pairs].mean()) if pairs.any() else None,
        jaccard=float(mask_jaccard(masks)[pairs].mean()) if pairs.any() else None,
        kept=float(np.abs(rows).mean()),
        kept_by_layer=tuple(float(layer.double().abs().mean()) for layer in masks),
        unused=float((users == 0).mean()),
        private=float((users == 1).mean()) if len(rows) > 1 else 0.0,
        distinct=len({row.tobytes() for row in rows}),
    )


def _apart(rows: Matrix) -> Matrix:
    """Return the sum over units of ``|m_i - m_j|``, ``[M, M]``."""
    if ((rows == 0) | (rows == 1)).all():
        # By one matrix product: many agents with masks over single weights would make a slow table of differences.
        kept = rows.sum(axis=1)
        return kept[:, None] + kept[None, :] - 2 * (rows @ rows.T)
    return cdist(rows, rows, metric="cityblock")


def _joined(masks: Sequence[Tensor]) -> Matrix:
    if not masks or any(mask.dim() != 2 or len(mask) != len(masks[0]) for mask in masks):
        shapes = [list(mask.shape) for mask in masks]
        raise InvalidParameterError(f"masks have the shapes {shapes}; give [M, units] a layer, M the same in all.")
    rows: Matrix = torch.cat([mask.detach().cpu().double() for mask in masks], dim=1).numpy()
    return rows
