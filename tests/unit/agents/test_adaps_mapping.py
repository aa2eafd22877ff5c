"""From cluster centres to masks: every choice and its guarantee."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from adaps_agents.adaps.mapping import MappingConfig, group_masks, min_hamming, random_masks, standardised_centres
from adaps_envs.errors import InvalidParameterError

WIDTHS = [64, 48, 64, 48]


def _centres(groups: int, seed: int = 0, offset: float = 2.6, spread: float = 0.5) -> np.ndarray:
    generator = np.random.default_rng(seed)
    common, own = generator.standard_normal(10), generator.standard_normal((groups, 10))
    return (offset * common + spread * own).astype(np.float32)


def _masks(groups: int, seed: int = 0, **options: Any) -> list[torch.Tensor]:
    return group_masks(_centres(groups, seed), WIDTHS, MappingConfig(**options), seed, "masks")


@pytest.mark.parametrize("groups", [2, 3, 5, 9])
@pytest.mark.parametrize("keep", [0.5, 0.25, 0.33, 1.0])
def test_top_k_keeps_exactly_the_share_of_each_layer(groups: int, keep: float) -> None:
    for mask, width in zip(_masks(groups, keep=keep), WIDTHS, strict=True):
        assert mask.shape == (groups, width)
        assert mask.dtype == torch.bool
        assert mask.sum(dim=1).tolist() == [round(keep * width)] * groups


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("distinctness", ["redraw", "contrast"])
def test_any_two_groups_differ_in_a_quarter_of_the_neurons(groups: int, distinctness: str) -> None:
    for seed in range(10):
        assert min_hamming(torch.cat(_masks(groups, seed, distinctness=distinctness), dim=1)) >= 0.25


def test_a_hopeless_wish_for_distance_ends_in_contrast() -> None:
    settings = {"min_hamming": 0.99, "max_redraws": 3}
    contrasted = torch.cat(_masks(3, **settings), dim=1)
    plain = torch.cat(_masks(3, distinctness="none"), dim=1)
    assert min_hamming(contrasted) > min_hamming(plain)


def test_without_normalisation_masks_nearly_coincide() -> None:
    raw = torch.cat(_masks(3, normalisation="none", distinctness="none"), dim=1)
    assert min_hamming(raw) < 0.2


def test_one_group_keeps_everything() -> None:
    for codes in ("mapped", "random", "disjoint"):
        assert all(bool(mask.all()) for mask in _masks(1, codes=codes))


def test_two_groups_are_centred_and_divided_by_their_norm() -> None:
    first, second = standardised_centres(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32), "z_score")
    np.testing.assert_allclose(first, [-(0.5**0.5), 0.0])
    np.testing.assert_allclose(second, -first)


def test_z_score_ignores_offset_and_scale_and_survives_constant_columns() -> None:
    centres = _centres(4).astype(np.float64)
    centres[:, 3] = 7.0
    moved = 3.0 * centres + 11.0
    u, v = standardised_centres(centres, "z_score"), standardised_centres(moved, "z_score")
    np.testing.assert_allclose(u, v, atol=1e-9)
    np.testing.assert_array_equal(u[:, 3], 0.0)


@pytest.mark.parametrize("binarisation", ["threshold", "bernoulli"])
def test_no_layer_of_a_group_is_ever_empty(binarisation: str) -> None:
    for seed in range(20):
        masks = group_masks(
            _centres(3, seed), [2, 2], MappingConfig(binarisation=binarisation, distinctness="none"), seed, "masks"
        )
        assert all(bool(mask.any(dim=1).all()) for mask in masks)


def test_rare_draws_still_keep_a_neuron() -> None:
    masks = random_masks(50, [4], 0.01, torch.Generator().manual_seed(0), exact=False)
    assert bool(masks[0].any(dim=1).all())
    assert float(masks[0].float().mean()) < 0.5


def test_soft_gates_lie_between_zero_and_one() -> None:
    for gate in _masks(3, binarisation="soft"):
        assert gate.dtype == torch.float32
        assert 0 < float(gate.min()) < float(gate.max()) < 1


def test_disjoint_masks_share_no_neuron_and_need_room() -> None:
    for mask in _masks(5, codes="disjoint"):
        assert int(mask.sum(dim=0).max()) == 1
        assert len(set(mask.sum(dim=1).tolist())) == 1
    with pytest.raises(InvalidParameterError, match="5 groups cannot have disjoint masks in a layer of 4"):
        group_masks(_centres(5), [4], MappingConfig(codes="disjoint"), 0, "masks")


@pytest.mark.parametrize("codes", ["mapped", "random"])
def test_one_seed_one_set_of_masks(codes: str) -> None:
    first, second, other = _masks(3, codes=codes), _masks(3, codes=codes), _masks(3, 1, codes=codes)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_similar_groups_get_similar_masks_only_if_mapped() -> None:
    centres = np.random.default_rng(0).standard_normal((12, 10)).astype(np.float32)
    u = standardised_centres(centres, "z_score")
    unit = u / np.linalg.norm(u, axis=1, keepdims=True)
    pairs = np.triu_indices(12, 1)
    angles = np.arccos(np.clip(unit @ unit.T, -1, 1))[pairs]

    def correlation(codes: str) -> float:
        config = MappingConfig(codes=codes, distinctness="none")
        masks = torch.cat(group_masks(centres, [512], config, 0, "masks"), dim=1).float().numpy()
        hamming = np.abs(masks[:, None] - masks[None]).mean(axis=-1)[pairs]
        return float(spearmanr(angles, hamming).statistic)

    assert correlation("mapped") > 0.7
    assert abs(correlation("random")) < 0.3


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("codes", "magic"), ("binarisation", "round"), ("normalisation", "zscore"), ("distinctness", True),
        ("keep", 0), ("keep", 1.5), ("keep", "half"), ("min_hamming", -1), ("max_redraws", 0), ("hidden", 2.5),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{option} is "):
        MappingConfig(**{option: value})
