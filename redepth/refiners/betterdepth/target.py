"""What the denoiser's latents stand for, and how a refined map is read out of them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from redepth.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor


class TargetKind(StrEnum):
    """DEPTH: the refined map itself, as published. RESIDUAL: what is added to the coarse one."""

    DEPTH = "depth"
    RESIDUAL = "residual"


class Target(Settings):
    """How truth and coarse map, both normalised alike, become the map that is denoised."""

    kind: TargetKind = Field(
        TargetKind.DEPTH, description="the refined map, as published, or what the coarse one lacks"
    )
    clip: float = Field(
        1.0, gt=0, description="the VAE sees maps within [-clip, clip]; 1 as published"
    )
    residual_scale: float = Field(
        0.4, gt=0, description="share of the normalised unit that is 1 in a residual"
    )
    residual_clip: float = Field(
        2.5, gt=0, description="the VAE sees residuals within [-residual_clip, residual_clip]"
    )

    def condition(self, coarse_bhw: Tensor) -> Tensor:
        """Return the coarse map as the VAE is shown it."""
        return coarse_bhw.clamp(-self.clip, self.clip)

    def of(self, truth_bhw: Tensor, coarse_bhw: Tensor) -> Tensor:
        """Return the map to denoise."""
        if self.kind is TargetKind.DEPTH:
            return truth_bhw.clamp(-self.clip, self.clip)
        residual_bhw = (truth_bhw - coarse_bhw) / self.residual_scale
        return residual_bhw.clamp(-self.residual_clip, self.residual_clip)

    def refine(self, decoded_bhw: Tensor, coarse_bhw: Tensor) -> Tensor:
        """Return the normalised refined map."""
        if self.kind is TargetKind.DEPTH:
            return decoded_bhw
        return coarse_bhw + self.residual_scale * decoded_bhw
