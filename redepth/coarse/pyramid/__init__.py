"""A small pyramid of convolutions that reads photographs: for demos, on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel, flops_of_picture
from redepth.flops import counted
from redepth.settings import PackagedWeights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.pyramid.network import Pyramid


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> Pyramid:
    from redepth.coarse.pyramid.network import load_pyramid

    return load_pyramid(settings, model, device)


MODELS = (
    CoarseModel(
        "mini-photo",
        DepthKind.AFFINE_DISPARITY,
        _load,
        PackagedWeights("models/mini/photo"),
        flops=flops_of_picture(counted.MINI_PHOTO),
    ),
)
