"""From cluster centres to masks: every choice and its guarantee."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from adaps_agents.schemes import mask_mapping as mapping
from adaps_agents.schemes.mask_mapping import (
    BINARISATIONS,
    MappingConfig,
    group_masks,
    min_hamming,
    random_masks,
    standardised_centres,
)
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
    for codes in BINARISATIONS:
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


@given(
    groups=st.integers(2, 12),
    widths=st.lists(st.integers(12, 40), min_size=1, max_size=3),
    keep=st.floats(0.02, 1.0) | st.just("auto"),
    codes=st.sampled_from(list(BINARISATIONS)),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_any_codes_keep_their_share_of_each_layer(
    groups: int, widths: list[int], keep: float | str, codes: str, seed: int
) -> None:
    config = MappingConfig(codes=codes, keep=keep, max_redraws=2)
    share = config.kept(groups, min(widths))
    if codes == "disjoint" and share * groups > 1 + 1e-9:
        with pytest.raises(InvalidParameterError, match=f"{groups} groups with disjoint masks keep at most 1/{groups}"):
            group_masks(_centres(groups, seed), widths, config, seed, "masks")
        return
    masks = group_masks(_centres(groups, seed), widths, config, seed, "masks")
    for mask, width in zip(masks, widths, strict=True):
        wanted = max(1, round(share * width))
        kept = min(wanted, width // groups) if codes == "disjoint" else wanted
        assert mask.shape == (groups, width)
        assert (mask != 0).sum(dim=1).tolist() == [kept] * groups
        assert set(mask.unique().tolist()) <= ({-1, 0, 1} if codes == "sparse" else {0, 1})
        if codes == "disjoint":
            assert int(mask.sum(dim=0).max()) == 1


def test_sparse_codes_are_random_masks_with_signs() -> None:
    for signed, plain in zip(_masks(5, codes="sparse"), _masks(5, codes="random"), strict=True):
        assert signed.dtype == torch.int8
        assert torch.equal(signed != 0, plain)
        assert 0.3 < float((signed[plain] > 0).float().mean()) < 0.7


@pytest.mark.parametrize("groups", [2, 3, 5, 8, 20])
def test_auto_keeps_what_makes_most_neurons_private_in_wide_layers(groups: int) -> None:
    private = [share * (1 - share) ** (groups - 1) for share in np.linspace(0.01, 1, 100)]
    best = float(np.linspace(0.01, 1, 100)[int(np.argmax(private))])
    auto = MappingConfig(keep="auto")
    assert auto.kept(groups, 4_096) == pytest.approx(best, abs=0.006)
    assert auto.kept(groups, 64) == 0.5
    assert auto.kept(20, 256) == 32 / 256
    assert auto.kept(1, 4_096) == 1.0
    disjoint = (MappingConfig(codes="disjoint"), MappingConfig(codes="disjoint", keep="auto"))
    assert [config.kept(groups, 64) for config in disjoint] == [1 / groups, 1 / groups]


def test_the_default_is_the_papers_half() -> None:
    assert MappingConfig().keep == MappingConfig(codes="sparse").keep == MappingConfig(binarisation="soft").keep == 0.5
    assert MappingConfig().kept(20, 4_096) == 0.5
    assert MappingConfig(keep=0.25).kept(1, 64) == 1.0


@pytest.mark.parametrize("codes", list(BINARISATIONS))
@pytest.mark.parametrize("binarisation", BINARISATIONS["mapped"])
def test_codes_and_binarisation_go_together_or_say_why_not(codes: str, binarisation: str) -> None:
    if binarisation in BINARISATIONS[codes]:
        masks = _masks(3, codes=codes, binarisation=binarisation)
        assert all(bool((mask != 0).any(dim=1).all()) for mask in masks)
    else:
        with pytest.raises(InvalidParameterError, match=f"binarisation is '{binarisation}' with codes='{codes}'"):
            MappingConfig(codes=codes, binarisation=binarisation)


@pytest.mark.parametrize("codes", ["mapped", "random", "sparse"])
@pytest.mark.parametrize("keep", [0.1, 0.25, 0.7, 1.0])
def test_drawn_masks_keep_their_share_on_average(codes: str, keep: float) -> None:
    wide = [4_000]
    config = MappingConfig(codes=codes, binarisation="bernoulli", keep=keep, distinctness="none")
    (mask,) = group_masks(_centres(4), wide, config, 0, "masks")
    assert float((mask != 0).float().mean()) == pytest.approx(keep, abs=0.02)


def test_few_neurons_need_not_differ_in_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[int] = []
    logits = mapping.mapping_logits
    monkeypatch.setattr(mapping, "mapping_logits", lambda *given: draws.append(1) or logits(*given))
    masks = torch.cat(_masks(3, keep=0.125), dim=1)
    assert len(draws) < 20
    assert 0.25 * 4 * 0.125 * 0.875 <= min_hamming(masks) < 0.25


def test_disjoint_masks_share_no_neuron_and_need_room() -> None:
    for mask in _masks(5, codes="disjoint"):
        assert int(mask.sum(dim=0).max()) == 1
        assert len(set(mask.sum(dim=1).tolist())) == 1
    with pytest.raises(InvalidParameterError, match="5 groups cannot have disjoint masks in a layer of 4"):
        group_masks(_centres(5), [4], MappingConfig(codes="disjoint"), 0, "masks")


@pytest.mark.parametrize("codes", list(BINARISATIONS))
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


@pytest.mark.parametrize("binarisation", ["threshold", "soft"])
def test_keep_is_not_silently_ignored(binarisation: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"keep is 0.25 with binarisation='{binarisation}'"):
        MappingConfig(binarisation=binarisation, keep=0.25)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("codes", "magic"), ("binarisation", "round"), ("normalisation", "zscore"), ("distinctness", True),
        ("keep", 0), ("keep", 1.5), ("keep", "half"), ("keep", True), ("min_hamming", -1), ("max_redraws", 0),
        ("hidden", 2.5),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{option} is "):
        MappingConfig(**{option: value})
