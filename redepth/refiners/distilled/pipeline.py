"""A student as a diffusers pipeline: picture and coarse map in, refined maps out, in one pass.

    pipeline = load_student(Weights(folder="student/model"), None, Compute(), device).pipeline
    depth = pipeline(image, coarse).prediction

The network, a U-Net over small squares of pixels, sees the picture beside the coarse map, which is
brought to [-1, 1], and says by how much each pixel changes there. It is asked again with both
mirrored: where the two answers differ, it guesses. Labels are made by the same call (refiner.py
beside this).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DiffusionPipeline, UNet2DModel
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor
from torch.nn import functional

from redepth.refiners.latents.codec import pad_to_multiple
from redepth.refiners.latents.normalisation import quantile_range
from redepth.refiners.latents.pipeline import on_device, rgb_of
from redepth.types import ByteImage, FloatMap

NUM_CHANNELS = 4  # the picture's three, and the coarse map
_NO_TIME = 0  # the network is one that also takes a timestep


@dataclass
class DistilledOutput(BaseOutput):  # type: ignore[misc] # diffusers is untyped
    """Refined maps in the coarse map's unit.

    Attributes:
        prediction: float32 [H, W], the mean over the members.
        members: float32 [E, H, W]: of the picture, and of its mirror image.
    """

    prediction: FloatMap
    members: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network says of a batch of images.

    Attributes:
        maps_behw: float32 [B, E, H, W], refined, in the coarse maps' units.
        change_b: float32 [B], mean |refined - coarse| over a map, as a share of the coarse map's
            range from its 2 % to its 98 % quantile.
        disagreement_b: float32 [B], mean |difference| of the two members, as a share of the same;
            0 of one member.
        features_bd: float32 [B, D], the network's own of each image, on the CPU.
    """

    maps_behw: np.ndarray
    change_b: Tensor
    disagreement_b: Tensor
    features_bd: Tensor


class DistilledPipeline(DiffusionPipeline):  # type: ignore[misc] # diffusers is untyped
    """A student; `save_pretrained` writes it as one folder, with unet/ and model_index.json."""

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.register_modules(unet=unet)

    @property
    def patch_px(self) -> int:
        """The side of the squares whose pixels are the network's channels."""
        return math.isqrt(int(self.unet.config.out_channels))

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image | ByteImage,
        coarse: FloatMap,
        *,
        ensemble_size: int = 2,
        larger_is_nearer: bool = True,
    ) -> DistilledOutput:
        """Refine a coarse map; its scale and shift do not matter and are kept.

        Args:
            image: a picture, or uint8 [H, W, 3].
            coarse: float32 [H, W], any depth network's map of the picture.
            ensemble_size: 2 asks of the mirrored picture as well; 1 does not.
            larger_is_nearer: True for disparity, False for depth.

        Raises:
            ValueError: picture and map differ in size.
        """
        answers = self.answer(
            [rgb_of(image)],
            [coarse],
            num_members=ensemble_size,
            larger_is_nearer=larger_is_nearer,
        )
        members_ehw = answers.maps_behw[0]
        return DistilledOutput(members_ehw.mean(axis=0), members_ehw)

    @torch.no_grad()
    def answer(
        self,
        rgbs_hw3: Sequence[ByteImage],
        coarse_maps: Sequence[FloatMap],
        *,
        num_members: int,
        larger_is_nearer: bool,
    ) -> Answers:
        """Refine the coarse maps of several pictures of one size in one forward.

        Raises:
            ValueError: a picture and its map differ in size, or the pictures do.
        """
        sign = 1.0 if larger_is_nearer else -1.0
        image_b3hw, coarse_bhw = on_device(rgbs_hw3, coarse_maps, self.unet.device)
        coarse_bhw = coarse_bhw * sign
        normalisation = quantile_range(coarse_bhw)
        shown = show(image_b3hw, normalisation.normalise(coarse_bhw))
        views = torch.cat([shown, shown.flip(-1)][:num_members])
        changes, features = self.changes(views)
        plain, *mirrored = changes.chunk(num_members)
        members = [plain, *(view.flip(-1) for view in mirrored)]
        maps = [sign * normalisation.denormalise(shown[:, 3] + change) for change in members]
        return Answers(
            torch.stack(maps, dim=1).cpu().numpy(),
            # The frame is two units wide.
            torch.stack(members).mean(dim=0).abs().mean(dim=(1, 2)).cpu() / 2.0,
            (members[0] - members[-1]).abs().mean(dim=(1, 2)).cpu() / 2.0,
            features.chunk(num_members)[0].float().cpu(),
        )

    def changes(self, shown_b4hw: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a batch changes by in the frame [-1, 1], and its features; keeps gradients.

        Returns:
            float32 [B, H, W]; and [B, D]: mean and deviation over the pixels of each channel of the
            network's first level, which tells kinds of images apart better than deeper ones do
            (docs/distillation.md).
        """
        height, width = shown_b4hw.shape[-2:]
        factor = self.patch_px * 2 ** (len(self.unet.config.block_out_channels) - 1)
        padded = pad_to_multiple(shown_b4hw, factor).to(self.unet.dtype)
        folded = functional.pixel_unshuffle(padded, self.patch_px)
        levels: list[Tensor] = []
        hook = self.unet.down_blocks[0].register_forward_hook(
            lambda module, given, found: levels.append(found[0])
        )
        try:
            unfolded = functional.pixel_shuffle(self.unet(folded, _NO_TIME).sample, self.patch_px)
        finally:
            hook.remove()
        change = unfolded[:, 0, :height, :width].float()
        level = levels[0].flatten(2).float()
        return change, torch.cat((level.mean(dim=2), level.std(dim=2, correction=0)), dim=1)


def show(image_b3hw: Tensor, normalised_bhw: Tensor) -> Tensor:
    """Return what the network sees, [B, 4, H, W]: pictures in [-1, 1] and normalised coarse maps.

    Near is large.
    """
    return torch.cat((image_b3hw, normalised_bhw[:, None]), dim=1)
