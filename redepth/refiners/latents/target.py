"""What the denoiser's latents stand for, and how a refined map is read out of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor


class TargetKind(StrEnum):
    """DEPTH: the refined map itself, as published. RESIDUAL: what is added to the coarse one."""

    DEPTH = "depth"
    RESIDUAL = "residual"


@dataclass(frozen=True, slots=True)
class Target:
    """How truth and coarse map, both in one frame, become the map that is denoised, and back.

    Attributes:
        kind: see `TargetKind`.
        clip: maps are shown to the VAE within [-clip, clip]; 1 as published.
        residual_scale: the part of the frame's unit that is 1 in a residual.
        residual_clip: residuals are shown to the VAE within [-residual_clip, residual_clip].
    """

    kind: TargetKind = TargetKind.DEPTH
    clip: float = 1.0
    residual_scale: float = 0.4
    residual_clip: float = 2.5

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
        """Return the refined map in the frame."""
        if self.kind is TargetKind.DEPTH:
            return decoded_bhw
        return coarse_bhw + self.residual_scale * decoded_bhw
