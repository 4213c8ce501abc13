"""Truth and coarse map as the refiner is trained on them: aligned, in one frame, and masked."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from redepth.refiners.latents.normalisation import quantile_range
from redepth.training.betterdepth.settings import Pairing
from redepth.training.examples.alignment import align


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Maps in one frame, not clipped.

    Attributes:
        truth_bhw, coarse_bhw: float32 [B, H, W]; the truth is 0 where it is not known.
        kept_bhw: bool [B, H, W], the pixels that are learned from.
    """

    truth_bhw: Tensor
    coarse_bhw: Tensor
    kept_bhw: Tensor


def pair(truth_bhw: Tensor, coarse_bhw: Tensor, valid_bhw: Tensor, how: Pairing) -> Pairs:
    """Align, normalise and mask; see `Pairing`.

    A coarse map that does not rise with the label at all (correlation below 0.1) has nothing to
    teach: none of its pixels is kept.

    Source: BetterDepth, global pre-alignment and local patch masking.
    """
    kept_bhw = valid_bhw
    if how.pre_align:
        coarse_bhw, rises_b = align(coarse_bhw, truth_bhw, valid_bhw)
        kept_bhw = kept_bhw & rises_b[:, None, None]
    coarse_frame = quantile_range(coarse_bhw)
    truth_frame = quantile_range(truth_bhw, valid_bhw)
    if how.pre_align and how.coarse_frame:
        truth_frame = coarse_frame
    elif how.pre_align:
        coarse_frame = truth_frame
    framed_truth_bhw = truth_frame.normalise(truth_bhw).masked_fill(~valid_bhw, 0.0)
    framed_coarse_bhw = coarse_frame.normalise(coarse_bhw)
    if how.patch_mask:
        kept_bhw = kept_bhw & agreeing_patches(
            framed_truth_bhw, framed_coarse_bhw, valid_bhw, how.patch_px, how.patch_threshold
        )
    return Pairs(framed_truth_bhw, framed_coarse_bhw, kept_bhw)


def agreeing_patches(
    truth_bhw: Tensor, coarse_bhw: Tensor, valid_bhw: Tensor, patch_px: int, threshold: float
) -> Tensor:
    """Return the pixels of the patches in which truth and coarse map agree, bool [B, H, W].

    A patch is kept if ||truth - coarse||_2 <= patch_px * threshold over its valid pixels; one that
    is cut by the border counts the pixels it has.
    """
    height, width = truth_bhw.shape[-2:]
    square_bhw = (truth_bhw - coarse_bhw).square() * valid_bhw
    padding = (0, -width % patch_px, 0, -height % patch_px)
    padded = functional.pad(square_bhw[:, None], padding)
    mean_square = functional.avg_pool2d(padded, patch_px)
    kept = (mean_square <= threshold**2).repeat_interleave(patch_px, 2)
    return kept.repeat_interleave(patch_px, 3)[:, 0, :height, :width]


def latent_mask(kept_bhw: Tensor, factor: int) -> Tensor:
    """Bring kept pixels to the latents' grid: a latent counts if one of its pixels does.

    Args:
        kept_bhw: bool [B, H, W], sides multiples of `factor`.

    Returns:
        float32 [B, 1, H / factor, W / factor] of 0 and 1.
    """
    return functional.max_pool2d(kept_bhw[:, None].float(), factor)
