"""Truth and coarse map as the refiner is trained on them: aligned, in one frame, and masked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from redepth.refiners.latents.normalisation import quantile_range

LEAST_CORRELATION = 0.1


@dataclass(frozen=True, slots=True)
class Pairing:
    """How a label and a coarse map are brought together.

    Attributes:
        pre_align: bring the coarse map to the label by least squares first (the paper's); else both
            only have a frame each.
        coarse_frame: take the frame from the coarse map, which is all that is known at inference,
            instead of from the label (the paper's).
        patch_mask: leave out the patches in which the two disagree (the paper's).
        patch_px: side of a patch.
        patch_threshold: largest root mean square of label - coarse in a patch, in the frame.
    """

    pre_align: bool = True
    coarse_frame: bool = False
    patch_mask: bool = True
    patch_px: int = 8
    patch_threshold: float = 0.1


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


def align(source_bhw: Tensor, target_bhw: Tensor, valid_bhw: Tensor) -> tuple[Tensor, Tensor]:
    """Bring each map to its target by least-squares scale and shift over the valid pixels.

    Returns:
        The aligned maps [B, H, W], and bool [B]: whether source and target rise together. Where
        they do not, the map comes back as it was.
    """
    weight = valid_bhw.double()
    count_b = weight.sum(dim=(1, 2)).clamp(min=1.0)
    source, target = source_bhw.double(), target_bhw.double().masked_fill(~valid_bhw, 0.0)

    def mean(values_bhw: Tensor) -> Tensor:
        return (values_bhw * weight).sum(dim=(1, 2)) / count_b

    source_mean_b, target_mean_b = mean(source), mean(target)
    source_off = source - source_mean_b[:, None, None]
    target_off = target - target_mean_b[:, None, None]
    tiny = torch.finfo(torch.float32).tiny
    source_var_b, target_var_b = mean(source_off**2), mean(target_off**2)
    covariance_b = mean(source_off * target_off)
    correlation_b = covariance_b / (source_var_b * target_var_b).clamp(min=tiny).sqrt()
    rises_b = correlation_b >= LEAST_CORRELATION
    scale_b = torch.where(rises_b, covariance_b / source_var_b.clamp(min=tiny), 1.0)
    shift_b = torch.where(rises_b, target_mean_b - scale_b * source_mean_b, 0.0)
    aligned = source * scale_b[:, None, None] + shift_b[:, None, None]
    return aligned.float(), rises_b


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
