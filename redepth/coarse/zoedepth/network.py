"""ZoeDepth through transformers: metres, from a head that it chooses by the kind of place.

Picture and map are brought to size as transformers' processor does, whose class asks for
torchvision: a mirrored border, the checkpoint's own size, bilinear with corners aligned; the
border's depth is cut off again. The focal length is ignored.

Source: ZoeDepth, https://arxiv.org/abs/2302.12288.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ZoeDepthForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.checkpoint import PROCESSOR_FILE, read_checkpoint
from redepth.coarse.far_limit import far_limit_m
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import reading

_MULTIPLE_PX = 8  # a side is longer than the border that mirrors it, even of a sliver


@dataclass(frozen=True, slots=True)
class ZoePicture:
    """What a checkpoint's processor makes of a picture.

    Attributes:
        height_px, width_px: what the picture is fitted to, aspect kept.
        multiple_px: of which both sides are.
        mean, std: of red, green and blue in [0, 1].
    """

    height_px: int
    width_px: int
    multiple_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return (height, width) for a picture: scaled as little as possible to fit one side."""
        by_height, by_width = self.height_px / height_px, self.width_px / width_px
        scale = by_width if abs(1 - by_width) < abs(1 - by_height) else by_height
        height, width = (
            max(round(scale * side / self.multiple_px), 1) * self.multiple_px
            for side in (height_px, width_px)
        )
        return height, width


class HeadForEachPicture(nn.Module):
    """A checkpoint's metric head, asked for one picture at a time.

    Of several heads transformers' own takes one for a whole batch, by the sum of its pictures'
    votes: a room among streets would get the depth of a street.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(
        self,
        outconv_activation: Tensor,
        bottleneck: Tensor,
        feature_blocks: Sequence[Tensor],
        relative_depth: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the depth [B, 1, H, W] and each picture's votes [B, heads]; None of one head."""
        answers = [
            self.head(
                outconv_activation=outconv_activation[own],
                bottleneck=bottleneck[own],
                feature_blocks=[block[own] for block in feature_blocks],
                relative_depth=relative_depth[own],
            )
            for own in (slice(number, number + 1) for number in range(len(bottleneck)))
        ]
        depths, votes = zip(*answers, strict=True)
        return torch.cat(depths), None if votes[0] is None else torch.cat(votes)


class ZoeDepth:
    """A ZoeDepth checkpoint: a `DepthEstimator`. Runs in float32, weights frozen.

    The network sees the size that its checkpoint names (384 x 512), whatever `size_px` says: that
    is the size of the label, and of the picture that the network's is made from. The far limit is
    that of the head which the model chose for the picture (10 m indoors, 80 m on the street).
    """

    kind = DepthKind.METRIC_DEPTH

    def __init__(
        self,
        model: ZoeDepthForDepthEstimation,
        picture: ZoePicture,
        card: ModelCard,
        settings: Coarse,
        preset: CoarseModel,
        device: torch.device,
    ) -> None:
        """Take a loaded model.

        Raises:
            ConfigError: the recipe's far limit lies beyond the farthest head's end.
        """
        self.card = card
        self.processing_size = UpperBound(settings.size_px, _MULTIPLE_PX)
        self._settings = settings
        self._preset = preset
        self._ends_m = [float(head["max_depth"]) for head in model.config.bin_configurations]
        far_limit_m(settings, preset, max(self._ends_m))
        self._picture = picture
        self._device = device
        model.metric_head = HeadForEachPicture(model.metric_head)
        self._model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (picture.mean, picture.std)
        )

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map in metres; `focal_px` changes nothing in it.

        Args:
            rgb_hw3: uint8 [H, W, 3], sides of 5 px or more.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`."""
        height_px, width_px, _ = rgbs_hw3[0].shape
        border_y, border_x = (int(math.sqrt(side / 2) * 3) for side in (height_px, width_px))
        image_b3hw = stack_pictures(rgbs_hw3, self._device)
        borders = (border_x, border_x, border_y, border_y)
        padded = functional.pad(image_b3hw, borders, mode="reflect")
        shown = functional.interpolate(
            padded,
            self._picture.size(padded.shape[-2], padded.shape[-1]),
            mode="bilinear",
            align_corners=True,
        )
        answer = self._model((shown - self._mean) / self._std)
        whole = functional.interpolate(
            answer.predicted_depth[:, None],
            (padded.shape[-2], padded.shape[-1]),
            mode="bicubic",
            align_corners=False,
        )
        maps_bhw = whole[:, 0, border_y : border_y + height_px, border_x : border_x + width_px]
        heads = _chosen_heads(answer.domain_logits, len(rgbs_hw3))
        return [
            CoarseDepth(map_hw, self.kind, far_limit_m=self._limit_of(head))
            for map_hw, head in zip(split_maps(maps_bhw), heads, strict=True)
        ]

    def _limit_of(self, head: int) -> float | None:
        """Return the limit of the head that answered; a recipe's own where that is nearer."""
        end_m = self._ends_m[head]
        without = self._settings.model_copy(update={"far_limit_m": None})
        nearest = far_limit_m(without, self._preset, end_m)
        asked = self._settings.far_limit_m
        return nearest if asked is None or nearest is None else min(asked, nearest)


def _chosen_heads(votes_bn: Tensor | None, num_pictures: int) -> list[int]:
    """Return which head answered for each picture."""
    if votes_bn is None:
        return [0] * num_pictures
    return [int(head) for head in votes_bn.argmax(dim=1).tolist()]


def load_zoedepth(settings: Coarse, preset: CoarseModel, device: torch.device) -> ZoeDepth:
    """Load a ZoeDepth from the hub or a folder.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no ZoeDepth's.
    """
    found = read_checkpoint(ZoeDepthForDepthEstimation, settings, preset)
    with reading("ZoeDepth", found.path):
        picture = _picture(found.path)
    return ZoeDepth(found.model, picture, found.card, settings, preset, device)


def _picture(folder: Path) -> ZoePicture:
    said = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf-8"))
    mean, std = (tuple(map(float, said[f"image_{name}"])) for name in ("mean", "std"))
    size = said["size"]
    return ZoePicture(
        int(size["height"]), int(size["width"]), int(said["ensure_multiple_of"]), mean, std
    )
