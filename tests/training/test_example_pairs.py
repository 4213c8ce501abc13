"""Alignment, frames and masks of training pairs, against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from redepth.training.betterdepth.example_pairs import agreeing_patches, latent_mask, pair
from redepth.training.betterdepth.settings import Pairing
from redepth.training.examples.alignment import align

EVERYWHERE = torch.ones(1, 16, 16, dtype=torch.bool)


def ramp(scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    return (scale * torch.arange(256.0).view(1, 16, 16) / 255.0) + shift


def test_a_scaled_and_shifted_map_is_brought_back() -> None:
    aligned, rises = align(ramp(3.0, -7.0), ramp(), EVERYWHERE)
    torch.testing.assert_close(aligned, ramp())
    assert rises.tolist() == [True]


def test_only_valid_pixels_decide() -> None:
    truth, valid = ramp(), EVERYWHERE.clone()
    truth[0, :4], valid[0, :4] = 1e9, False
    aligned, _ = align(ramp(3.0, -7.0), truth, valid)
    torch.testing.assert_close(aligned, ramp())


def test_a_map_that_falls_where_the_truth_rises_teaches_nothing() -> None:
    pairs = pair(ramp(), ramp(-1.0), EVERYWHERE, Pairing())
    assert not pairs.kept_bhw.any()


def test_the_labels_frame_puts_its_quantiles_at_minus_one_and_one() -> None:
    pairs = pair(ramp(5.0, 2.0), ramp(), EVERYWHERE, Pairing())
    low, high = torch.quantile(pairs.truth_bhw.flatten(), torch.tensor([0.02, 0.98])).tolist()
    assert (low, high) == pytest.approx((-1.0, 1.0), abs=1e-5)
    torch.testing.assert_close(pairs.coarse_bhw, pairs.truth_bhw)


def test_the_coarse_maps_frame_is_that_of_inference() -> None:
    truth = ramp() + 0.3 * torch.sin(20.0 * ramp())
    coarse = 4.0 * ramp() - 1.0
    pairs = pair(truth, coarse, EVERYWHERE, Pairing(coarse_frame=True, patch_mask=False))
    own = torch.quantile(pairs.coarse_bhw.flatten(), torch.tensor([0.02, 0.98]))
    torch.testing.assert_close(own, torch.tensor([-1.0, 1.0]))


def test_a_patch_is_kept_up_to_its_norm() -> None:
    """||truth - coarse||_2 <= 8 * threshold: 64 pixels that are off by exactly the threshold."""
    truth, coarse = torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)
    coarse[0, :8, :8] = 0.125
    coarse[0, :8, 8:] = 0.126
    coarse[0, 8, 8] = 8 * 0.125  # one pixel that alone has the norm of a patch
    coarse[0, 8, 0] = 8 * 0.126
    kept = agreeing_patches(truth, coarse, EVERYWHERE, 8, 0.125)
    assert kept[0, ::8, ::8].tolist() == [[True, False], [False, True]]
    assert kept[0, :8, :8].all()
    assert not kept[0, :8, 8:].any()


def test_unknown_pixels_do_not_speak_against_a_patch() -> None:
    coarse, valid = torch.zeros(1, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)
    coarse[0, 0, 0], valid[0, 0, 0] = 1e6, False
    assert agreeing_patches(torch.zeros(1, 8, 8), coarse, valid, 8, 0.1).all()


def test_a_latent_counts_if_one_of_its_pixels_does() -> None:
    kept = torch.zeros(1, 8, 8, dtype=torch.bool)
    kept[0, 3, 3] = True
    assert latent_mask(kept, 4)[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_without_pre_alignment_each_has_its_own_frame() -> None:
    pairs = pair(ramp(), math.e * ramp() + 9.0, EVERYWHERE, Pairing(pre_align=False))
    torch.testing.assert_close(pairs.coarse_bhw, pairs.truth_bhw, rtol=0, atol=1e-4)


def test_the_truth_is_zero_where_it_is_not_known() -> None:
    truth, valid = ramp(), EVERYWHERE.clone()
    truth[0, 0, 0], valid[0, 0, 0] = torch.nan, False
    pairs = pair(truth, ramp(), valid, Pairing())
    assert pairs.truth_bhw[0, 0, 0] == 0.0
    assert not pairs.kept_bhw[0, 0, 0]
    assert torch.isfinite(pairs.truth_bhw).all()
