"""The crop of an example: resized so that it covers the training's size, cut, mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Window:
    """The size that an example is resized to, so that it covers the crop, and the crop in it."""

    resized_hw: tuple[int, int]
    top: int
    left: int
    size_hw: tuple[int, int]
    mirrored: bool

    @staticmethod
    def of(own_hw: tuple[int, int], size_hw: tuple[int, int], place: Sequence[float]) -> Window:
        """Place a crop: where from top and left, in [0, 1], and mirrored below 0.5."""
        scale = max(size_hw[0] / own_hw[0], size_hw[1] / own_hw[1])
        height = max(size_hw[0], round(own_hw[0] * scale))
        width = max(size_hw[1], round(own_hw[1] * scale))
        top = int(place[0] * (height - size_hw[0] + 1))
        left = int(place[1] * (width - size_hw[1] + 1))
        return Window((height, width), top, left, size_hw, place[2] < 0.5)

    def cut(self, map_chw: Tensor, mode: str) -> Tensor:
        """Resize, crop and mirror [C, H, W]."""
        if map_chw.shape[-2:] != self.resized_hw:
            smooth = {"align_corners": False, "antialias": True} if mode == "bilinear" else {}
            map_chw = functional.interpolate(
                map_chw[None], size=self.resized_hw, mode=mode, **smooth
            )[0]
        rows = slice(self.top, self.top + self.size_hw[0])
        columns = slice(self.left, self.left + self.size_hw[1])
        cut = map_chw[..., rows, columns]
        return cut.flip(-1) if self.mirrored else cut.contiguous()
